import { describe, expect, test } from "vitest";
import { z } from "zod";
import { decimal, json, outputSchemaOf } from "./zod-types.ts";

describe("the JSON Schema of an output", () => {
  test("is draft 7 with our formats, the way the object comes out", () => {
    const schema = outputSchemaOf(
      z.object({
        price: decimal(10, 2).nullable(),
        id: z.bigint(),
        at: z.date().optional(),
        doc: json(),
        tags: z.set(z.date()),
        name: z.string().default("x"),
      }),
    );
    expect(schema).toEqual({
      $schema: "http://json-schema.org/draft-07/schema#",
      type: "object",
      properties: {
        price: { anyOf: [{ type: "string", format: "decimal", precision: 10, scale: 2 }, { type: "null" }] },
        id: { type: "integer", format: "int64" },
        at: { type: "string", format: "date-time" },
        doc: { "x-rejot-type": "json" },
        tags: { type: "array", uniqueItems: true, items: { type: "string", format: "date-time" } },
        name: { type: "string", default: "x" },
      },
      required: ["price", "id", "doc", "tags", "name"],
      additionalProperties: false,
    });
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
  });

  test("given as JSON Schema is handed through", () => {
    const schema = { type: "object", properties: { a: { type: "string" } } };
    expect(outputSchemaOf(schema)).toBe(schema);
  });

  test.each<[string, z.ZodType, RegExp]>([
    ["transform", z.string().transform(Number), /\.pipe\(/],
    ["map", z.map(z.string(), z.string()), /z\.record/],
    ["nan", z.nan(), /z\.number\(\)/],
    ["file", z.file(), /bytes\(\)/],
    ["void", z.void(), /Leave the field out/],
    ["promise", z.promise(z.string()), /resolves/],
    ["literal undefined", z.literal(undefined), /numbers that JSON holds exactly/],
    ["literal 9007199254740993", z.literal(9007199254740993n), /int64\(\)/],
    ["literal NaN", z.literal(Number.NaN), /numbers that JSON holds exactly/],
  ])("tells what to write instead of a zod %s", (what, type, hint) => {
    expect(() => outputSchemaOf(z.object({ v: type }))).toThrowError(
      expect.objectContaining({
        code: "SCHEMA_NOT_MAPPABLE",
        message: expect.stringContaining(what),
        hint: expect.stringMatching(hint),
      }),
    );
  });

  test.each<[string, z.ZodType]>([
    ["transform", z.string().transform((text) => text.length)],
    ["map", z.map(z.string(), z.string())],
    ["symbol", z.symbol()],
    ["undefined", z.undefined()],
    ["never", z.never()],
  ])("cannot have a zod %s, wherever it stands", (kind, type) => {
    for (const field of [type, z.array(type), z.object({ inner: type })]) {
      expect(() => outputSchemaOf(z.object({ v: field }))).toThrowError(
        expect.objectContaining({
          code: "SCHEMA_NOT_MAPPABLE",
          message: expect.stringMatching(`v.* is a zod ${kind}`),
        }),
      );
    }
  });

  test.each([
    [0, 0],
    [2, 3],
    [5, -1],
    [1.5, 0],
  ])("decimal(%d, %d) is none", (precision, scale) => {
    expect(() => decimal(precision, scale)).toThrowError(
      expect.objectContaining({ code: "SCHEMA_NOT_MAPPABLE" }),
    );
  });
});
