import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { OID, type PgType } from "../postgres/type-catalog.ts";
import { avroSchemasOf } from "./avro-schema.ts";
import type { AvroRecord, AvroType } from "./avro-types.ts";
import { compileParameter, compileRowDecoder, toJsonValue } from "./row-decoder.ts";
import { compileRowEncoder } from "./row-encoder.ts";
import { bytes, decimal, int64, json, outputSchemaOf, timestamp } from "./zod-types.ts";

const base = (oid: number, name: string, category: string): PgType => ({ oid, name, kind: "base", category });
const TYPES = {
  bool: base(OID.bool, "boolean", "B"),
  int4: base(OID.int4, "integer", "N"),
  int8: base(OID.int8, "bigint", "N"),
  float8: base(OID.float8, "double precision", "N"),
  numeric: base(OID.numeric, "numeric", "N"),
  text: base(OID.text, "text", "S"),
  json: base(OID.json, "json", "U"),
  jsonb: base(OID.jsonb, "jsonb", "U"),
  bytea: base(OID.bytea, "bytea", "U"),
  timestamptz: base(OID.timestamptz, "timestamp with time zone", "D"),
  inet: base(869, "inet", "I"),
};
const textArray: PgType = {
  ...base(1009, "text[]", "A"),
  kind: "array",
  elementOid: OID.text,
  element: TYPES.text,
  delimiter: ",",
};
const int8Array: PgType = {
  ...textArray,
  oid: 1016,
  name: "bigint[]",
  elementOid: OID.int8,
  element: TYPES.int8,
};
const BY_OID = new Map([...Object.values(TYPES), textArray, int8Array].map((type) => [type.oid, type]));
const catalog = { get: (oid: number): PgType => BY_OID.get(oid) as PgType };

function recordOf(shape: z.ZodRawShape): AvroRecord {
  const publicSchema = {
    name: "thing",
    outputSchema: outputSchemaOf(z.object(shape)),
    version: { major: 1, minor: 0 },
  };
  return avroSchemasOf({ manifestSlug: "test", publicSchema, keyFields: [] }).value;
}

/** One value through the encoder and back. */
function codec(field: z.ZodType, pgType: PgType) {
  const schema = recordOf({ v: field });
  const type = (schema.fields[0] as { type: AvroType }).type;
  const encode = compileRowEncoder(schema, [{ name: "v", typeOid: pgType.oid }], catalog);
  const decode = compileRowDecoder(schema);
  return {
    value: (text: string | null) => decode(encode([text])).v,
    json: (text: string | null) => toJsonValue(type, decode(encode([text])).v),
    parameter: (text: string | null, target: PgType = pgType) =>
      compileParameter(type, target)(decode(encode([text])).v),
  };
}

const row = (shape: z.ZodRawShape, columns: [string, PgType][]) =>
  compileRowEncoder(
    recordOf(shape),
    columns.map(([name, type]) => ({ name, typeOid: type.oid })),
    catalog,
  );

describe("rows", () => {
  test("columns are found by name, others left out, the last of two of one name counts", () => {
    const shape = { a: z.string(), b: z.int() };
    const encode = row(shape, [
      ["b", TYPES.int4],
      ["x", TYPES.inet],
      ["a", TYPES.text],
      ["b", TYPES.int8],
    ]);
    expect(compileRowDecoder(recordOf(shape))(encode(["1", "::1", "text", "2"]))).toEqual({
      a: "text",
      b: 2,
    });
  });

  test("a column that is missing or of an impossible type is refused before any row", () => {
    const shape = { a: z.string(), b: z.boolean() };
    expect(() =>
      row(shape, [
        ["A", TYPES.text],
        ["b", TYPES.bool],
      ]),
    ).toThrowError(
      expect.objectContaining({
        code: "OUTPUT_COLUMN_MISSING",
        message: expect.stringMatching(/"a" of thing; it selects A, b/),
      }),
    );
    expect(() =>
      row(shape, [
        ["a", TYPES.text],
        ["b", TYPES.int4],
      ]),
    ).toThrowError(
      expect.objectContaining({
        code: "OUTPUT_COLUMN_TYPE",
        message: expect.stringMatching(/"b" of thing: the column is integer, the field boolean/),
      }),
    );
  });

  test("an optional field's column may be left out, a nullable one's may not", () => {
    const shape = { a: z.string().optional() };
    expect(compileRowDecoder(recordOf(shape))(row(shape, [])([]))).toEqual({ a: null });
    expect(() => row({ a: z.string().nullable() }, [])).toThrowError(
      expect.objectContaining({ code: "OUTPUT_COLUMN_MISSING" }),
    );
  });

  test("an error names field and value, and the next row is encoded as if it had not been", () => {
    const shape = { id: int64(), doc: z.object({ list: z.array(z.object({ n: z.int() })) }) };
    const encode = row(shape, [
      ["id", TYPES.int8],
      ["doc", TYPES.jsonb],
    ]);
    const good = Buffer.from(encode(["1", '{"list": [{"n": 1}]}']));
    expect(() => encode(["1", '{"list": [{"n": 1}, {"n": 1.5}]}'])).toThrowError(
      expect.objectContaining({
        code: "VALUE_NOT_REPRESENTABLE",
        message: expect.stringContaining('field "doc.list.1.n" of thing'),
        context: { record: "thing", field: "doc.list.1.n" },
      }),
    );
    expect(() => encode([null, "{}"])).toThrowError(expect.objectContaining({ code: "VALUE_NULL" }));
    expect(encode(["1", '{"list": [{"n": 1}]}'])).toEqual(good);
  });
});

describe("numbers", () => {
  test("every bigint comes back", () => {
    const { parameter } = codec(int64(), TYPES.int8);
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        expect(parameter(String(value))).toBe(String(value));
      }),
    );
  });

  test("every double comes back as the same double, -0 and NaN too", () => {
    const { parameter } = codec(z.number(), TYPES.float8);
    fc.assert(
      fc.property(fc.double(), (value) => {
        const text = Object.is(value, -0) ? "-0" : String(value);
        expect(Number(parameter(text))).toBe(value);
      }),
    );
  });

  test("a numeric in a double comes back as the same number or is refused", () => {
    const { parameter } = codec(z.number(), TYPES.numeric);
    const decimals = fc.tuple(
      fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n }),
      fc.integer({ min: 0, max: 20 }),
    );
    fc.assert(
      fc.property(decimals, ([digits, scale]) => {
        const schema = codec(decimal(60, 20), TYPES.numeric);
        const text = `${digits}e-${scale}`;
        const plain = schema.parameter(text) as string;
        try {
          expect(schema.parameter(parameter(plain))).toBe(plain);
        } catch (error) {
          expect(error).toMatchObject({ code: "VALUE_NOT_REPRESENTABLE" });
          expect(plain.replace(/[-.]|0+$/g, "").length).toBeGreaterThan(15);
        }
      }),
    );
  });

  test("decimals come back with all digits of their scale", () => {
    expect(codec(decimal(10, 2), TYPES.numeric).parameter("1.5")).toBe("1.50");
    expect(codec(decimal(10, 2), TYPES.int4).parameter("7", TYPES.numeric)).toBe("7.00");
    expect(codec(decimal(10, 2), TYPES.int4).parameter("70")).toBe("70");
  });
});

describe("negative zero", () => {
  test("stays in doubles and JSON, and is refused where zero has no sign", () => {
    expect(codec(z.number(), TYPES.float8).parameter("-0")).toBe("-0");
    expect(codec(z.array(z.number()), TYPES.json).parameter("[-0, -0.0]")).toBe("[-0,-0]");
    for (const field of [z.int(), decimal(4, 2), decimal(40, 20)]) {
      for (const [text, type] of [
        ["-0", TYPES.float8],
        ["-0.0", TYPES.json],
      ] as const) {
        expect(() => codec(field, type).value(text)).toThrowError(
          expect.objectContaining({ code: "VALUE_NOT_REPRESENTABLE" }),
        );
      }
    }
  });
});

describe("literals", () => {
  test("that are words go with columns that hold words only", () => {
    for (const field of [z.enum(["t", "f"]), z.literal("so so")]) {
      for (const type of [TYPES.bool, TYPES.int4, TYPES.timestamptz, TYPES.bytea, TYPES.inet, textArray]) {
        expect(() => codec(field, type)).toThrowError(
          expect.objectContaining({ code: "OUTPUT_COLUMN_TYPE" }),
        );
      }
    }
  });

  test("that are no Avro names are JSON strings in JSON, as the others", () => {
    expect(codec(z.enum(["so so", "well"]), TYPES.text).parameter("so so", TYPES.jsonb)).toBe('"so so"');
    expect(codec(z.enum(["well"]), TYPES.text).parameter("well", TYPES.jsonb)).toBe('"well"');
  });

  test("that are numbers are compared as numbers, that are text as text", () => {
    expect(codec(z.literal([1, 2]), TYPES.numeric).parameter("1.00")).toBe("1");
    expect(codec(z.enum(["1", "2"]), TYPES.text).parameter("1")).toBe("1");
    for (const field of [z.enum(["1", "2"]), z.literal([1, 2]), z.literal("1.5")]) {
      expect(() => codec(field, TYPES.text).value("1.50")).toThrowError(
        expect.objectContaining({ code: "VALUE_NOT_REPRESENTABLE" }),
      );
    }
  });
});

describe("alternatives", () => {
  const mixed = z.union([z.string(), z.number(), z.boolean()]).nullable();

  test("of a column go by its type: text stays text", () => {
    expect(codec(mixed, TYPES.text).json("007")).toBe("007");
    expect(codec(mixed, TYPES.int4).json("7")).toBe(7);
    expect(codec(mixed, TYPES.bool).json("t")).toBe(true);
    expect(codec(mixed, TYPES.inet).json("::1")).toBe("::1");
    expect(codec(mixed, TYPES.text).json(null)).toBeNull();
  });

  test("in JSON go by the kind of value, and come back as JSON", () => {
    for (const text of ['"7"', "7", "true", "1.5"])
      expect(codec(mixed, TYPES.jsonb).parameter(text)).toBe(text);
    expect(codec(mixed, TYPES.jsonb).parameter("null")).toBeNull();
    expect(() => codec(mixed, TYPES.jsonb).value("[]")).toThrowError(
      expect.objectContaining({ code: "VALUE_NOT_REPRESENTABLE" }),
    );
  });

  test("of objects go to the one that has a field for every member", () => {
    const shapes = z.union([z.object({ a: z.int() }), z.object({ a: z.int(), b: z.string() })]);
    const { parameter, json } = codec(shapes, TYPES.jsonb);
    expect(parameter('{"b": "x", "a": 1}')).toBe('{"a":1,"b":"x"}');
    expect(parameter('{"a": 1}')).toBe('{"a":1}');
    expect(json('{"a": 1, "c": 1}')).toEqual({ a: 1 });
  });
});

describe("JSON", () => {
  test("of the type json may have spaces anywhere", () => {
    const { parameter } = codec(z.object({ a: z.array(z.int()), b: z.string().nullable() }), TYPES.json);
    expect(parameter(' { "b" : null ,\n"a":[ 1 , 2 ] } ')).toBe('{"a":[1,2],"b":null}');
    expect(codec(z.object({ a: z.int() }).nullable(), TYPES.json).parameter(" null ")).toBeNull();
    expect(codec(z.union([z.int(), z.string()]), TYPES.json).parameter(" 7 ")).toBe("7");
  });

  test("any type is JSON as to_json writes it", () => {
    const as = (type: PgType, text: string) => codec(z.unknown(), type).value(text);
    expect(as(TYPES.int8, "9007199254740993")).toBe("9007199254740993");
    expect(as(TYPES.numeric, "NaN")).toBe('"NaN"');
    expect(as(TYPES.bool, "t")).toBe("true");
    expect(as(TYPES.text, 'a"b')).toBe('"a\\"b"');
    expect(as(textArray, '{a,NULL,"NULL"}')).toBe('["a",null,"NULL"]');
    expect(as(TYPES.jsonb, '{"a": 1.50}')).toBe('{"a": 1.50}');
  });

  test("members without a field are left out, optional ones stay absent", () => {
    const { parameter } = codec(
      z.object({ a: z.int(), b: z.int().optional(), c: z.int().nullable() }),
      TYPES.jsonb,
    );
    expect(parameter('{"a": 1, "c": null, "zzz": 2}')).toBe('{"a":1,"c":null}');
  });

  test("a member named __proto__ in a map is a member like any other", () => {
    const { json, parameter } = codec(z.record(z.string(), z.int()), TYPES.jsonb);
    expect(parameter('{"__proto__": 1}')).toBe('{"__proto__":1}');
    expect(Object.entries(json('{"__proto__": 1}') as object)).toEqual([["__proto__", 1]]);
  });

  test("values for JSON are numbers where exact, else strings", () => {
    expect(codec(int64(), TYPES.int8).json("9007199254740991")).toBe(9007199254740991);
    expect(codec(int64(), TYPES.int8).json("9007199254740993")).toBe("9007199254740993");
    expect(codec(decimal(30, 2), TYPES.numeric).json("1.50")).toBe(1.5);
    expect(codec(decimal(30, 2), TYPES.numeric).json("12345678901234567890.12")).toBe(
      "12345678901234567890.12",
    );
    expect(codec(z.number(), TYPES.float8).json("-Infinity")).toBe("-Infinity");
    expect(codec(json(), TYPES.jsonb).json('{"a": [12345678901234567890, 1.5, 1e2, "x"]}')).toEqual({
      a: ["12345678901234567890", 1.5, 100, "x"],
    });
    expect(codec(timestamp(), TYPES.timestamptz).json("2024-02-29 12:00:00.5+00")).toBe(
      "2024-02-29T12:00:00.5Z",
    );
    expect(codec(bytes(), TYPES.bytea).json("\\x00ff")).toBe("AP8=");
  });
});

describe("parameters of another type than the column was", () => {
  test("suit the type they are for", () => {
    expect(codec(z.array(int64()), int8Array).parameter("{1,9007199254740993}", TYPES.jsonb)).toBe(
      "[1,9007199254740993]",
    );
    expect(codec(z.array(z.string()), textArray).parameter('{"a b",c}', TYPES.jsonb)).toBe('["a b","c"]');
    expect(codec(z.array(z.string()), textArray).parameter('{"a b",c}', TYPES.text)).toBe('["a b","c"]');
    expect(codec(z.array(z.string()), TYPES.jsonb).parameter('["a b", "NULL"]', textArray)).toBe(
      '{"a b","NULL"}',
    );
    expect(codec(z.array(z.array(z.int())), TYPES.jsonb).parameter("[[1, 2], [3, 4]]", int8Array)).toBe(
      "{{1,2},{3,4}}",
    );
    expect(codec(z.boolean(), TYPES.bool).parameter("t", TYPES.text)).toBe("true");
    expect(codec(decimal(30, 20), TYPES.numeric).parameter("0.12345678901234567890", TYPES.jsonb)).toBe(
      "0.12345678901234567890",
    );
    expect(codec(timestamp(), TYPES.timestamptz).parameter("2024-02-29 12:00:00+00", TYPES.jsonb)).toBe(
      '"2024-02-29T12:00:00Z"',
    );
    expect(codec(z.string(), TYPES.text).parameter('{"a":1}', TYPES.jsonb)).toBe('{"a":1}');
    expect(
      codec(z.array(json()), TYPES.jsonb).parameter('[{"a": 1.50}, "x"]', {
        ...textArray,
        element: TYPES.jsonb,
      }),
    ).toBe('{"{\\"a\\": 1.50}","\\"x\\""}');
  });

  test("NaN is no JSON number", () => {
    expect(() => codec(z.number(), TYPES.float8).parameter("NaN", TYPES.jsonb)).toThrowError(
      expect.objectContaining({ code: "VALUE_NOT_REPRESENTABLE" }),
    );
  });

  test("a domain's parameter is its base type's", () => {
    const domain: PgType = {
      oid: 99999,
      name: "doc",
      kind: "domain",
      category: "U",
      baseOid: OID.jsonb,
      base: TYPES.jsonb,
    };
    expect(codec(z.array(z.string()), textArray).parameter("{a}", domain)).toBe('["a"]');
  });
});
