import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AvroField, AvroRecord, AvroType } from "../avro-types.ts";
import { canRead } from "./avro-resolution.ts";
import { compareContracts, compareKeys, compareValues } from "./compare-contracts.ts";
import { resolveRecord } from "./resolved-type.ts";

const record = (...fields: AvroField[]): AvroRecord => ({
  type: "record",
  name: "r",
  namespace: "n",
  fields,
});
const field = (name: string, type: AvroType, more: Partial<AvroField> = {}): AvroField => ({
  name,
  type,
  ...more,
});
const one = (type: AvroType, more: Partial<AvroField> = {}) => record(field("x", type, more));
const kind = (before: AvroRecord, after: AvroRecord) =>
  compareValues(before, after).map((c) => `${c.path}: ${c.kind} ${c.breaks.join("+") || "-"} ${c.bump}`);
const choice = (symbols: string[], more: object = {}): AvroType => ({
  type: "enum",
  name: "e",
  symbols,
  ...more,
});

describe("a change of the value", () => {
  const id = field("id", "long");
  test.each<[string, AvroRecord, AvroRecord, string[]]>([
    ["nothing", one("string"), one("string"), []],
    ["a field added", record(id), record(id, field("x", "int")), ["x: field-added new-readers major"]],
    [
      "a field added with a default",
      record(id),
      record(id, field("x", "int", { default: 0 })),
      ["x: field-added - minor"],
    ],
    ["a field removed", record(id, field("x", "int")), record(id), ["x: field-removed old-readers major"]],
    [
      "a field removed that had a default",
      record(id, field("x", ["null", "int"], { default: null })),
      record(id),
      ["x: field-removed - minor"],
    ],
    [
      "a field renamed",
      record(field("x", "int")),
      record(field("y", "int")),
      ["x: field-removed old-readers major", "y: field-added new-readers major"],
    ],
    [
      "a field renamed, with an alias",
      record(field("x", "int", { default: 0 })),
      record({ ...field("y", "int"), aliases: ["x"] } as AvroField),
      ["y: field-renamed - minor"],
    ],
    [
      "required to nullable",
      one("string"),
      one(["null", "string"], { default: null }),
      ["x: nullable old-readers major"],
    ],
    [
      "nullable to required",
      one(["null", "string"], { default: null }),
      one("string"),
      ["x: not-nullable new-readers major"],
    ],
    ["a promotion", one("int"), one("long"), ["x: type-changed old-readers major"]],
    ["a promotion back", one("double"), one("float"), ["x: type-changed new-readers major"]],
    ["another type", one("string"), one("long"), ["x: type-changed old-readers+new-readers major"]],
    ["text and bytes", one("string"), one("bytes"), ["x: type-changed old-readers+new-readers major"]],
    [
      "a symbol added",
      one(choice(["a"])),
      one(choice(["a", "b"])),
      ["x: enum-value-added old-readers major"],
    ],
    [
      "a symbol removed",
      one(choice(["a", "b"])),
      one(choice(["a"])),
      ["x: enum-value-removed new-readers major"],
    ],
    [
      "a symbol added where others have a default",
      one(choice(["a"], { default: "a" })),
      one(choice(["a", "b"], { default: "b" })),
      ["x: enum-value-added - minor", "x: enum-default-changed - minor"],
    ],
    [
      "fixed of another size",
      one({ type: "fixed", name: "f", size: 4 }),
      one({ type: "fixed", name: "f", size: 8 }),
      ["x: type-changed old-readers+new-readers major"],
    ],
    [
      "fixed of another name",
      one({ type: "fixed", name: "f", size: 4 }),
      one({ type: "fixed", name: "g", size: 4 }),
      ["x: name-changed old-readers+new-readers major"],
    ],
    [
      "a logical type",
      one("long"),
      one({ type: "long", logicalType: "timestamp-micros" }),
      ["x: meaning-changed old-readers+new-readers major"],
    ],
    [
      "a promotion to another meaning",
      one({ type: "int", logicalType: "date" }),
      one({ type: "long", logicalType: "timestamp-micros" }),
      ["x: type-changed old-readers major", "x: meaning-changed new-readers major"],
    ],
    [
      "the scale of a decimal",
      one({ type: "bytes", logicalType: "decimal", precision: 10, scale: 2 }),
      one({ type: "bytes", logicalType: "decimal", precision: 10, scale: 3 }),
      ["x: meaning-changed old-readers+new-readers major"],
    ],
    [
      "a listed value added",
      one({ type: "string", "rejot.values": ["a-b"] }),
      one({ type: "string", "rejot.values": ["a-b", "c-d"] }),
      ["x: enum-value-added old-readers major"],
    ],
    [
      "a list of values given up",
      one({ type: "long", "rejot.values": [1] }),
      one("long"),
      ["x: enum-value-added old-readers major"],
    ],
    [
      "an alternative added",
      one(["string", "long"]),
      one(["string", "long", "boolean"]),
      ["x: alternative-added old-readers major"],
    ],
    [
      "an alternative that a wider one takes",
      one(["string", "long"]),
      one(["string", "double"]),
      ["x: alternative-removed - minor", "x: alternative-added old-readers major"],
    ],
    ["alternatives in another order", one(["string", "long"]), one(["long", "string"]), []],
    [
      "a default",
      one("string", { default: "a" }),
      one("string", { default: "b" }),
      ["x: default-changed - minor"],
    ],
    ["a description", one("string", { doc: "a" }), one("string"), ["x: doc-changed - none"]],
    [
      "the order",
      record(id, field("x", "int")),
      record(field("x", "int"), id),
      [": fields-reordered - none"],
    ],
    [
      "the mark of a column that may be left out",
      one("int"),
      one("int", { "rejot.optional": true }),
      ["x: optional-changed - none"],
    ],
    [
      "inside lists, maps and objects",
      one({ type: "array", items: { type: "map", values: one("string") } }),
      one({ type: "array", items: { type: "map", values: one("long") } }),
      ["x[]{}.x: type-changed old-readers+new-readers major"],
    ],
    [
      "a record of another name",
      one({ ...record(id), name: "a" }),
      one({ ...record(id), name: "b" }),
      ["x: name-changed old-readers+new-readers major"],
    ],
  ])("%s", (_name, before, after, expected) => {
    expect(kind(before, after)).toEqual(expected);
  });

  test("says what and why in one sentence, and marks what Avro would let pass", () => {
    expect(compareValues(one("string"), one("bytes"))).toMatchObject([
      {
        message: '"x" is bytes now, it was string: text and bytes are not the same to a consumer\'s SQL',
        beyondAvro: expect.stringMatching(/Avro reads/),
      },
    ]);
    expect(compareValues(one("string"), one("long"))[0]).not.toHaveProperty("beyondAvro");
  });
});

describe("a change of the key", () => {
  const key = (...fields: AvroField[]) => ({ ...record(...fields), name: "rKey" });
  test.each<[string, AvroRecord, AvroRecord, RegExp, boolean]>([
    [
      "a field more",
      key(field("a", "long")),
      key(field("a", "long"), field("b", "long")),
      /is \(a, b\) now, it was \(a\)/,
      false,
    ],
    [
      "another order",
      key(field("a", "long"), field("b", "long")),
      key(field("b", "long"), field("a", "long")),
      /is \(b, a\) now/,
      true,
    ],
    [
      "another type",
      key(field("a", "long")),
      key(field("a", "string")),
      /"a" of the key is string now, it was long/,
      false,
    ],
    [
      "a logical type",
      key(field("a", "string")),
      key(field("a", { type: "string", logicalType: "uuid" })),
      /uuid now, it was string/,
      true,
    ],
    [
      "another namespace",
      key(field("a", "long")),
      { ...key(field("a", "long")), namespace: "m" },
      /written differently/,
      true,
    ],
  ])("%s breaks everybody", (_name, before, after, message, passesAvro) => {
    const [change] = compareKeys(before, after);
    expect(change).toMatchObject({
      part: "key",
      kind: "key-changed",
      breaks: ["old-readers", "new-readers"],
      bump: "major",
    });
    expect(change?.message).toMatch(message);
    expect(change?.message).toContain("another partition");
    expect(change?.beyondAvro !== undefined).toBe(passesAvro);
    expect(
      compareContracts({ key: before, value: one("long") }, { key: after, value: one("int") }),
    ).toHaveLength(2);
  });
});

/** Any schema of one small world of names, so that two of them often have much in common. */
function arbitraryRecord(): fc.Arbitrary<AvroRecord> {
  const { type } = fc.letrec<{ type: AvroType }>((tie) => {
    const leaf = fc.oneof(
      fc.constantFrom<AvroType>("boolean", "int", "long", "float", "double", "bytes", "string"),
      fc.tuple(fc.constantFrom("e1", "e2"), fc.subarray(["a", "b", "c"], { minLength: 1 }), fc.boolean()).map(
        ([name, symbols, known]): AvroType => ({
          type: "enum",
          name,
          symbols,
          ...(known ? { default: symbols[0] as string } : {}),
        }),
      ),
      fc.record({ type: fc.constant("fixed" as const), name: fc.constant("f"), size: fc.constantFrom(2, 4) }),
    );
    const inner = fc
      .tuple(fc.constantFrom("s", "t"), fields(tie("type")))
      .map(([name, list]): AvroType => ({ type: "record", name, fields: list }));
    return {
      type: fc.oneof(
        { maxDepth: 3 },
        leaf,
        inner,
        tie("type").map((items): AvroType => ({ type: "array", items })),
        tie("type").map((values): AvroType => ({ type: "map", values })),
        fc
          .uniqueArray(fc.oneof(leaf, inner), { selector: branchKey, minLength: 1, maxLength: 3 })
          .map((branches): AvroType => ["null", ...branches]),
        fc.uniqueArray(leaf, { selector: branchKey, minLength: 2, maxLength: 3 }),
      ),
    };
  });
  return fields(type).map((list) => record(...list));
}

function branchKey(type: AvroType): string {
  if (typeof type === "string") return type;
  return "name" in type ? String(type.name) : JSON.stringify(type);
}

function fields(type: fc.Arbitrary<AvroType>): fc.Arbitrary<AvroField[]> {
  const each = fc
    .tuple(fc.constantFrom("x", "y", "z"), type, fc.boolean())
    .map(([name, inner, known]): AvroField => ({ name, type: inner, ...(known ? { default: null } : {}) }));
  return fc.uniqueArray(each, { selector: ({ name }) => name, maxLength: 3 });
}

test("the verdicts of all changes together are that of Avro's resolution", () => {
  fc.assert(
    fc.property(arbitraryRecord(), arbitraryRecord(), (before, after) => {
      const breaks = new Set(
        compareValues(before, after)
          .filter(({ beyondAvro }) => beyondAvro === undefined)
          .flatMap((change) => change.breaks),
      );
      const [old, now] = [resolveRecord(before), resolveRecord(after)];
      expect([breaks.has("old-readers"), breaks.has("new-readers")]).toEqual([
        !canRead(old, now),
        !canRead(now, old),
      ]);
    }),
    { numRuns: 3_000 },
  );
});
