import { expect, test } from "vitest";
import type { BackfillRecord } from "../../shared/kafka/backfill-record.ts";
import { progressLine } from "./progress-line.ts";

const RECORD: BackfillRecord = {
  id: "b",
  state: "running",
  uses: [],
  tables: [],
  at: 0,
  after: null,
  rows: 1_200_000,
  events: 1_199_990,
  overtaken: 0,
  estimatedRows: 4_800_000,
  where: null,
  rowsPerSecond: null,
  startedAt: 0,
  updatedAt: 0,
  command: null,
  error: null,
  rebuild: null,
  removal: null,
  removed: 0,
  waits: false,
};

test.each<[Partial<BackfillRecord>, number | undefined, string]>([
  [{}, undefined, "a.v1: running  [#####---------------]  25 %  1,200,000 of about 4,800,000 rows"],
  [
    {},
    20_000,
    "a.v1: running  [#####---------------]  25 %  1,200,000 of about 4,800,000 rows  20,000 rows/s  3 min 0 s left",
  ],
  [{ rows: 0, estimatedRows: 0 }, 0, "a.v1: running  [--------------------]   0 %  0 of about 0 rows"],
  [
    { estimatedRows: 10, overtaken: 3 },
    undefined,
    "a.v1: running  [###################-]  99 %  1,200,000 of about 1,200,000 rows  3 overtaken by changes",
  ],
  [
    { state: "done", where: "id > 5" },
    undefined,
    "a.v1: done  [####################] 100 %  1,200,000 rows  WHERE id > 5",
  ],
  [
    { rebuild: "x", removal: { ends: {}, partition: 0 }, tables: [{ table: "a", keyColumns: [] }] },
    undefined,
    "a.v1: rebuild running  [#####---------------]  25 %  1,200,000 of about 4,800,000 rows",
  ],
  [
    {
      ...{ rebuild: "x", removal: { ends: {}, partition: 0 }, removed: 1_234 },
      ...{ tables: [{ table: "a", keyColumns: [] }], at: 1, rows: 4_800_000 },
    },
    undefined,
    "a.v1: rebuild running  [###################-]  99 %  4,800,000 of about 4,800,000 rows  removing what was deleted  1,234 removed",
  ],
  [
    { state: "paused", removal: { ends: {}, partition: 0 }, rows: 0, estimatedRows: 0, error: "CODE: why" },
    undefined,
    "a.v1: rebuild paused  [--------------------]   0 %  0 of about 0 rows\n  CODE: why",
  ],
  [
    { waits: true, rows: 0, estimatedRows: 0 },
    undefined,
    "a.v1: running  [--------------------]   0 %  0 of about 0 rows  waits for transactions to end that were writing when it began",
  ],
  [
    { state: "failed", rows: 0, estimatedRows: 0, error: "VALUE_NULL: name" },
    9,
    "a.v1: failed  [--------------------]   0 %  0 of about 0 rows\n  VALUE_NULL: name",
  ],
])("%o at %s rows/s", (changes, rate, line) => {
  expect(progressLine("a.v1", { ...RECORD, ...changes }, rate)).toBe(line);
});
