import { z } from "zod";
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
import * as S from "./postgres-structures.ts";
import * as V from "./postgres-values.ts";

/** A column of a type, the field that carries it, and literals that the field can carry. */
export interface TypeCase {
  readonly type: string;
  readonly field: z.ZodType;
  readonly literals: V.Literals;
}

/** Types of a database's own, one of each kind, and types of extensions. */
export const OWN_TYPES = `
  CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube;
  CREATE EXTENSION isn; CREATE EXTENSION seg;
  CREATE TYPE mood AS ENUM ('happy', 'so so', 'NULL', '', 'q"\\,''é{}');
  CREATE TYPE level AS ENUM ('low', 'high');
  CREATE DOMAIN positive AS int CHECK (VALUE > 0);
  CREATE DOMAIN must AS text NOT NULL;
  CREATE DOMAIN document AS jsonb;
  CREATE DOMAIN price AS numeric(12, 2);
  CREATE DOMAIN prices AS numeric(12, 2)[];
  CREATE DOMAIN feeling AS mood;
  CREATE DOMAIN deeper AS positive CHECK (VALUE < 1000000);
  CREATE TYPE pair AS (a int, b text);
  CREATE TYPE nested AS (p pair, list text[], at timestamptz, ratio float8);
  CREATE DOMAIN checked_pair AS pair CHECK ((VALUE).a IS NULL OR (VALUE).a <> 7);
  CREATE TYPE floatrange AS RANGE (subtype = float8);
  CREATE SCHEMA "Odd schema"; CREATE TYPE "Odd schema"."Odd type" AS ENUM ('a', 'b');
  CREATE TYPE opaque;
  CREATE FUNCTION opaque_in(cstring) RETURNS opaque LANGUAGE internal IMMUTABLE STRICT AS 'textin';
  CREATE FUNCTION opaque_out(opaque) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
  CREATE TYPE opaque (INPUT = opaque_in, OUTPUT = opaque_out, LIKE = text);
`;

/** The values of the type `mood`. */
export const MOODS = ["happy", "so so", "NULL", "", "q\"\\,'é{}"] as const;
const moods = V.oneOf(...MOODS);
const pairs = S.composites(V.integers(32), V.texts());
const nested = S.composites(pairs, S.anyArrays(V.texts()), V.zoned(V.timestamps), V.doubles);
const int4ranges = S.ranges(V.integers(31), S.numbersInOrder);
const numranges = S.ranges(V.decimals(20, 4), S.decimalsInOrder);
const tstzranges = S.ranges(S.timestampBounds, S.textsInOrder);

/** As its text, which is the way that every type can go. */
const AS_TEXT: Record<string, V.Literals> = {
  smallint: V.integers(16),
  integer: V.integers(32),
  bigint: V.integers(64),
  oid: V.unsigned(32),
  numeric: V.numerics,
  real: V.reals,
  "double precision": V.doubles,
  boolean: V.booleans,
  text: V.longTexts,
  varchar: V.longTexts,
  "varchar(12)": V.texts(12),
  character: V.texts(1),
  "character(12)": V.texts(12),
  bpchar: V.texts(12),
  name: V.texts(12),
  '"char"': V.oneOf("", "a", "~", "\\200", "\\377", "\\001", "\\"),
  bytea: V.byteas,
  uuid: V.uuids,
  date: V.dates,
  timestamp: V.timestamps,
  timestamptz: V.zoned(V.timestamps),
  "timestamptz(3)": V.zoned(V.commonTimestamps),
  time: V.times,
  timetz: V.timetzs,
  interval: V.intervals,
  json: S.jsons,
  jsonb: S.jsons,
  mood: moods,
  '"Odd schema"."Odd type"': V.oneOf("a", "b"),
  positive: V.oneOf("1", "2147483647"),
  deeper: V.oneOf("1", "999999"),
  must: V.texts(),
  document: S.jsons,
  price: V.decimals(12, 2),
  prices: S.anyArrays(V.decimals(12, 2)),
  feeling: moods,
  pair: pairs,
  nested,
  checked_pair: S.composites(V.oneOf("1", "2"), V.texts()),
  int4range: int4ranges,
  int8range: S.ranges(V.integers(62), S.bigintsInOrder),
  numrange: numranges,
  tsrange: S.ranges(S.timestampBounds, S.textsInOrder),
  tstzrange: tstzranges,
  daterange: S.ranges(S.dateBounds, S.textsInOrder),
  floatrange: S.ranges(V.finiteDoubles, S.numbersInOrder),
  int4multirange: S.multiranges(int4ranges),
  nummultirange: S.multiranges(numranges),
  tstzmultirange: S.multiranges(tstzranges),
  inet: S.inets,
  cidr: S.cidrs,
  macaddr: S.macaddrs(6),
  macaddr8: S.macaddrs(8),
  bit: S.bits(1, 1),
  "bit(13)": S.bits(13, 13),
  "bit varying": S.bits(0, 100),
  "bit varying(9)": S.bits(0, 9),
  money: V.money,
  xml: S.xmls,
  tsvector: S.tsvectors,
  tsquery: S.tsqueries,
  ...S.geometry,
  hstore: S.hstores,
  citext: V.texts(),
  ltree: V.oneOf("", "a", "Top.Science.Astronomy_2"),
  cube: V.oneOf("(1, 2, 3)", "(0),(1)", "(1e-300, -0.1),(2, 3)"),
  isbn13: V.oneOf("978-0-393-04002-9", "978-3-16-148410-0"),
  seg: V.oneOf("1.50", "1 .. 2.000", "~5", "<3.1"),
  opaque: V.longTexts,
  pg_lsn: V.oneOf("0/0", "FFFFFFFF/FFFFFFFF", "16/B374D848"),
  xid8: V.oneOf("0", "18446744073709551615"),
  pg_snapshot: V.oneOf("10:20:10,14,15", "5:5:"),
  tid: V.oneOf("(0,1)", "(4294967295,65535)"),
  jsonpath: V.oneOf("$.a[*] ? (@ > 1)", 'strict $."é\\"b"', "$"),
  int2vector: V.oneOf("", "1 -2 3"),
  regtype: V.oneOf("integer", "text[]", "timestamp with time zone"),
};

/** Arrays as their text: any dimensions, any lower bounds. */
const ARRAYS_AS_TEXT: Record<string, V.Literals> = {
  "integer[]": S.anyArrays(V.integers(32)),
  "text[]": S.anyArrays(V.texts()),
  "numeric[]": S.anyArrays(V.numerics),
  "timestamptz[]": S.anyArrays(V.zoned(V.timestamps)),
  "jsonb[]": S.anyArrays(S.jsons),
  "bytea[]": S.anyArrays(V.byteas),
  "mood[]": S.anyArrays(moods),
  "pair[]": S.anyArrays(pairs),
  "int4range[]": S.anyArrays(int4ranges),
  "box[]": S.arrays(S.geometry.box, { delimiter: ";" }),
  "positive[]": S.anyArrays(V.oneOf("1", "2")),
  "opaque[]": S.anyArrays(V.texts()),
  "citext[]": S.anyArrays(V.texts()),
};

/** Every type, with literals of all its values. */
export const ALL_VALUES: Readonly<Record<string, V.Literals>> = { ...AS_TEXT, ...ARRAYS_AS_TEXT };

const textCases = Object.entries(ALL_VALUES).map(([type, literals]) => ({
  type,
  field: z.string(),
  literals,
}));

const integerKinds: TypeCase[] = [
  { type: "smallint", field: z.int(), literals: V.integers(16) },
  { type: "smallint", field: z.number(), literals: V.integers(16) },
  { type: "integer", field: z.int32(), literals: V.integers(32) },
  { type: "integer", field: z.number(), literals: V.integers(32) },
  { type: "integer", field: decimal(10), literals: V.integers(32) },
  { type: "integer", field: z.literal([1, 2, -3]), literals: V.oneOf("1", "2", "-3") },
  { type: "oid", field: z.int(), literals: V.unsigned(32) },
  { type: "bigint", field: int64(), literals: V.integers(64) },
  { type: "bigint", field: z.int(), literals: V.integers(64) },
  { type: "bigint", field: decimal(19), literals: V.integers(64) },
  { type: "bigint", field: z.number(), literals: V.safeIntegers },
  { type: "bigint", field: z.union([z.bigint(), z.string()]), literals: V.integers(64) },
  { type: "positive", field: z.int().positive(), literals: V.oneOf("1", "2147483647") },
  { type: "deeper", field: int64(), literals: V.oneOf("1", "999999") },
];

const numberKinds: TypeCase[] = [
  { type: "numeric", field: int64(), literals: V.integers(64) },
  { type: "numeric", field: z.number(), literals: V.doubleNumerics },
  { type: "numeric(12,2)", field: decimal(12, 2), literals: V.decimals(12, 2) },
  { type: "numeric(38,10)", field: decimal(38, 10), literals: V.decimals(38, 10) },
  { type: "numeric(1000,500)", field: decimal(1000, 500), literals: V.decimals(1000, 500) },
  { type: "numeric(5,0)", field: decimal(5), literals: V.decimals(5, 0) },
  { type: "price", field: decimal(12, 2), literals: V.decimals(12, 2) },
  { type: "real", field: z.number(), literals: V.reals },
  { type: "double precision", field: z.number(), literals: V.doubles },
  { type: "double precision", field: z.union([z.number(), z.string()]), literals: V.doubles },
  { type: "boolean", field: z.boolean(), literals: V.booleans },
  { type: "boolean", field: z.literal(true), literals: V.oneOf("t") },
];

const timeKinds: TypeCase[] = [
  { type: "date", field: date(), literals: V.commonDates },
  { type: "date", field: z.iso.date(), literals: V.commonDates },
  { type: "date", field: timestamp(), literals: V.commonTimestamps.map((text) => text.replace(/ .*/, "")) },
  { type: "timestamp", field: timestamp(), literals: V.commonTimestamps },
  { type: "timestamptz", field: timestamp(), literals: V.zoned(V.commonTimestamps) },
  { type: "timestamptz", field: z.date(), literals: V.zoned(V.commonTimestamps) },
  { type: "timestamptz", field: z.iso.datetime(), literals: V.zoned(V.commonTimestamps) },
  { type: "time", field: time(), literals: V.commonTimes },
  { type: "time", field: z.iso.time(), literals: V.commonTimes },
];

const otherScalars: TypeCase[] = [
  { type: "text", field: z.union([z.string(), z.number()]), literals: V.texts() },
  { type: "text", field: z.enum(["a", "b"]), literals: V.oneOf("a", "b") },
  { type: "text", field: z.literal("only"), literals: V.oneOf("only") },
  { type: "citext", field: z.string(), literals: V.texts() },
  { type: "bytea", field: bytes(), literals: V.byteas },
  { type: "bytea", field: z.base64(), literals: V.byteas },
  { type: "uuid", field: z.uuid(), literals: V.uuids },
  { type: "mood", field: z.enum(MOODS), literals: moods },
  { type: "level", field: z.enum(["low", "high"]), literals: V.oneOf("low", "high") },
  { type: "feeling", field: z.enum(MOODS), literals: moods },
];

const card = S.jsonObjects({ kind: V.oneOf('"card"'), last4: S.jsonTexts });
const cash = S.jsonObjects({ kind: V.oneOf('"cash"'), given: V.integers(53) });

const jsonKinds: TypeCase[] = [
  { type: "json", field: json(), literals: S.jsons },
  { type: "jsonb", field: json(), literals: S.jsons },
  { type: "jsonb", field: z.unknown(), literals: S.jsons },
  { type: "document", field: json(), literals: S.jsons },
  {
    type: "jsonb",
    field: z.object({ id: int64(), price: decimal(30, 20), note: z.string(), on: z.boolean() }),
    literals: S.jsonObjects({
      id: V.integers(64),
      price: V.decimals(30, 20),
      note: S.jsonTexts,
      on: S.jsonBooleans,
    }),
  },
  {
    type: "jsonb",
    field: z.object({ inner: z.object({ any: z.unknown(), list: z.array(json()) }) }),
    literals: S.jsonObjects({
      inner: S.jsonObjects({ any: S.jsons, list: S.jsons.map((text) => `[${text}, ${text}]`) }),
    }),
  },
  {
    type: "jsonb",
    field: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("card"), last4: z.string() }),
      z.object({ kind: z.literal("cash"), given: z.number() }),
    ]),
    literals: V.either(card, cash),
  },
  {
    type: "jsonb",
    field: z.record(z.string(), int64().nullable()),
    literals: S.jsonObjects({ a: V.integers(64), "é \\": V.oneOf("null"), "": V.integers(64) }),
  },
  {
    type: "jsonb",
    field: z.array(z.union([z.string(), z.number(), z.boolean(), z.null()])),
    literals: V.oneOf('["1", 1, true, null]', "[]", "[-0.5, 1e300, false]"),
  },
  { type: "json", field: z.array(z.number()), literals: V.oneOf("[1,-0,0.5]", "[]") },
];

const arrayKinds: TypeCase[] = [
  { type: "integer[]", field: z.array(z.int().nullable()), literals: S.arrays(V.integers(32)) },
  { type: "bigint[]", field: z.array(int64()), literals: S.arrays(V.integers(64), { nulls: false }) },
  { type: "text[]", field: z.array(z.string().nullable()), literals: S.arrays(V.texts()) },
  { type: "varchar(9)[]", field: z.array(z.string().nullable()), literals: S.arrays(V.texts(9)) },
  {
    type: "text[]",
    field: z.array(z.array(z.string().nullable())),
    literals: S.arrays(V.texts(), { dimensions: 2 }),
  },
  {
    type: "integer[]",
    field: z.array(z.array(z.array(z.array(z.int().nullable())))),
    literals: S.arrays(V.integers(32), { dimensions: 4 }),
  },
  { type: "numeric[]", field: z.array(z.string().nullable()), literals: S.arrays(V.numerics) },
  {
    type: "numeric(12,2)[]",
    field: z.array(decimal(12, 2).nullable()),
    literals: S.arrays(V.decimals(12, 2)),
  },
  { type: "prices", field: z.array(decimal(12, 2).nullable()), literals: S.arrays(V.decimals(12, 2)) },
  { type: "double precision[]", field: z.array(z.number().nullable()), literals: S.arrays(V.doubles) },
  { type: "boolean[]", field: z.array(z.boolean().nullable()), literals: S.arrays(V.booleans) },
  {
    type: "timestamptz[]",
    field: z.array(timestamp().nullable()),
    literals: S.arrays(V.zoned(V.commonTimestamps)),
  },
  { type: "date[]", field: z.array(date().nullable()), literals: S.arrays(V.commonDates) },
  { type: "uuid[]", field: z.array(z.uuid().nullable()), literals: S.arrays(V.uuids) },
  { type: "bytea[]", field: z.array(bytes().nullable()), literals: S.arrays(V.byteas) },
  { type: "mood[]", field: z.array(z.enum(MOODS).nullable()), literals: S.arrays(moods) },
  { type: "jsonb[]", field: z.array(json().nullable()), literals: S.arrays(S.jsons) },
  { type: "json[]", field: z.array(z.unknown()), literals: S.arrays(S.jsons) },
  { type: "jsonb[]", field: z.array(z.array(z.number())), literals: V.oneOf('{"[1, 2.5]","[]"}', "{}") },
  { type: "pair[]", field: z.array(z.string().nullable()), literals: S.arrays(pairs) },
  { type: "int4range[]", field: z.array(z.string().nullable()), literals: S.arrays(int4ranges) },
  {
    type: "box[]",
    field: z.array(z.string().nullable()),
    literals: S.arrays(S.geometry.box, { delimiter: ";" }),
  },
  { type: "positive[]", field: z.array(z.int().nullable()), literals: S.arrays(V.oneOf("1", "2")) },
];

/** Every type as text, and every other field that can carry values of a type. */
export const TYPE_CASES: readonly TypeCase[] = [
  ...textCases,
  ...integerKinds,
  ...numberKinds,
  ...timeKinds,
  ...otherScalars,
  ...jsonKinds,
  ...arrayKinds,
];

/** `numeric(12,2) as {"type":"string","format":"decimal",…}`. */
export function titleOf({ type, field }: TypeCase): string {
  return `${type} as ${JSON.stringify(propertyOf(field)).slice(0, 90)}`;
}

/** The JSON Schema of a field, as it stands in an output schema. */
export function propertyOf(field: z.ZodType): object {
  return (outputSchemaOf(z.object({ v: field })).properties as { v: object }).v;
}
