import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { allFaults } from "../catalogue/all.ts";
import type { Fault, FaultResult } from "./fault.ts";
import { HUGE_ROWS } from "./plan.ts";
import { counted, countsIn, results, withRuns } from "./results.ts";

const fault = (id: string, group: string): Fault => ({
  id,
  group,
  title: `kill -9 of \`${id}\` | twice`,
  run: async () => {},
});
const FAULTS = [fault("b-late", "10. Later"), fault("a-first", "2. First"), fault("a-never", "2. First")];

function result(id: string, passed: boolean, transactions: number, recoveredMs: number): FaultResult {
  return { id, passed, transactions, recoveredMs, seed: 1, complaints: [], seconds: 1 };
}

test("a table is made of the runs, and the next runs are added to what it says", () => {
  const first = counted([
    result("a-first", true, 100, 1_500),
    result("a-first", false, 20, 700),
    result("b-late", true, 5, 0),
  ]);
  const page = results(FAULTS, first);
  expect(page.split("\n")).toEqual([
    "### 2. First\n".trim(),
    "",
    "| fault | runs | failed | transactions | slowest recovery |",
    "|---|--:|--:|--:|--:|",
    "| `a-first`: kill -9 of `a-first` | twice | 2 | 1 | 120 | 1.5 s |",
    "| `a-never`: kill -9 of `a-never` | twice | 0 | 0 | 0 |  |",
    "",
    "### 10. Later",
    "",
    "| fault | runs | failed | transactions | slowest recovery |",
    "|---|--:|--:|--:|--:|",
    "| `b-late`: kill -9 of `b-late` | twice | 1 | 0 | 5 | 0.0 s |",
    "",
  ]);
  const second = counted(
    [result("a-never", true, 7, 2_000), result("a-first", true, 1, 9_000)],
    countsIn(page),
  );
  expect(second.get("a-first")).toEqual({ runs: 3, failed: 1, transactions: 121, slowestMs: 9_000 });
  expect(second.get("a-never")).toEqual({ runs: 1, failed: 0, transactions: 7, slowestMs: 2_000 });
  expect(second.get("b-late")).toEqual({ runs: 1, failed: 0, transactions: 5, slowestMs: 0 });
  expect(results(FAULTS, countsIn(page))).toBe(page);
});

test("a failed run is counted as failed, and its time is nobody's recovery", () => {
  const page = `before\n<!-- runs -->\n\n${results(FAULTS, new Map())}\n<!-- end of runs -->\nafter\n`;
  const made = [result("a-first", false, 20, 90_000), result("b-late", false, 3, 90_000)];
  const failed = withRuns(page, FAULTS, made);
  expect(countsIn(failed).get("a-first")).toEqual({ runs: 1, failed: 1, transactions: 20, slowestMs: 0 });
  expect(failed).toContain("| `b-late`: kill -9 of `b-late` | twice | 1 | 1 | 3 |  |\n");
  const mended = withRuns(failed, FAULTS, [result("a-first", true, 5, 800)]);
  expect(countsIn(mended).get("a-first")).toEqual({ runs: 2, failed: 1, transactions: 25, slowestMs: 800 });
  expect(mended.split(/(?<=-->)/).at(0)).toBe("before\n<!-- runs -->");
  expect(mended.split(/(?<=-->)/).at(-1)).toBe("\nafter\n");
  expect(() => withRuns("no table", FAULTS, [])).toThrow("has no table");
});

/** Faults that the page shows without a run, and why. */
const NOT_RUN: Readonly<Record<string, string>> = {};

const PAGE_COUNTS = countsIn(readFileSync(new URL("../../../docs/faults.md", import.meta.url), "utf8"));
const IDS = allFaults(HUGE_ROWS).map(({ id }) => id);

test("the page has a row that can be counted on for every fault there is", () => {
  expect(IDS.filter((id) => !PAGE_COUNTS.has(id))).toEqual([]);
});

test("every fault of the page has been run, but those that say why not", () => {
  expect(IDS.filter((id) => PAGE_COUNTS.get(id)?.runs === 0)).toEqual(IDS.filter((id) => id in NOT_RUN));
});
