import { expect, test } from "vitest";
import { parseAvroSchema } from "./named-types.ts";

const parse = (schema: unknown) => parseAvroSchema(JSON.stringify(schema));
const point = { type: "record", name: "Point", fields: [{ name: "x", type: "int" }] };

test("types referred to by name are written out, in every namespace they are known by", () => {
  const schema = parse({
    type: "record",
    name: "Line",
    namespace: "shapes",
    fields: [
      { name: "from", type: point },
      { name: "to", type: "Point" },
      { name: "via", type: { type: "array", items: ["null", "shapes.Point"] } },
      { name: "named", type: { type: "map", values: { type: { type: "string" } } } },
      { name: "other", type: { type: "enum", name: "misc.Kind", symbols: ["A"] } },
      { name: "again", type: "misc.Kind", default: "A" },
    ],
  });
  const kind = { type: "enum", name: "misc.Kind", symbols: ["A"] };
  expect(schema.fields.map((field) => field.type)).toEqual([
    point,
    point,
    { type: "array", items: ["null", point] },
    { type: "map", values: { type: "string" } },
    kind,
    kind,
  ]);
  expect(schema.fields[5]?.default).toBe("A");
});

test.each<[string, unknown]>([
  ["recursive", { type: "record", name: "Tree", fields: [{ name: "next", type: ["null", "Tree"] }] }],
  ["no record", "string"],
  ["of an unknown type", { type: "record", name: "R", fields: [{ name: "a", type: "Nothing" }] }],
])("a schema that is %s is refused", (_what, schema) => {
  expect(() => parse(schema)).toThrowError(expect.objectContaining({ code: "SCHEMA_NOT_MAPPABLE" }));
});

test("what is no JSON is refused", () => {
  expect(() => parseAvroSchema("syntax = proto3")).toThrowError(
    expect.objectContaining({ code: "SCHEMA_NOT_MAPPABLE" }),
  );
});
