import { describe, expect, test } from "vitest";
import type { BackfillRecord } from "../../shared/kafka/backfill-record.ts";
import type { Chunk } from "../ports.ts";
import { afterChunk, beginning, newRecord, obeyed, restarted, withTables } from "./course.ts";

const ORDERS = { table: '"public"."orders"', keyColumns: ["id"] };
const LINES = { table: '"public"."lines"', keyColumns: ["order_id", "id"] };

function record(changes: Partial<BackfillRecord> = {}): BackfillRecord {
  const order = { id: "b", uses: [ORDERS.table], where: null, rowsPerSecond: null, command: null, nowMs: 1 };
  return { ...newRecord(order), tables: [ORDERS, LINES], ...changes };
}

const chunk = (rows: number, last: string[] | null, finished = false): Chunk => ({
  events: [],
  rows,
  last,
  finished,
});

describe("beginning", () => {
  test("a new schema, or a new major, which has no record either, begins by itself", () => {
    expect(beginning("auto", ["a"], undefined)).toBe("start");
    expect(beginning("manual", ["a"], undefined)).toBe("rest");
  });

  test("a table newly used begins anew, one that is not used any more does not", () => {
    const done = record({ state: "done", uses: ["a", "b"] });
    expect(beginning("auto", ["a", "b", "c"], done)).toBe("start");
    expect(beginning("auto", ["a"], done)).toBe("rest");
    expect(beginning("manual", ["c"], done)).toBe("rest");
  });

  test.each(["running", "paused", "failed"] as const)("what is %s goes on, however it began", (state) => {
    expect(beginning("manual", [ORDERS.table], record({ state }))).toBe("go on");
    expect(beginning("auto", [ORDERS.table], record({ state }))).toBe("go on");
  });

  test.each(["done", "cancelled"] as const)("what is %s rests", (state) => {
    expect(beginning("auto", [ORDERS.table], record({ state }))).toBe("rest");
  });
});

describe("afterChunk", () => {
  test("goes behind the last row, to the next table, and to the end", () => {
    const first = afterChunk(record(), chunk(2, ["7"]), 5);
    expect(first).toMatchObject({ at: 0, after: ["7"], rows: 2, state: "running", updatedAt: 5 });
    const second = afterChunk(first, chunk(1, ["8"], true), 6);
    expect(second).toMatchObject({ at: 1, after: null, rows: 3, state: "running" });
    expect(afterChunk(second, chunk(0, null, true), 7)).toMatchObject({ at: 2, rows: 3, state: "done" });
  });

  test("in a rebuild the end of the rows is not the end: what is gone is to be removed", () => {
    const removal = { ends: { 0: "5" }, partition: 0 };
    const last = afterChunk(record({ at: 1, rebuild: "r", removal }), chunk(1, ["8"], true), 7);
    expect(last).toMatchObject({ at: 2, state: "running", removal });
  });

  test("a table that ends exactly with a chunk keeps its place until the empty one", () => {
    const before = record({ after: ["7"], rows: 2 });
    expect(afterChunk(before, chunk(0, null, true), 5)).toMatchObject({ at: 1, after: null, rows: 2 });
  });
});

describe("restarted", () => {
  const order = { id: "n", uses: [], where: "a > 1", rowsPerSecond: 5, command: "c", nowMs: 9 };

  test("is a new backfill, unless a rebuild is not over: then all rows are read, and what is gone is removed", () => {
    expect(restarted(undefined, order)).toEqual(newRecord(order));
    expect(restarted(record({ state: "done", rebuild: "r" }), order)).toEqual(newRecord(order));
    const unfinished = { rebuild: "r", removal: { ends: {}, partition: 1 }, removed: 2 };
    expect(restarted(record({ state: "cancelled", ...unfinished }), order)).toEqual({
      ...newRecord({ ...order, where: null }),
      ...unfinished,
      removal: { ends: {}, partition: 1 },
    });
    expect(restarted(record({ state: "cancelled", rebuild: "r" }), order)).toMatchObject({ rebuild: "r" });
  });
});

describe("withTables", () => {
  test("keeps the place in the same table with the same key", () => {
    const place = { at: 1, after: ["4", "2"], rows: 90 };
    expect(withTables(record(place), [ORDERS, LINES], 50)).toMatchObject({ ...place, estimatedRows: 90 });
  });

  test("begins a table anew whose key is another one, and all of it where another table comes before", () => {
    const place = { at: 1, after: ["4", "2"] };
    const other = { ...LINES, keyColumns: ["id"] };
    expect(withTables(record(place), [ORDERS, other], 50)).toMatchObject({ at: 1, after: null });
    expect(withTables(record(place), [LINES], 50)).toMatchObject({ at: 0, after: null });
    expect(withTables(record({ tables: [] }), [ORDERS], 50)).toMatchObject({ at: 0, after: null });
  });
});

describe("withTables: the order of keys", () => {
  const typed = (...keyTypes: string[]) => ({ ...ORDERS, keyTypes });
  const place = { at: 0, after: ["4"] };

  test("begins a table anew whose key has another type or collation", () => {
    const before = record({ tables: [typed("25/-1/100")], ...place });
    expect(withTables(before, [typed("25/-1/950")], 5)).toMatchObject({ at: 0, after: null });
    expect(withTables(before, [typed("25/-1/100")], 5)).toMatchObject(place);
  });

  test("goes on where an older version did not say, and notes it", () => {
    const after = withTables(record({ tables: [ORDERS], ...place }), [typed("20/-1/0")], 5);
    expect(after).toMatchObject({ ...place, tables: [{ keyTypes: ["20/-1/0"] }] });
  });
});

describe("obeyed", () => {
  const command = (action: "start" | "pause" | "resume" | "cancel", id = "c") => {
    return { id, action, where: null, rowsPerSecond: null };
  };
  const never = () => {
    throw new Error("not to begin");
  };

  test.each([
    ["pause", "running", "paused"],
    ["pause", "done", "done"],
    ["resume", "paused", "running"],
    ["resume", "failed", "running"],
    ["resume", "cancelled", "cancelled"],
    ["cancel", "paused", "cancelled"],
    ["cancel", "done", "done"],
  ] as const)("%s makes of a %s one: %s", (action, state, expected) => {
    const after = obeyed(record({ state, error: "e" }), command(action), 9, never);
    expect(after).toMatchObject({ state: expected, command: "c" });
  });

  test("start begins anew, whatever there was", () => {
    const begun = record({ id: "new" });
    expect(obeyed(undefined, command("start"), 9, () => begun)).toBe(begun);
    expect(obeyed(record({ state: "running" }), command("start"), 9, () => begun)).toBe(begun);
  });

  test.each<[string, Partial<BackfillRecord>, boolean]>([
    ["under way", {}, true],
    ["paused", { state: "paused" }, true],
    ["failed", { state: "failed" }, true],
    ["done", { state: "done", rebuild: "r" }, false],
    ["cancelled", { state: "cancelled" }, false],
    ["of a condition", { where: "a > 1" }, false],
    ["a cancelled rebuild", { state: "cancelled", rebuild: "r" }, true],
    ["a cancelled removal", { state: "cancelled", removal: { ends: {}, partition: 0 } }, true],
  ])("start for a condition does not end one of all rows: %s", (_, changes, isKept) => {
    const before = record(changes);
    const some = { ...command("start"), where: "a > 5" };
    const begun = record({ id: "new" });
    const after = obeyed(before, some, 9, () => begun);
    expect(after).toEqual(isKept ? { ...before, command: "c" } : begun);
    expect(obeyed(before, command("start"), 9, () => begun)).toBe(begun);
  });

  test("a command is followed once", () => {
    expect(obeyed(record({ command: "c" }), command("start"), 9, never)).toBeUndefined();
    expect(obeyed(undefined, command("pause"), 9, never)).toBeUndefined();
  });
});
