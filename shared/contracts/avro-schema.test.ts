import avro from "avsc";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { avroSchemasOf } from "./avro-schema.ts";
import type { AvroField, AvroRecord, AvroType } from "./avro-types.ts";
import {
  bytes,
  date,
  decimal,
  int64,
  type JsonSchema,
  json,
  outputSchemaOf,
  time,
  timestamp,
} from "./zod-types.ts";

function schemas(
  outputSchema: JsonSchema,
  keyFields: string[] = [],
  manifestSlug = "rejot-test",
  name = "customer",
) {
  const publicSchema = { name, outputSchema, version: { major: 1, minor: 0 } };
  const result = avroSchemasOf({ manifestSlug, publicSchema, keyFields });
  // avsc refuses what is no valid Avro.
  avro.Type.forSchema(result.key as avro.Schema);
  avro.Type.forSchema(result.value as avro.Schema);
  return result;
}

function fieldOf(property: JsonSchema, required = true): AvroField {
  const outputSchema = {
    type: "object",
    properties: { v: property },
    ...(required ? { required: ["v"] } : {}),
  };
  return schemas(outputSchema).value.fields[0] as AvroField;
}

function zodField(type: z.ZodType): AvroField {
  return schemas(outputSchemaOf(z.object({ v: type }))).value.fields[0] as AvroField;
}

const JSON_TEXT: AvroType = { type: "string", "rejot.json": true };
const MICROS: AvroType = { type: "long", logicalType: "timestamp-micros" };

describe("zod to Avro", () => {
  test.each<[string, z.ZodType, AvroType]>([
    ["z.string()", z.string(), "string"],
    ["z.email()", z.email(), "string"],
    ["z.number()", z.number(), "double"],
    ["z.int()", z.int(), "long"],
    ["z.number().int()", z.number().int(), "long"],
    ["z.int32()", z.int32(), "long"],
    ["z.bigint()", z.bigint(), "long"],
    ["int64()", int64(), "long"],
    ["z.boolean()", z.boolean(), "boolean"],
    ["z.null()", z.null(), "null"],
    ["z.uuid()", z.uuid(), { type: "string", logicalType: "uuid" }],
    ["z.string().uuid()", z.string().uuid(), { type: "string", logicalType: "uuid" }],
    ["timestamp()", timestamp(), MICROS],
    ["z.date()", z.date(), MICROS],
    ["z.coerce.date()", z.coerce.date(), MICROS],
    ["z.iso.datetime()", z.iso.datetime(), MICROS],
    ["z.string().datetime()", z.string().datetime(), MICROS],
    ["date()", date(), { type: "int", logicalType: "date" }],
    ["z.iso.date()", z.iso.date(), { type: "int", logicalType: "date" }],
    ["time()", time(), { type: "long", logicalType: "time-micros" }],
    ["z.iso.time()", z.iso.time(), { type: "long", logicalType: "time-micros" }],
    ["z.iso.duration()", z.iso.duration(), "string"],
    ["decimal(10, 2)", decimal(10, 2), { type: "bytes", logicalType: "decimal", precision: 10, scale: 2 }],
    ["bytes()", bytes(), "bytes"],
    ["z.base64()", z.base64(), "bytes"],
    ["json()", json(), JSON_TEXT],
    ["z.unknown()", z.unknown(), ["null", JSON_TEXT]],
    ["z.any()", z.any(), ["null", JSON_TEXT]],
    ["z.json()", z.json(), ["null", JSON_TEXT]],
    ["z.enum", z.enum(["a", "b"]), { type: "enum", name: "customer_v", symbols: ["a", "b"] }],
    ["z.enum, no Avro names", z.enum(["a-b", "b"]), { type: "string", "rejot.values": ["a-b", "b"] }],
    ["z.literal", z.literal("x"), { type: "enum", name: "customer_v", symbols: ["x"] }],
    ["z.literal(1)", z.literal(1), { type: "long", "rejot.values": [1] }],
    ["z.literal(1.5)", z.literal(1.5), { type: "double", "rejot.values": [1.5] }],
    ["z.literal(true)", z.literal(true), { type: "boolean", "rejot.values": [true] }],
    ["literals", z.literal(["x", null]), ["null", { type: "enum", name: "customer_v", symbols: ["x"] }]],
    ["z.array", z.array(z.string()), { type: "array", items: "string" }],
    ["z.set", z.set(z.int()), { type: "array", items: "long" }],
    ["z.array of nullable", z.array(z.string().nullable()), { type: "array", items: ["null", "string"] }],
    ["z.record", z.record(z.string(), z.number()), { type: "map", values: "double" }],
    ["nullable", z.string().nullable(), ["null", "string"]],
    ["nullish", z.string().nullish(), ["null", "string"]],
    [
      "nullable decimal",
      decimal(4).nullable(),
      ["null", { type: "bytes", logicalType: "decimal", precision: 4, scale: 0 }],
    ],
    ["string | number", z.union([z.string(), z.number()]), ["string", "double"]],
    ["string | int | null", z.union([z.string(), z.int(), z.null()]), ["null", "string", "long"]],
    ["int | number", z.union([z.int(), z.number()]), "double"],
    ["enum | string", z.union([z.literal("a"), z.string()]), "string"],
    ["true | false", z.union([z.literal(true), z.literal(false)]), "boolean"],
    ["string | anything", z.union([z.string(), z.unknown()]), ["null", JSON_TEXT]],
    ["brand", z.string().brand<"Id">(), "string"],
    ["readonly", z.array(z.int()).readonly(), { type: "array", items: "long" }],
    ["pipe", z.string().pipe(z.email()), "string"],
  ])("%s", (_name, type, expected) => {
    expect(zodField(type).type).toEqual(expected);
  });

  test("optional and nullable are null by default; only optional may be left out of the SELECT", () => {
    expect(zodField(z.string().nullable())).toEqual({ name: "v", type: ["null", "string"], default: null });
    expect(zodField(z.string().optional())).toEqual({
      name: "v",
      type: ["null", "string"],
      default: null,
      "rejot.optional": true,
    });
  });

  test("defaults and descriptions go into the Avro schema", () => {
    expect(zodField(z.string().default("x").describe("What it is."))).toEqual({
      name: "v",
      type: "string",
      default: "x",
      doc: "What it is.",
    });
    expect(zodField(z.boolean().default(false)).default).toBe(false);
  });

  test("objects are records named by their path, alternatives by what tells them apart", () => {
    const outputSchema = outputSchemaOf(
      z.object({
        address: z.object({ city: z.string(), geo: z.object({ lat: z.number() }).optional() }),
        lines: z.array(z.object({ sku: z.string() })),
        pay: z.discriminatedUnion("kind", [
          z.object({ kind: z.literal("card"), last4: z.string() }),
          z.object({ kind: z.literal("cash") }),
        ]),
      }),
    );
    const names: string[] = [];
    const collect = (value: unknown): void => {
      if (typeof value !== "object" || value === null) return;
      if ("name" in value && "type" in value && (value.type === "record" || value.type === "enum")) {
        names.push(String(value.name));
      }
      Object.values(value).forEach(collect);
    };
    collect(schemas(outputSchema).value);
    expect(names).toEqual([
      "customer",
      "customer_address",
      "customer_address_geo",
      "customer_lines_item",
      "customer_pay_card",
      "customer_pay_card_kind",
      "customer_pay_cash",
      "customer_pay_cash_kind",
    ]);
  });

  test("paths that join to one name stay apart, each named the same as before the other came", () => {
    const inner = z.object({ x: z.int() });
    const named = (shape: z.ZodRawShape) =>
      JSON.stringify(schemas(outputSchemaOf(z.object(shape))).value).match(/customer_a_b\w*/g);
    expect(named({ a: z.object({ b: inner }) })).toEqual(["customer_a_b"]);
    expect(named({ a: z.object({ b: inner }), a_b: inner })).toEqual([
      "customer_a_b",
      expect.stringMatching(/^customer_a_b__?[0-9a-f]{8}$/),
    ]);
  });

  test("what the way out transforms has no form; objects of intersections are one", () => {
    expect(() => outputSchemaOf(z.object({ v: z.string().transform((text) => text.length) }))).toThrowError(
      expect.objectContaining({
        code: "SCHEMA_NOT_MAPPABLE",
        message: expect.stringContaining("v is a zod transform"),
      }),
    );
    const both = z.intersection(z.object({ a: z.string() }), z.object({ b: z.int() }));
    expect((zodField(both).type as AvroRecord).fields.map((field) => field.name)).toEqual(["a", "b"]);
  });
});

describe("JSON Schema as others write it", () => {
  test("zod 3's: nullable types, anyOf with null, references into the document", () => {
    const address = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
    const { value } = schemas({
      $ref: "#/definitions/Customer",
      definitions: {
        Customer: {
          type: "object",
          properties: {
            a: { type: ["string", "null"] },
            b: { anyOf: [{ type: "number" }, { type: "null" }] },
            c: { type: "string", nullable: true },
            home: address,
            work: { $ref: "#/definitions/Customer/properties/home" },
          },
          required: ["a", "b", "c", "home", "work"],
        },
      },
      $schema: "http://json-schema.org/draft-07/schema#",
    });
    expect(value.fields.map((field) => field.type)).toEqual([
      ["null", "string"],
      ["null", "double"],
      ["null", "string"],
      { type: "record", name: "customer_home", fields: [{ name: "city", type: "string" }] },
      { type: "record", name: "customer_work", fields: [{ name: "city", type: "string" }] },
    ]);
  });

  test("a recursive type is JSON", () => {
    const tree = { type: "object", properties: { next: { $ref: "#/definitions/tree" } } };
    const { value } = schemas({
      type: "object",
      properties: { v: { $ref: "#/definitions/tree" } },
      required: ["v"],
      definitions: { tree },
    });
    expect(value.fields[0]?.type).toEqual(["null", JSON_TEXT]);
  });

  test("an object of whatever is JSON, an array of whatever an array of JSON", () => {
    expect(fieldOf({ type: "object" }).type).toEqual(JSON_TEXT);
    expect(fieldOf({ type: "object", additionalProperties: true }).type).toEqual(JSON_TEXT);
    expect(fieldOf({ type: "array" }).type).toEqual({ type: "array", items: ["null", JSON_TEXT] });
    expect(fieldOf({}).type).toEqual(["null", JSON_TEXT]);
  });

  test.each<[string, JsonSchema]>([
    ["a tuple", { type: "array", items: [{ type: "string" }] }],
    ["a tuple of 2020-12", { type: "array", prefixItems: [{ type: "string" }], items: false }],
    ["false", { not: {} }],
    ["fields with and without names", { type: "object", properties: { a: {} }, additionalProperties: true }],
    ["patterns of names", { type: "object", patternProperties: { "^x": {} } }],
    [
      "strings that cannot be told apart",
      {
        anyOf: [
          { type: "string", format: "uuid" },
          { type: "string", format: "date" },
        ],
      },
    ],
    [
      "arrays that cannot be told apart",
      {
        anyOf: [
          { type: "array", items: { type: "string" } },
          { type: "array", items: { type: "number" } },
        ],
      },
    ],
    [
      "longs that cannot be told apart",
      { anyOf: [{ type: "integer" }, { type: "string", format: "date-time" }] },
    ],
    ["a decimal without precision", { type: "string", format: "decimal" }],
    ["another document", { $ref: "other.json#/a" }],
    ["a reference to nothing", { $ref: "#/definitions/none" }],
    ["an object as literal", { const: { a: 1 } }],
  ])("%s is refused with the field's name", (_what, property) => {
    expect(() => fieldOf(property)).toThrowError(
      expect.objectContaining({ code: "SCHEMA_NOT_MAPPABLE", message: expect.stringContaining("v ") }),
    );
  });

  test("a top that is no object, and names that Avro does not take, are refused", () => {
    expect(() => schemas({ type: "string" })).toThrowError(
      expect.objectContaining({ code: "SCHEMA_NOT_MAPPABLE" }),
    );
    for (const name of ["first-name", "1st", "é", "", "__proto__"]) {
      const outputSchema = { type: "object", properties: Object.fromEntries([[name, { type: "string" }]]) };
      expect(() => schemas(outputSchema)).toThrowError(
        expect.objectContaining({ code: "FIELD_NAME_INVALID" }),
      );
    }
  });
});

describe("keys and names", () => {
  const outputSchema = outputSchemaOf(
    z.object({
      id: z.uuid(),
      line: int64(),
      note: z.string().nullable(),
      tags: z.array(z.string()),
      doc: json(),
    }),
  );

  test("a key has the value's types, in the key's order", () => {
    expect(schemas(outputSchema, ["line", "id"]).key).toEqual({
      type: "record",
      name: "customerKey",
      namespace: "rejot_test.v1",
      fields: [
        { name: "line", type: "long" },
        { name: "id", type: { type: "string", logicalType: "uuid" } },
      ],
    });
  });

  test.each(["note", "tags", "doc", "absent"])("%s can be no key", (field) => {
    expect(() => schemas(outputSchema, [field])).toThrowError(
      expect.objectContaining({ code: "KEY_FIELD_INVALID", message: expect.stringContaining(`"${field}"`) }),
    );
  });

  test("names of manifests and public schemas become legal", () => {
    const { value } = schemas(outputSchema, [], "@my-org/2nd-shop", "order.details-v2");
    expect([value.namespace, value.name]).toEqual(["my_org._2nd_shop.v1", "order_details_v2"]);
  });
});
