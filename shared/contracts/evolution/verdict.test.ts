import { describe, expect, test } from "vitest";
import type { AvroField, AvroRecord } from "../avro-types.ts";
import type { Contract } from "./schema-change.ts";
import { conflictsWith, describeConflict, type EarlierVersion, minorProblem, remedyFor } from "./verdict.ts";

const ID: AvroField = { name: "id", type: "long" };
const record = (...fields: AvroField[]): AvroRecord => ({ type: "record", name: "r", fields });
const contract = (...fields: AvroField[]): Contract => ({ key: record(ID), value: record(ID, ...fields) });
const optional = (name: string, type: "string" | "long"): AvroField => ({
  name,
  type: ["null", type],
  default: null,
});
const at = (minor: number, ...fields: AvroField[]): EarlierVersion => ({
  origin: `v1.${minor}`,
  minor,
  contract: contract(...fields),
});

describe("conflicts", () => {
  test("are looked for in every version: what passes the latest may break an older one", () => {
    const history = [at(0, optional("note", "string")), at(1)];
    const conflicts = conflictsWith(history, contract(optional("note", "long")));
    expect(conflicts).toMatchObject([{ origins: ["v1.0"], change: { path: "note", kind: "type-changed" } }]);
    expect(conflicts.map((each) => describeConflict(each, 2))).toEqual([
      '"note" is long now, it was string: neither old nor new consumers can read the other\'s events (against v1.0; it needs version 2.0)',
    ]);
  });

  test("are said once, with all versions they break with", () => {
    const history = [at(0), at(1), { origin: "registry 7", contract: { value: contract().value } }];
    const conflicts = conflictsWith(history, contract({ name: "x", type: "long" }));
    expect(conflicts.map((each) => each.origins)).toEqual([["v1.0", "v1.1", "registry 7"]]);
  });

  test("of the key say so", () => {
    const now = { ...contract(), key: record({ name: "id", type: "string" }) };
    const [conflict] = conflictsWith([at(0)], now);
    expect(conflict && describeConflict(conflict, 2)).toMatch(/^"id" of the key is string now/);
  });

  test("come with what to do", () => {
    const [conflict] = conflictsWith([at(0)], contract({ name: "x", type: "long" }));
    expect(conflict && remedyFor(conflict, 3)).toMatch(/nullable or optional.*version 3\.0 beside/);
  });

  test("a new schema has none", () => {
    expect(conflictsWith([], contract())).toEqual([]);
  });
});

describe("the minor version", () => {
  const added = contract(optional("note", "string"));
  const problem = (history: EarlierVersion[], now: Contract, minor: number) =>
    minorProblem(history, now, { major: 1, minor });

  test("must be raised when the Avro changed", () => {
    expect(problem([at(0)], added, 0)).toMatchObject({
      minor: 1,
      message: expect.stringMatching(
        /"note" was added with the default null; v1.0 has another form, so this is version 1.1/,
      ),
    });
    expect(problem([at(0), at(3)], added, 3)).toMatchObject({ minor: 4 });
  });

  test("is fine when it is new, or says what it said before", () => {
    expect(problem([at(0)], added, 1)).toBeUndefined();
    expect(problem([at(0)], added, 5)).toBeUndefined();
    expect(problem([at(0), at(1, optional("note", "string"))], added, 1)).toBeUndefined();
    expect(problem([], added, 7)).toBeUndefined();
  });

  test("need not be raised for descriptions and order", () => {
    const described = contract({ ...optional("note", "string"), doc: "for the courier" });
    expect(problem([at(0, optional("note", "string"))], described, 0)).toBeUndefined();
  });

  test("does not go back", () => {
    expect(problem([at(0), at(2)], contract(), 1)).toMatchObject({
      minor: 2,
      message: expect.stringMatching(/there is v1.2 already/),
    });
    expect(problem([at(0), at(2)], added, 1)).toMatchObject({ minor: 3 });
    const raised = at(1, optional("note", "string"));
    expect(problem([at(0), raised], added, 0)).toMatchObject({ minor: 1 });
  });

  test("is not known of a registry", () => {
    expect(problem([{ origin: "registry 7", contract: contract() }], added, 0)).toBeUndefined();
  });
});
