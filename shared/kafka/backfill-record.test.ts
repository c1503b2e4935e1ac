import { expect, test } from "vitest";
import {
  type BackfillRecord,
  backfillName,
  decodeBackfill,
  encodeBackfill,
  encodeBackfillCommand,
} from "./backfill-record.ts";

const RECORD: BackfillRecord = {
  id: "b",
  state: "running",
  uses: ['"public"."t"'],
  tables: [{ table: '"public"."t"', keyColumns: ["a", "b"] }],
  at: 0,
  after: ["x", null],
  rows: 5,
  events: 4,
  overtaken: 1,
  estimatedRows: 10,
  where: "a > 1",
  rowsPerSecond: 0.5,
  startedAt: 1,
  updatedAt: 2,
  command: null,
  error: null,
  rebuild: "r",
  removal: { ends: { 0: "7" }, partition: 0 },
  removed: 3,
  waits: true,
};

test("records and commands come back as they were, under the name of the schema", () => {
  const name = backfillName({ name: "a.b-c", version: { major: 2 } });
  expect(name).toBe("a.b-c.v2");
  const state = encodeBackfill(name, RECORD);
  expect(decodeBackfill(state.key, state.value)).toEqual({ kind: "state", schema: name, record: RECORD });
  const command = { id: "c", action: "start", where: null, rowsPerSecond: 9 } as const;
  const asked = encodeBackfillCommand(name, command);
  expect(decodeBackfill(asked.key, asked.value)).toEqual({ kind: "command", schema: name, command });
});

test("a record from before there were rebuilds has none, and waits for nothing", () => {
  const { rebuild, removal, removed, waits, ...old } = RECORD;
  expect(decodeBackfill("backfill:a.v1", JSON.stringify(old))).toMatchObject({
    record: { ...old, rebuild: null, removal: null, removed: 0, waits: false },
  });
});

test("other records are passed over, so are commands that are not understood; a state that is not is refused", () => {
  expect(decodeBackfill("progress", "{}")).toBeUndefined();
  expect(decodeBackfill("backfill-command:a.v1", "no JSON")).toBeUndefined();
  expect(decodeBackfill("backfill-command:a.v1", '{"id":"1","action":"dance"}')).toBeUndefined();
  const invalid = expect.objectContaining({ code: "BACKFILL_RECORD_INVALID" });
  expect(() => decodeBackfill("backfill:a.v1", "{}")).toThrow(invalid);
  expect(() => decodeBackfill("backfill:a.v1", "no JSON")).toThrow(invalid);
});
