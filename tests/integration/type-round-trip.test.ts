import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import type { AvroRecord } from "../../shared/contracts/avro-types.ts";
import { compileParameter, compileRowDecoder } from "../../shared/contracts/row-decoder.ts";
import { compileRowEncoder } from "../../shared/contracts/row-encoder.ts";
import {
  bytes,
  date,
  decimal,
  int64,
  json,
  outputSchemaOf,
  time,
  timestamp,
} from "../../shared/contracts/zod-types.ts";
import { loadTypeCatalog, type TypeCatalog } from "../../shared/postgres/type-catalog.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
let client: pg.Client;
let catalog: TypeCatalog;

beforeAll(async () => {
  database = await createDatabase({
    sql: `CREATE TYPE mood AS ENUM ('happy', 'so so', 'NULL');
          CREATE DOMAIN positive AS int CHECK (VALUE > 0);
          CREATE DOMAIN document AS jsonb;
          CREATE TYPE pair AS (a int, b text);`,
  });
  client = await database.connect();
  catalog = await loadTypeCatalog(client);
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

function recordOf(field: z.ZodType): AvroRecord {
  const outputSchema = outputSchemaOf(z.object({ v: field }));
  const publicSchema = { name: "thing", outputSchema, version: { major: 1, minor: 0 } };
  return avroSchemasOf({ manifestSlug: "test", publicSchema, keyFields: [] }).value;
}

/** What the server gives for an expression, over Avro and back to a parameter's text. */
async function roundTrip(
  expression: string,
  field: z.ZodType,
): Promise<{ sent: string | null; back: string | null }[]> {
  const result = await client.query<{ v: string | null }>(`SELECT v FROM (${expression}) AS rows (v)`);
  const typeOid = result.fields[0]?.dataTypeID as number;
  await catalog.require([typeOid]);
  const schema = recordOf(field);
  const encode = compileRowEncoder(schema, [{ name: "v", typeOid }], catalog);
  const decode = compileRowDecoder(schema);
  const type = schema.fields[0]?.type as AvroRecord["fields"][number]["type"];
  const parameter = compileParameter(type, catalog.get(typeOid));
  return result.rows.map(({ v }) => ({ sent: v, back: parameter(decode(encode([v])).v) }));
}

/** Every value that the expression gives comes back as a value that Postgres writes the same. */
async function expectRoundTrip(expression: string, field: z.ZodType, type: string): Promise<void> {
  const pairs = await roundTrip(expression, field);
  const result = await client.query<{ back: string | null }>(
    `SELECT back::${type} AS back FROM unnest($1::text[]) AS texts (back)`,
    [pairs.map((pair) => pair.back)],
  );
  expect(result.rows.map((row) => row.back)).toEqual(pairs.map((pair) => pair.sent));
}

/** A title for a case: the property of the JSON Schema that the field becomes. */
function describeField(field: z.ZodType): string {
  return JSON.stringify((outputSchemaOf(z.object({ v: field })).properties as { v: unknown }).v).slice(0, 60);
}

const quote = (text: string) => `'${text.replaceAll("'", "''")}'`;
const values = (type: string, texts: (string | null)[]) =>
  `VALUES ${texts.map((text) => `(${text === null ? "NULL" : quote(text)}::${type})`).join(", ")}`;

const TIMESTAMPS = [
  "2024-02-29 12:34:56.123456+00",
  "1970-01-01 00:00:00+00",
  "1969-12-31 23:59:59.999999+00",
  "0001-01-01 00:00:00+00",
  "9999-12-31 23:59:59.999999+00",
  "10000-01-01 00:00:00+00",
  "294246-12-31 23:59:59.999999+00",
  "2255-06-05 23:47:34.740993+00",
  "2300-02-28 01:02:03.000001+00",
  "2024-01-01 00:00:00.1+05:30",
  "1900-01-01 00:00:00 Europe/Amsterdam",
];
const DOCUMENTS = [
  "null",
  "0",
  '"text"',
  '"12345678901234567890"',
  "12345678901234567890.123456789012345678901234567890",
  "1.50",
  "[]",
  "{}",
  '{"a": [1, {"b": null}, "x\\"y\\\\"], "é€😀": "\\u0007\\ttab"}',
  "[1e3, -0.0, 1e-30, true, false]",
];

const CASES: [string, z.ZodType, (string | null)[]][] = [
  ["smallint", z.int(), ["0", "-32768", "32767"]],
  ["integer", z.int(), ["0", "-1", "2147483647", "-2147483648"]],
  ["positive", z.int(), ["1"]],
  [
    "bigint",
    int64(),
    ["0", "9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808"],
  ],
  [
    "bigint",
    z.int().nullable(),
    [null, "4503599627370496", "-4503599627370497", "536870912", "-536870913", "63", "-65"],
  ],
  ["bigint", z.number(), ["9007199254740992", "-12", "1000000000000000000"]],
  ["integer", z.number(), ["2147483647", "-2147483648"]],
  [
    "double precision",
    z.number(),
    [
      "0",
      "-0",
      "1e-323",
      "1.7976931348623157e308",
      "NaN",
      "Infinity",
      "-Infinity",
      "0.1",
      "1e23",
      "9007199254740993",
      "123456.789",
    ],
  ],
  ["real", z.number(), ["0.1", "1e-45", "3.4028235e38", "NaN", "-0", "16777216"]],
  ["numeric", z.number(), ["0", "0.1", "12.5", "-123456789.125", "NaN", "Infinity", "100000000000000000000"]],
  [
    "numeric",
    decimal(40, 10),
    [
      "0.0000000001",
      "-123456789012345678901234567890.0123456789",
      "999999999999999999999999999999.9999999999",
    ],
  ],
  [
    "numeric(12,2)",
    decimal(12, 2),
    ["0.00", "-0.01", "9999999999.99", "-9999999999.99", "1234.50", "127.00", "1.28", "-1.28", "-1.29"],
  ],
  ["numeric", z.int(), ["12", "-9223372036854775808", "0"]],
  ["numeric", z.string(), ["1.500", "1e100", "NaN", "-0.000000000000000000000000000001"]],
  ["boolean", z.boolean(), ["t", "f"]],
  ["boolean", z.boolean().nullish(), ["t", null, "f"]],
  [
    "text",
    z.string(),
    [
      "",
      "a",
      "é",
      "x".repeat(21),
      "é".repeat(31),
      "é".repeat(32),
      "€".repeat(21),
      "€".repeat(22),
      "x".repeat(63),
      "x".repeat(64),
      "😀".repeat(1100),
      "y".repeat(70_000),
      "tab\tnew\nline\\\"'",
      "t",
    ],
  ],
  ["varchar(10)", z.string(), ["héllo"]],
  ["character(5)", z.string(), ["ab"]],
  ["uuid", z.uuid(), ["123e4567-e89b-12d3-a456-426614174000", "00000000-0000-0000-0000-000000000000"]],
  ["mood", z.enum(["happy", "so so", "NULL"]), ["happy", "so so", "NULL"]],
  ["text", z.enum(["a", "b"]), ["b", "a"]],
  ["text", z.literal("only"), ["only"]],
  ["integer", z.literal([1, 2]), ["1", "2"]],
  ["boolean", z.literal(true), ["t"]],
  ["timestamptz", timestamp(), TIMESTAMPS],
  ["timestamptz", z.date(), TIMESTAMPS],
  ["timestamp", z.iso.datetime(), TIMESTAMPS],
  ["timestamptz", z.string(), [...TIMESTAMPS, "infinity", "0044-03-15 12:00:00 BC"]],
  [
    "date",
    date(),
    [
      "2024-02-29",
      "0001-01-01",
      "1969-12-31",
      "5874897-12-31",
      "9999-12-31",
      "10000-01-01",
      "1900-02-28",
      "2000-02-29",
    ],
  ],
  ["date", timestamp(), ["2024-02-29", "0001-01-01"]],
  ["date", z.string(), ["-infinity", "0044-03-15 BC"]],
  ["time", time(), ["00:00:00", "23:59:59.999999", "12:00:00.1"]],
  ["time", z.string(), ["24:00:00"]],
  ["timetz", z.string(), ["12:00:00.5+05:30"]],
  ["interval", z.string(), ["1 year 2 mons -3 days 04:05:06.789", "00:00:00", "-1 days"]],
  ["bytea", bytes(), ["", "\\x00", "\\x00ff80deadbeef", `\\x${"ab".repeat(5000)}`]],
  ["jsonb", json(), DOCUMENTS],
  ["json", json(), [...DOCUMENTS, '  {"a" :1, "a": 2 }']],
  ["jsonb", z.unknown(), [...DOCUMENTS, null]],
  ["jsonb", z.json(), DOCUMENTS],
  ["document", json().nullable(), [...DOCUMENTS, null]],
  ["jsonb", z.string(), DOCUMENTS],
  ["inet", z.string(), ["192.168.0.1/24", "::1"]],
  ["money", z.string(), ["-$1,234.56"]],
  ["pair", z.string(), ['(1,"a ""quoted"", b")', "(,)"]],
  ["int4range", z.string(), ["[1,10)", "empty"]],
  ["point", z.string(), ["(1,2)"]],
  ["bit(3)", z.string(), ["101"]],
  ["xml", z.string(), ["<a>b</a>"]],
  ["tsvector", z.string(), ["'a':1 'b'"]],
  ["integer[]", z.array(z.int()), ["{}", "{1,2,-3}"]],
  ["bigint[]", z.array(int64().nullable()), ["{NULL,9223372036854775807}"]],
  ["text[]", z.array(z.string().nullable()), ['{"a b",NULL,"NULL","null",""," ","{}","a,b","q\\"\\\\q",é}']],
  ["text[]", z.array(z.array(z.string())), ['{{a,b},{"c d","{}"}}', "{}"]],
  ["integer[]", z.array(z.array(z.array(z.int()))), ["{{{1,2},{3,4}},{{5,6},{7,8}}}"]],
  ["timestamptz[]", z.array(timestamp()), ['{"2024-02-29 12:34:56.123456+00"}']],
  ["numeric(5,2)[]", z.array(decimal(5, 2)), ["{1.50,-0.01}"]],
  ["bytea[]", z.array(bytes()), ['{"\\\\xdeadbeef"}']],
  ["jsonb[]", z.array(json()), ['{"{\\"a\\": [1, 2]}",null,"\\"x\\""}'.replace("null", '"null"')]],
  ["mood[]", z.array(z.enum(["happy", "so so", "NULL"])), ['{happy,"so so","NULL"}']],
  ["boolean[]", z.array(z.boolean()), ["{t,f}"]],
  ["box[]", z.array(z.string()), ["{(1,1),(0,0);(2,2),(1,1)}"]],
  ["text[]", z.string(), ["[0:1]={a,b}", '{"a b",NULL}']],
  ["uuid[]", z.array(z.uuid()).nullable(), ["{123e4567-e89b-12d3-a456-426614174000}", null]],
];

describe("what Postgres holds comes back from Avro exactly", () => {
  test.each(CASES.map(([type, field, texts]) => ({ type, field, texts, as: describeField(field) })))(
    "$type as $as",
    async ({ type, field, texts }) => {
      await expectRoundTrip(values(type, texts), field, type);
    },
  );

  test("nested JSON by schema: records, maps, arrays, alternatives, big numbers", async () => {
    const field = z.object({
      id: int64(),
      price: decimal(30, 20),
      ratio: z.number(),
      note: z.string().nullable(),
      extra: z.string().optional(),
      when: timestamp(),
      tags: z.array(z.string()),
      sizes: z.record(z.string(), int64()),
      any: z.unknown(),
      payment: z.discriminatedUnion("kind", [
        z.object({ kind: z.literal("card"), last4: z.string() }),
        z.object({ kind: z.literal("cash"), given: z.number() }),
      ]),
      mixed: z.array(z.union([z.string(), z.number(), z.boolean(), z.null()])),
    });
    const document = {
      id: "@9007199254740993@",
      price: "@1234567890.12345678901234567890@",
      ratio: 0.1,
      note: null,
      when: "2024-02-29T12:34:56.123456Z",
      tags: ["a", 'b"\\é'],
      sizes: { small: 1, "large one": "@9223372036854775807@" },
      any: { deep: ["@0.10000000000000000000000000001@", null] },
      payment: { kind: "cash", given: 5 },
      mixed: ["1", 1, true, null],
    };
    const text = JSON.stringify(document).replace(/"@([0-9.]+)@"/g, "$1");
    await expectRoundTrip(values("jsonb", [text]), field, "jsonb");
  });

  test("thousands of random values of every kind", async () => {
    const many = (expression: string) => `SELECT ${expression} FROM generate_series(1, 3000)`;
    const seconds = "(random() * 9223371244800 - 62135596800)";
    await client.query("SELECT setseed(0.42)");
    await expectRoundTrip(
      many(`'epoch'::timestamptz + ${seconds} * interval '1 second'`),
      timestamp(),
      "timestamptz",
    );
    await expectRoundTrip(many("'0001-01-01'::date + (random() * 5000000)::int"), date(), "date");
    await expectRoundTrip(many("'00:00'::time + random() * interval '24 hours'"), time(), "time");
    await expectRoundTrip(
      many("((random() * 2 - 1) * power(10, random() * 18.9))::numeric::bigint"),
      int64(),
      "bigint",
    );
    await expectRoundTrip(
      many("((random() * 2 - 1) * power(10::float8, random() * 600 - 300))"),
      z.number(),
      "double precision",
    );
    await expectRoundTrip(
      many("((random() * 2 - 1) * power(10::float8, random() * 60 - 30))::real"),
      z.number(),
      "real",
    );
    await expectRoundTrip(
      many("round(((random() * 2 - 1)::numeric * power(10::numeric, (random() * 30)::int)), 8)"),
      decimal(38, 8),
      "numeric",
    );
    await expectRoundTrip(many("gen_random_uuid()"), z.uuid(), "uuid");
    await expectRoundTrip(many("sha256(random()::text::bytea)"), bytes(), "bytea");
    await expectRoundTrip(
      many("ARRAY[random()::text, NULL, chr(33 + (random() * 90000)::int % 50000), E'\\\\\"{,}']"),
      z.array(z.string().nullable()),
      "text[]",
    );
  });
});

describe("what cannot be carried is refused, never bent", () => {
  const refused: [string, z.ZodType, string, string][] = [
    ["numeric", z.number(), "12345678901234567890", "VALUE_NOT_REPRESENTABLE"],
    ["numeric", z.number(), "0.12345678901234567890", "VALUE_NOT_REPRESENTABLE"],
    ["bigint", z.number(), "9007199254740993", "VALUE_NOT_REPRESENTABLE"],
    ["numeric", z.int(), "1.5", "VALUE_NOT_REPRESENTABLE"],
    ["numeric", z.int(), "9223372036854775808", "VALUE_NOT_REPRESENTABLE"],
    ["double precision", z.int(), "1e19", "VALUE_NOT_REPRESENTABLE"],
    ["numeric", decimal(4, 2), "100.00", "VALUE_NOT_REPRESENTABLE"],
    ["numeric", decimal(4, 2), "1.001", "VALUE_NOT_REPRESENTABLE"],
    ["numeric", decimal(4, 2), "NaN", "VALUE_NOT_REPRESENTABLE"],
    ["timestamptz", timestamp(), "infinity", "VALUE_NOT_REPRESENTABLE"],
    ["timestamptz", timestamp(), "0044-03-15 12:00:00 BC", "VALUE_NOT_REPRESENTABLE"],
    ["timestamptz", timestamp(), "294276-12-31 23:59:59.999999+00", "VALUE_NOT_REPRESENTABLE"],
    ["date", date(), "-infinity", "VALUE_NOT_REPRESENTABLE"],
    ["time", time(), "24:00:00", "VALUE_NOT_REPRESENTABLE"],
    ["timetz", time(), "12:00+01", "OUTPUT_COLUMN_TYPE"],
    ["text[]", z.array(z.string()), "[0:1]={a,b}", "VALUE_NOT_REPRESENTABLE"],
    ["text[]", z.array(z.string()), "{{a},{b}}", "VALUE_NOT_REPRESENTABLE"],
    ["text[]", z.array(z.string()), "{a,NULL}", "VALUE_NULL"],
    ["integer[]", z.array(z.array(z.int())), "{1,2}", "VALUE_NOT_REPRESENTABLE"],
    ["text", z.enum(["a"]), "b", "VALUE_NOT_REPRESENTABLE"],
    ["integer", z.literal(1), "2", "VALUE_NOT_REPRESENTABLE"],
    ["text", z.uuid(), "not one", "VALUE_NOT_REPRESENTABLE"],
    ["jsonb", z.object({ n: z.number() }), '{"n": 12345678901234567890}', "VALUE_NOT_REPRESENTABLE"],
    ["jsonb", z.object({ n: z.number() }), '{"n": "1"}', "VALUE_NOT_REPRESENTABLE"],
    ["jsonb", z.object({ n: z.number() }), "[]", "VALUE_NOT_REPRESENTABLE"],
    ["jsonb", z.object({ n: z.number() }), '{"m": 1}', "VALUE_NULL"],
    ["json", z.object({ s: z.string() }), '{"s": "\\ud800"}', "VALUE_NOT_REPRESENTABLE"],
    ["boolean", z.int(), "t", "OUTPUT_COLUMN_TYPE"],
    ["text", bytes(), "x", "OUTPUT_COLUMN_TYPE"],
    ["text", z.object({ a: z.string() }), "{}", "OUTPUT_COLUMN_TYPE"],
  ];
  test.each(
    refused.map(([type, field, text, code]) => ({ type, field, text, code, as: describeField(field) })),
  )("$type as $as: $text", async ({ type, field, text, code }) => {
    await expect(roundTrip(values(type, [text]), field)).rejects.toMatchObject({ code });
  });

  test("NULL where the schema does not allow it names the field", async () => {
    const attempt = roundTrip(values("text", [null]), z.string());
    await expect(attempt).rejects.toMatchObject({ code: "VALUE_NULL", context: { field: "v" } });
  });
});
