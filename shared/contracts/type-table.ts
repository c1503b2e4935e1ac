import { z } from "zod";
import type { PgType } from "../postgres/type-catalog.ts";
import { bytes, date, decimal, int64, json, time, timestamp } from "./zod-types.ts";

/** Ways to declare a field that all become the same Avro type, as they are written and as zod knows them. */
export interface FieldKind {
  readonly forms: readonly (readonly [written: string, field: z.ZodType])[];
  /** A Postgres type that the field carries, and one of its values in Postgres's text form. */
  readonly sample: readonly [type: string, text: string];
}

const card = z.object({ last4: z.string() });

/** Every kind of field: a row each in the table of docs/types.md. */
export const FIELD_KINDS: readonly FieldKind[] = [
  {
    forms: [
      ["z.int()", z.int()],
      ["z.int32()", z.int32()],
      ["z.bigint()", z.bigint()],
      ["int64()", int64()],
    ],
    sample: ["bigint", "9223372036854775807"],
  },
  {
    forms: [
      ["z.number()", z.number()],
      ["z.float32()", z.float32()],
    ],
    sample: ["double precision", "1e-07"],
  },
  { forms: [["decimal(8, 2)", decimal(8, 2)]], sample: ["numeric", "1234.50"] },
  { forms: [["z.boolean()", z.boolean()]], sample: ["boolean", "t"] },
  {
    forms: [
      ["z.string()", z.string()],
      ["z.email()", z.email()],
      ["z.url()", z.url()],
      ['z.templateLiteral(["a", z.int()])', z.templateLiteral(["a", z.int()])],
    ],
    sample: ["text", "NULL"],
  },
  {
    forms: [
      ["z.uuid()", z.uuid()],
      ["z.guid()", z.guid()],
    ],
    sample: ["uuid", "123e4567-e89b-12d3-a456-426614174000"],
  },
  { forms: [['z.enum(["a", "b"])', z.enum(["a", "b"])]], sample: ["an enum", "a"] },
  {
    forms: [
      ['z.enum(["a b"])', z.enum(["a b"])],
      ['z.literal("a b")', z.literal("a b")],
    ],
    sample: ["an enum", "a b"],
  },
  { forms: [["z.literal([1, 2])", z.literal([1, 2])]], sample: ["integer", "2"] },
  { forms: [["z.literal(true)", z.literal(true)]], sample: ["boolean", "t"] },
  {
    forms: [
      ["timestamp()", timestamp()],
      ["z.date()", z.date()],
      ["z.iso.datetime()", z.iso.datetime()],
    ],
    sample: ["timestamptz", "2024-02-29 12:34:56.123456+00"],
  },
  {
    forms: [
      ["date()", date()],
      ["z.iso.date()", z.iso.date()],
    ],
    sample: ["date", "2024-02-29"],
  },
  {
    forms: [
      ["time()", time()],
      ["z.iso.time()", z.iso.time()],
    ],
    sample: ["time", "23:59:59.999999"],
  },
  {
    forms: [
      ["bytes()", bytes()],
      ["z.base64()", z.base64()],
    ],
    sample: ["bytea", "\\x00ff"],
  },
  { forms: [["json()", json()]], sample: ["jsonb", '{"a": 1.50}'] },
  {
    forms: [
      ["z.unknown()", z.unknown()],
      ["z.any()", z.any()],
      ["z.json()", z.json()],
    ],
    sample: ["jsonb", '{"a": 1.50}'],
  },
  {
    forms: [
      ["z.array(z.int())", z.array(z.int())],
      ["z.set(z.int())", z.set(z.int())],
    ],
    sample: ["integer[]", "{1,2}"],
  },
  { forms: [["z.array(z.array(z.int()))", z.array(z.array(z.int()))]], sample: ["integer[]", "{{1},{2}}"] },
  { forms: [["z.object({ a: z.int() })", z.object({ a: z.int() })]], sample: ["jsonb", '{"a": 1}'] },
  {
    forms: [["z.record(z.string(), z.int())", z.record(z.string(), z.int())]],
    sample: ["jsonb", '{"any name": 1}'],
  },
  {
    forms: [
      ["z.string().nullable()", z.string().nullable()],
      ["z.union([z.string(), z.null()])", z.union([z.string(), z.null()])],
    ],
    sample: ["text", "a"],
  },
  {
    forms: [
      ["z.string().optional()", z.string().optional()],
      ["z.string().nullish()", z.string().nullish()],
    ],
    sample: ["text", "a"],
  },
  {
    forms: [["z.union([z.string(), z.number()])", z.union([z.string(), z.number()])]],
    sample: ["text", "12"],
  },
  {
    forms: [["z.union([z.object({ … }), z.int()])", z.union([card, z.int()])]],
    sample: ["jsonb", '{"last4": "1234"}'],
  },
];

const OF_POSTGRES = `
16 boolean B, 17 bytea U, 18 "char" Z, 19 name S, 20 bigint N, 21 smallint N, 22 int2vector A, 23 integer N, 24 regproc N,
25 text S, 26 oid N, 27 tid U, 28 xid U, 29 cid U, 30 oidvector A, 114 json U, 142 xml U, 600 point G, 601 lseg G, 602 path G,
603 box G, 604 polygon G, 628 line G, 650 cidr I, 700 real N, 701 double precision N, 718 circle G, 774 macaddr8 U, 790 money N,
829 macaddr U, 869 inet I, 1033 aclitem U, 1042 bpchar S, 1043 varchar S, 1082 date D, 1083 time D, 1114 timestamp D,
1184 timestamptz D, 1186 interval T, 1266 timetz D, 1560 bit V, 1562 bit varying V, 1700 numeric N, 1790 refcursor U,
2202 regprocedure N, 2203 regoper N, 2204 regoperator N, 2205 regclass N, 2206 regtype N, 2950 uuid U, 2970 txid_snapshot U,
3220 pg_lsn U, 3614 tsvector U, 3615 tsquery U, 3734 regconfig N, 3769 regdictionary N, 3802 jsonb U, 4072 jsonpath U,
4089 regnamespace N, 4096 regrole N, 4191 regcollation N, 5038 pg_snapshot U, 5069 xid8 U`;

const own = (oid: number, name: string, kind: PgType["kind"], category: string): PgType => ({
  oid,
  name,
  kind,
  category,
});

function listed(): PgType[] {
  return [...OF_POSTGRES.matchAll(/(\d+) (.+?) ([A-Z])(?:,|$)/g)].map(([, oid, name, category]) =>
    own(Number(oid), name as string, "base", category as string),
  );
}

function arrayOf(oid: number, element: PgType): PgType {
  return {
    ...own(oid, `${element.name}[]`, "array", "A"),
    elementOid: element.oid,
    element,
    delimiter: ",",
  };
}

const scalars = listed();
const integer = scalars.find((type) => type.name === "integer") as PgType;
const document = scalars.find((type) => type.name === "jsonb") as PgType;

/** The built-in types of Postgres that a column may have, and one of each kind that a database may have of its own. */
export const POSTGRES_TYPES: readonly PgType[] = [
  ...scalars,
  own(900_001, "an enum", "enum", "E"),
  own(900_002, "a composite type", "composite", "C"),
  own(900_003, "a range", "range", "R"),
  own(900_004, "a multirange", "multirange", "R"),
  own(900_005, "an extension's type", "base", "U"),
  own(900_006, "citext", "base", "S"),
  arrayOf(1007, integer),
  arrayOf(3807, document),
];

/** A value that its field does not carry, as an example of a rule. */
export interface Refusal {
  readonly type: string;
  readonly text: string;
  readonly field: readonly [written: string, field: z.ZodType];
  readonly instead: string;
}

const DECIMAL = ["decimal(4, 2)", decimal(4, 2)] as const;
const TIMESTAMP = ["timestamp()", timestamp()] as const;
const INTEGERS = ["z.array(z.int())", z.array(z.int())] as const;
const NUMBER = ["z.number()", z.number()] as const;
const INT = ["z.int()", z.int()] as const;
const LARGER = "`decimal(p, s)`, `z.string()`";
const STRING = "`z.string()`";

/** A row each in the table of refused values. */
export const REFUSALS: readonly Refusal[] = [
  { type: "bigint", text: "9007199254740993", field: NUMBER, instead: "`int64()`" },
  { type: "numeric", text: "0.12345678901234567890", field: NUMBER, instead: LARGER },
  { type: "numeric", text: "1.5", field: INT, instead: LARGER },
  { type: "numeric", text: "9223372036854775808", field: INT, instead: LARGER },
  { type: "double precision", text: "-0", field: INT, instead: "`z.number()`" },
  { type: "numeric", text: "100.00", field: DECIMAL, instead: "a larger decimal" },
  { type: "numeric", text: "1.001", field: DECIMAL, instead: "a larger decimal" },
  { type: "numeric", text: "NaN", field: DECIMAL, instead: "`z.number()`, `z.string()`" },
  { type: "timestamptz", text: "infinity", field: TIMESTAMP, instead: STRING },
  { type: "timestamptz", text: "0044-03-15 12:00:00+00 BC", field: TIMESTAMP, instead: STRING },
  { type: "timestamptz", text: "294276-12-31 23:59:59+00", field: TIMESTAMP, instead: STRING },
  { type: "date", text: "-infinity", field: ["date()", date()], instead: STRING },
  { type: "time", text: "24:00:00", field: ["time()", time()], instead: STRING },
  { type: "integer[]", text: "[0:1]={1,2}", field: INTEGERS, instead: STRING },
  { type: "integer[]", text: "{{1},{2}}", field: INTEGERS, instead: "`z.array(z.array(z.int()))`" },
  { type: "integer[]", text: "{1,NULL}", field: INTEGERS, instead: "`z.array(z.int().nullable())`" },
  {
    type: "text",
    text: "c",
    field: ['z.enum(["a", "b"])', z.enum(["a", "b"])],
    instead: "list it: a new major version",
  },
  { type: "text", text: "007", field: ["z.uuid()", z.uuid()], instead: STRING },
  {
    type: "jsonb",
    text: '{"a": 12345678901234567890}',
    field: ["z.object({ a: z.number() })", z.object({ a: z.number() })],
    instead: "`decimal(20)`, `json()`",
  },
  {
    type: "json",
    text: '{"a": "\\ud800"}',
    field: ["z.object({ a: z.string() })", z.object({ a: z.string() })],
    instead: "`json()`",
  },
];

/** A value of a field that a parameter of another type would change, as an example of a rule. */
export interface ParameterRefusal {
  readonly field: readonly [written: string, field: z.ZodType];
  readonly sample: readonly [type: string, text: string];
  /** The type that the consumer's SQL gives the placeholder. */
  readonly parameter: string;
}

const TEXT = ["z.string()", z.string()] as const;

/** A row each in the table of refused parameters. */
export const PARAMETER_REFUSALS: readonly ParameterRefusal[] = [
  { field: ["int64()", int64()], sample: ["bigint", "9007199254740993"], parameter: "double precision" },
  { field: ["decimal(12, 9)", decimal(12, 9)], sample: ["numeric", "0.123456789"], parameter: "real" },
  { field: ["decimal(12, 9)", decimal(12, 9)], sample: ["numeric", "0.125"], parameter: "money" },
  { field: NUMBER, sample: ["double precision", "16777217"], parameter: "real" },
  { field: NUMBER, sample: ["double precision", "NaN"], parameter: "jsonb" },
  { field: INT, sample: ["integer", "-1"], parameter: "oid" },
  { field: TIMESTAMP, sample: ["timestamptz", "2024-02-29 12:34:56+00"], parameter: "date" },
  { field: TIMESTAMP, sample: ["timestamptz", "2024-02-29 12:34:56+00"], parameter: "time" },
  { field: TEXT, sample: ["text", "2024-02-29 12:34:56+05:30"], parameter: "timestamp" },
  { field: TEXT, sample: ["text", "2024-02-29 12:34:56.1234567Z"], parameter: "timestamptz" },
  { field: TEXT, sample: ["text", "2024-02-29 12:34:56"], parameter: "date" },
  { field: TEXT, sample: ["text", "ab"], parameter: '"char"' },
  { field: TEXT, sample: ["text", "é".repeat(32)], parameter: "name" },
];
