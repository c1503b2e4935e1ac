import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { AvroField } from "./avro-types.ts";
import { avroRecordOf } from "./json-schema-to-avro.ts";
import { outputSchemaOf } from "./zod-types.ts";

function fieldOf(type: z.ZodType): AvroField {
  return avroRecordOf(outputSchemaOf(z.object({ v: type })), "thing", "test").fields[0] as AvroField;
}

const TIMESTAMP = { type: "long", logicalType: "timestamp-micros" };
const DATE = { type: "int", logicalType: "date" };
const TIME = { type: "long", logicalType: "time-micros" };
const UUID = { type: "string", logicalType: "uuid" };
const JSON_OR_NULL = ["null", { type: "string", "rejot.json": true }];
const enumOf = (...symbols: string[]) => ({ type: "enum", name: "thing_v", symbols });
const record = (...fields: object[]) => ({ type: "record", name: "thing_v", fields });
const STRING_FIELD = { name: "a", type: "string" };

type Tree = { name: string; children: Tree[] };
const tree: z.ZodType<Tree> = z.lazy(() => z.object({ name: z.string(), children: z.array(tree) }));

/** The usual ones are in avro-schema.test.ts and in the table of docs/types.md: here is what else people write. */
describe("every zod type that has a form maps to it", () => {
  test.each<[string, z.ZodType, unknown]>([
    ["z.uint32()", z.uint32(), "long"],
    ["z.uint64()", z.uint64(), "long"],
    ["z.int64()", z.int64(), "long"],
    ["z.coerce.number()", z.coerce.number(), "double"],
    ["z.coerce.bigint()", z.coerce.bigint(), "long"],
    ["z.uuidv7()", z.uuidv7(), UUID],
    ["z.string().date()", z.string().date(), DATE],
    ["z.string().time()", z.string().time(), TIME],
    ["z.iso.time({ precision })", z.iso.time({ precision: 3 }), TIME],
    ["z.iso.datetime({ offset })", z.iso.datetime({ offset: true }), TIMESTAMP],
    ["z.iso.datetime({ local })", z.iso.datetime({ local: true }), "string"],
    ["z.string() with checks", z.string().min(3).max(9).regex(/a/), "string"],
    ["z.ipv4(), z.ulid(), z.jwt()", z.union([z.ipv4(), z.ulid(), z.jwt()]), "string"],
    ["a TypeScript enum", z.enum({ A: "a", B: "b" }), enumOf("a", "b")],
    ["a numeric enum", z.enum({ A: 1, B: 2 }), { type: "long", "rejot.values": [1, 2] }],
    ["z.literal([…])", z.literal(["a", "b"]), enumOf("a", "b")],
    ["a union of literals", z.union([z.literal("a"), z.literal("b")]), enumOf("a", "b")],
    ["a nullable one", z.union([z.literal("a"), z.literal("b")]).nullable(), ["null", enumOf("a", "b")]],
    [
      "of words that are no names",
      z.union([z.literal("a b"), z.literal("c")]),
      { type: "string", "rejot.values": ["a b", "c"] },
    ],
    ["z.literal(7n)", z.literal(7n), { type: "long", "rejot.values": [7] }],
    ["z.literal(null)", z.literal(null), "null"],
    ["z.keyof()", z.object({ a: z.string(), b: z.int() }).keyof(), enumOf("a", "b")],
    ["z.strictObject()", z.strictObject({ a: z.string() }), record(STRING_FIELD)],
    [
      "z.object().extend()",
      z.object({ a: z.string() }).extend({ b: z.int() }),
      record(STRING_FIELD, { name: "b", type: "long" }),
    ],
    ["z.object().pick()", z.object({ a: z.string(), b: z.int() }).pick({ a: true }), record(STRING_FIELD)],
    [
      "z.intersection()",
      z.object({ a: z.string() }).and(z.object({ b: z.int() })),
      record(STRING_FIELD, { name: "b", type: "long" }),
    ],
    ["z.record(z.enum(), …)", z.record(z.enum(["a", "b"]), z.number()), { type: "map", values: "double" }],
    ["z.array().nonempty()", z.array(z.string()).nonempty(), { type: "array", items: "string" }],
    ["z.custom()", z.custom<string>(), JSON_OR_NULL],
    ["a recursive type", tree, JSON_OR_NULL],
    ["z.number().refine()", z.number().refine((value) => value > 0), "double"],
    ["z.string().trim()", z.string().trim(), "string"],
    ["z.lazy()", z.lazy(() => z.string()), "string"],
    ["z.nonoptional()", z.nonoptional(z.string().optional()), "string"],
    ["z.preprocess()", z.preprocess(String, z.string()), "string"],
    ["z.stringbool()", z.stringbool(), "boolean"],
    [".transform().pipe()", z.string().transform(Number).pipe(z.number()), "double"],
    [
      "z.codec()",
      z.codec(z.iso.datetime(), z.date(), { decode: (text) => new Date(text), encode: String }),
      TIMESTAMP,
    ],
  ])("%s", (_written, type, avro) => {
    expect(fieldOf(type).type).toEqual(avro);
  });

  test("what may be missing is null by default, and what has a default has it in Avro", () => {
    expect(fieldOf(z.string().nullish())).toEqual({
      name: "v",
      type: ["null", "string"],
      default: null,
      "rejot.optional": true,
    });
    expect(fieldOf(z.string().nullable())).toEqual({ name: "v", type: ["null", "string"], default: null });
    expect(fieldOf(z.number().default(1.5))).toEqual({ name: "v", type: "double", default: 1.5 });
    expect(fieldOf(z.enum(["a", "b"]).default("b"))).toMatchObject({ default: "b" });
    expect(fieldOf(z.string().describe("of the account"))).toMatchObject({ doc: "of the account" });
    expect(fieldOf(z.object({ a: z.string() }).partial())).toMatchObject({
      type: record({ name: "a", type: ["null", "string"], default: null, "rejot.optional": true }),
    });
  });

  test("alternatives that a discriminator tells apart are records named after it", () => {
    const { type } = fieldOf(
      z.discriminatedUnion("kind", [
        z.object({ kind: z.literal("card"), last4: z.string() }),
        z.object({ kind: z.literal("cash"), given: z.number() }),
      ]),
    );
    expect((type as { name: string }[]).map(({ name }) => name)).toEqual(["thing_v_card", "thing_v_cash"]);
  });
});

describe("every zod type that has none is refused, with a hint", () => {
  test.each<[string, z.ZodType]>([
    ["is a tuple", z.tuple([z.string(), z.number()])],
    ["fields with names and others without", z.looseObject({ a: z.string() })],
    ["fields with names and others without", z.object({ a: z.string() }).catchall(z.number())],
    ["alternatives that are all strings in JSON", z.union([z.iso.date(), z.uuid()])],
    ["several arrays as alternatives", z.union([z.array(z.string()), z.array(z.number())])],
    ["a map and another object", z.union([z.record(z.string(), z.int()), z.object({ a: z.string() })])],
    ["an intersection of what are not objects", z.intersection(z.string(), z.number())],
  ])("%s", (why, type) => {
    expect(() => fieldOf(type)).toThrowError(
      expect.objectContaining({
        code: "SCHEMA_NOT_MAPPABLE",
        message: expect.stringMatching(`v.* ${why}`),
        hint: expect.stringContaining("json()"),
      }),
    );
  });
});
