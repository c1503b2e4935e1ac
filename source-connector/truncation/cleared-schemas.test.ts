import { expect, test } from "vitest";
import type { Relation } from "../ports.ts";
import { clearedSchemas, type DeleteUse } from "./cleared-schemas.ts";

const relation = (oid: number): Relation => ({
  oid,
  schema: "public",
  name: `t${oid}`,
  replicaIdentity: "d",
  columns: [],
});
const use = (schema: number, table: number, emit: DeleteUse["emit"] = "tombstone"): DeleteUse => ({
  schema,
  schemaName: `s${schema}`,
  table,
  emit,
});
const cleared = (truncated: number[], ...uses: DeleteUse[]) => clearedSchemas(truncated.map(relation), uses);
const stops = (message: RegExp) =>
  expect.objectContaining({ code: "TRUNCATE_STOPS", message: expect.stringMatching(message) });

test("a schema whose objects all come from truncated tables is cleared, with or without its parts", () => {
  expect(cleared([1], use(0, 1), use(1, 2))).toEqual([0]);
  expect(cleared([1], use(0, 1), use(0, 2, "upsert"))).toEqual([0]);
  expect(cleared([1, 2], use(0, 1), use(0, 2, "upsert"), use(1, 1), use(1, 2))).toEqual([0, 1]);
});

test("a schema that says nothing about deleted rows of the table is left as it is", () => {
  expect(cleared([3], use(0, 1))).toEqual([]);
});

test("what would leave some objects, without the WAL saying which, stops", () => {
  expect(() => cleared([2], use(0, 1), use(0, 2, "upsert"))).toThrow(stops(/public\.t2.*"s0".*parts/));
  expect(() => cleared([2], use(0, 1), use(0, 2))).toThrow(stops(/other tables too/));
  expect(() => cleared([2], use(0, 2, "upsert"))).toThrow(stops(/parts/));
});
