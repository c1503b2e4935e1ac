import { z } from "zod";
import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import type { Contract } from "../../shared/contracts/evolution/schema-change.ts";
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

/**
 * What a change does: nothing that a version need say, a compatible change, or one that breaks consumers with the old
 * schema, those with the new one, or both. "stricter": the registry would let it pass.
 */
export type Expected =
  | "none"
  | "minor"
  | "old"
  | "new"
  | "both"
  | "stricter old"
  | "stricter new"
  | "stricter both";

/** A public schema in few words: its fields beside `id`, or all of it, and its key. */
interface Version {
  readonly fields: z.ZodRawShape;
  readonly key?: readonly string[];
}

export interface ChangeCase {
  readonly change: string;
  readonly before: Contract;
  readonly after: Contract;
  readonly expected: Expected;
}

/** Three versions of which each follows the one before, and the last does not follow the first. */
export interface ChainCase {
  readonly change: string;
  readonly versions: readonly [Contract, Contract, Contract];
  /** Whom the last breaks with the first. */
  readonly expected: "old" | "new" | "both";
}

function contractOf({ fields, key = ["id"] }: Version): Contract {
  const outputSchema = outputSchemaOf(z.object(fields));
  const publicSchema = { name: "thing", outputSchema, version: { major: 1, minor: 0 } };
  return avroSchemasOf({ manifestSlug: "@org/things", publicSchema, keyFields: key });
}

type Row = readonly [change: string, before: z.ZodRawShape, after: z.ZodRawShape, expected: Expected];
type TypeRow = readonly [change: string, before: z.ZodType, after: z.ZodType, expected: Expected];

const id = z.int();

/** Fields that stand beside `id`. */
const fields = (rows: readonly Row[]): ChangeCase[] =>
  rows.map(([change, before, after, expected]) => ({
    change,
    expected,
    before: contractOf({ fields: { id, ...before } }),
    after: contractOf({ fields: { id, ...after } }),
  }));

/** A field's type. */
const types = (rows: readonly TypeRow[]): ChangeCase[] =>
  fields(rows.map(([change, x, y, expected]) => [change, { x }, { x: y }, expected]));

const money = z.object({ amount: z.int(), currency: z.string() });
const card = z.object({ kind: z.literal("card"), number: z.string() });
const cash = z.object({ kind: z.literal("cash"), drawer: z.int() });

const FIELDS = fields([
  ["nothing", { a: z.string() }, { a: z.string() }, "none"],
  ["a nullable field is added", {}, { a: z.string().nullable() }, "minor"],
  ["an optional field is added", {}, { a: z.string().optional() }, "minor"],
  ["a text with a default is added", {}, { a: z.string().default("") }, "minor"],
  ["a number with a default is added", {}, { a: z.int().default(0) }, "minor"],
  ["a boolean with a default is added", {}, { a: z.boolean().default(false) }, "minor"],
  ["an enum with a default is added", {}, { a: z.enum(["x", "y"]).default("x") }, "minor"],
  ["a nullable list is added", {}, { a: z.array(z.string()).nullable() }, "minor"],
  ["a nullable object is added", {}, { a: money.nullable() }, "minor"],
  ["a field is added without a default", {}, { a: z.string() }, "new"],
  ["an enum is added without a default", {}, { a: z.enum(["x", "y"]) }, "new"],
  [
    "a list is added (its `.default([])` does not become one in Avro)",
    {},
    { a: z.array(z.string()).default([]) },
    "new",
  ],
  ["an object is added", {}, { a: money }, "new"],
  ["a nullable field is removed", { a: z.string().nullable() }, {}, "minor"],
  ["an optional field is removed", { a: z.string().optional() }, {}, "minor"],
  ["a field with a default is removed", { a: z.string().default("") }, {}, "minor"],
  ["a field is removed that has no default", { a: z.string() }, {}, "old"],
  ["a list is removed", { a: z.array(z.string()) }, {}, "old"],
  ["a field is renamed", { a: z.string() }, { b: z.string() }, "both"],
  [
    "a nullable field is renamed: to Avro one goes, one comes",
    { a: z.string().nullable() },
    { b: z.string().nullable() },
    "minor",
  ],
  [
    "a nullable field is replaced by one without a default",
    { a: z.string().nullable() },
    { b: z.string() },
    "new",
  ],
  ["fields are reordered", { a: z.string(), b: z.int() }, { b: z.int(), a: z.string() }, "none"],
  ["a field gets a description", { a: z.string() }, { a: z.string().describe("why") }, "none"],
  ["a description is changed", { a: z.string().describe("x") }, { a: z.string().describe("y") }, "none"],
  ["a default is changed", { a: z.string().default("x") }, { a: z.string().default("y") }, "minor"],
  ["a field gets a default", { a: z.string() }, { a: z.string().default("x") }, "minor"],
  ["an enum gets a default", { a: z.enum(["x"]) }, { a: z.enum(["x"]).default("x") }, "minor"],
  ["a field loses its default", { a: z.string().default("x") }, { a: z.string() }, "minor"],
]);

const NULLS = types([
  ["required becomes `.nullable()`", z.string(), z.string().nullable(), "old"],
  ["required becomes `.optional()`", z.string(), z.string().optional(), "old"],
  ["`.nullable()` becomes required", z.string().nullable(), z.string(), "new"],
  ["`.optional()` becomes required", z.int().optional(), z.int(), "new"],
  ["`.nullable()` gets a default instead of null", z.string().nullable(), z.string().default(""), "new"],
  ["`.nullable()` becomes `.nullish()`", z.string().nullable(), z.string().nullish(), "none"],
  ["`.optional()` becomes `.nullable()`", z.string().optional(), z.string().nullable(), "none"],
  ["a list becomes nullable", z.array(z.string()), z.array(z.string()).nullable(), "old"],
  ["an object becomes nullable", money, money.nullable(), "old"],
  ["an object is no longer nullable", money.nullable(), money, "new"],
]);

const SCALARS = types([
  ["`z.int()` becomes `z.number()` (old readers know whole numbers only)", z.int(), z.number(), "old"],
  ["`z.number()` becomes `z.int()`", z.number(), z.int(), "new"],
  ["`z.int()` becomes `int64()`: the same in Avro", z.int(), int64(), "none"],
  ["`z.email()` becomes `z.string()`: the same in Avro", z.email(), z.string(), "none"],
  ["a constraint changes (`.min`, `.max`, `.regex`)", z.string().max(10), z.string().min(2), "none"],
  ["`timestamp()` becomes `z.date()`: the same in Avro", timestamp(), z.date(), "none"],
  ["text becomes a number", z.string(), z.int(), "both"],
  ["a number becomes text", z.int(), z.string(), "both"],
  ["a number becomes a boolean", z.int(), z.boolean(), "both"],
  ["a number becomes `decimal(10, 2)`", z.number(), decimal(10, 2), "both"],
  ["a whole number becomes `decimal(10, 0)`", z.int(), decimal(10, 0), "both"],
  ["text becomes bytes", z.string(), bytes(), "stricter both"],
  ["bytes become text", bytes(), z.string(), "stricter both"],
  ["nullable text becomes nullable bytes", z.string().nullable(), bytes().nullable(), "stricter both"],
  ["text becomes `z.uuid()`", z.string(), z.uuid(), "stricter both"],
  ["`z.uuid()` becomes text", z.uuid(), z.string(), "stricter both"],
  ["text becomes `json()`", z.string(), json(), "stricter both"],
  ["`json()` becomes text", json(), z.string(), "stricter both"],
  ["text becomes `decimal(10, 2)`", z.string(), decimal(10, 2), "stricter both"],
  ["a decimal gets more digits", decimal(10, 2), decimal(12, 2), "stricter both"],
  ["a decimal gets fewer digits", decimal(10, 2), decimal(8, 2), "stricter both"],
  ["a decimal gets another scale", decimal(10, 2), decimal(10, 3), "stricter both"],
  ["a decimal becomes bytes", decimal(10, 2), bytes(), "stricter both"],
  ["a whole number becomes `timestamp()`", z.int(), timestamp(), "stricter both"],
  ["`timestamp()` becomes a whole number", timestamp(), z.int(), "stricter both"],
  ["`time()` becomes `timestamp()`", time(), timestamp(), "stricter both"],
  ["`date()` becomes `timestamp()`", date(), timestamp(), "both"],
  ["`timestamp()` becomes `date()`", timestamp(), date(), "both"],
  ["text becomes `timestamp()`", z.string(), timestamp(), "both"],
  ["`timestamp()` becomes text", timestamp(), z.string(), "both"],
]);

const ENUMS = types([
  ["a value is added", z.enum(["a", "b"]), z.enum(["a", "b", "c"]), "old"],
  ["a value is removed", z.enum(["a", "b", "c"]), z.enum(["a", "b"]), "new"],
  ["a value is renamed", z.enum(["a", "b"]), z.enum(["a", "c"]), "both"],
  ["values are reordered", z.enum(["a", "b"]), z.enum(["b", "a"]), "none"],
  [
    "a value is added where the field has a default (it is the field's, not the enum's)",
    z.enum(["a", "b"]).default("a"),
    z.enum(["a", "b", "c"]).default("a"),
    "old",
  ],
  ["a value is added to a nullable enum", z.enum(["a"]).nullable(), z.enum(["a", "b"]).nullable(), "old"],
  ["an enum becomes text", z.enum(["a", "b"]), z.string(), "both"],
  ["text becomes an enum", z.string(), z.enum(["a", "b"]), "both"],
  ["a literal becomes an enum with more values", z.literal("a"), z.enum(["a", "b"]), "old"],
  [
    "a value is added that is no Avro name, so that the enum becomes text with listed values",
    z.enum(["a", "b"]),
    z.enum(["a", "b", "c-d"]),
    "both",
  ],
  ["a value is added to text with listed values", z.enum(["a-b"]), z.enum(["a-b", "c-d"]), "stricter old"],
  [
    "a value is removed from text with listed values",
    z.enum(["a-b", "c-d"]),
    z.enum(["a-b"]),
    "stricter new",
  ],
  ["listed values become any text", z.enum(["a-b"]), z.string(), "stricter old"],
  ["any text becomes listed values", z.string(), z.enum(["a-b"]), "stricter new"],
  ["a number is added to listed numbers", z.literal([1, 2]), z.literal([1, 2, 3]), "stricter old"],
]);

const OBJECTS = types([
  ["a nullable field is added inside", money, money.extend({ note: z.string().nullable() }), "minor"],
  ["a field with a default is added inside", money, money.extend({ cents: z.int().default(0) }), "minor"],
  ["a field is added inside without a default", money, money.extend({ note: z.string() }), "new"],
  ["a nullable field is removed inside", money.extend({ note: z.string().nullable() }), money, "minor"],
  ["a field is removed inside", money, money.omit({ currency: true }), "old"],
  ["a field changes its type inside", money, money.extend({ currency: z.int() }), "both"],
  ["a field becomes nullable inside", money, money.extend({ currency: z.string().nullable() }), "old"],
  ["fields are reordered inside", z.object({ a: id, b: id }), z.object({ b: id, a: id }), "none"],
  ["a description is added inside", money, money.extend({ amount: z.int().describe("cents") }), "none"],
  [
    "a value is added to an enum two levels down",
    z.object({ in: z.object({ state: z.enum(["a"]) }) }),
    z.object({ in: z.object({ state: z.enum(["a", "b"]) }) }),
    "old",
  ],
  [
    "the same change inside a nullable object",
    money.nullable(),
    money.extend({ note: z.string() }).nullable(),
    "new",
  ],
  ["an object becomes `json()`", money, json(), "both"],
  ["`json()` becomes an object", json(), money, "both"],
  ["an object becomes a map", z.object({ a: z.int() }), z.record(z.string(), z.int()), "both"],
]);

const LISTS = types([
  ["items change their type", z.array(z.string()), z.array(z.int()), "both"],
  ["items get wider (`z.int()` to `z.number()`)", z.array(z.int()), z.array(z.number()), "old"],
  ["items become nullable", z.array(z.string()), z.array(z.string().nullable()), "old"],
  ["items are no longer nullable", z.array(z.string().nullable()), z.array(z.string()), "new"],
  [
    "items that are objects get a nullable field",
    z.array(money),
    z.array(money.extend({ note: z.string().nullable() })),
    "minor",
  ],
  [
    "items that are objects get a field without a default",
    z.array(money),
    z.array(money.extend({ note: z.string() })),
    "new",
  ],
  ["items that are objects lose a field", z.array(money), z.array(money.omit({ currency: true })), "old"],
  ["a decimal item gets another scale", z.array(decimal(9, 2)), z.array(decimal(9, 4)), "stricter both"],
  ["a value becomes a list", z.string(), z.array(z.string()), "both"],
  ["a list becomes a value", z.array(z.string()), z.string(), "both"],
  ["a list becomes a set: the same in Avro", z.array(z.string()), z.set(z.string()), "none"],
  [
    "a map's values change their type",
    z.record(z.string(), z.int()),
    z.record(z.string(), z.string()),
    "both",
  ],
  [
    "a map's values become nullable",
    z.record(z.string(), z.int()),
    z.record(z.string(), z.int().nullable()),
    "old",
  ],
  [
    "a map's values that are objects get a nullable field",
    z.record(z.string(), money),
    z.record(z.string(), money.extend({ note: z.string().nullable() })),
    "minor",
  ],
  ["a map becomes `json()`", z.record(z.string(), z.int()), json(), "both"],
]);

const ALTERNATIVES = types([
  ["a value gets an alternative", z.string(), z.union([z.string(), z.int()]), "old"],
  [
    "an alternative is added",
    z.union([z.string(), z.int()]),
    z.union([z.string(), z.int(), z.boolean()]),
    "old",
  ],
  ["an alternative is removed", z.union([z.string(), z.int()]), z.string(), "new"],
  ["alternatives are reordered", z.union([z.string(), z.int()]), z.union([z.int(), z.string()]), "none"],
  ["an alternative gets wider", z.union([z.string(), z.int()]), z.union([z.string(), z.number()]), "old"],
  [
    "an object of a discriminated union is added",
    z.discriminatedUnion("kind", [card, cash]),
    z.discriminatedUnion("kind", [card, cash, z.object({ kind: z.literal("gift"), code: z.string() })]),
    "old",
  ],
  [
    "an object of a discriminated union gets a nullable field",
    z.discriminatedUnion("kind", [card, cash]),
    z.discriminatedUnion("kind", [card.extend({ bank: z.string().nullable() }), cash]),
    "minor",
  ],
  [
    "an object of a discriminated union gets a field without a default",
    z.discriminatedUnion("kind", [card, cash]),
    z.discriminatedUnion("kind", [card.extend({ bank: z.string() }), cash]),
    "new",
  ],
  [
    "an object becomes one of two alternatives (its name in Avro changes)",
    card,
    z.discriminatedUnion("kind", [card, cash]),
    "both",
  ],
]);

const keyed = (change: string, before: Version, after: Version, expected: Expected): ChangeCase => ({
  change,
  expected,
  before: contractOf(before),
  after: contractOf(after),
});
const both = { a: z.int(), b: z.string() };

const KEYS: readonly ChangeCase[] = [
  keyed(
    "a field is added to the key",
    { fields: both, key: ["a"] },
    { fields: both, key: ["a", "b"] },
    "both",
  ),
  keyed(
    "a field is taken from the key",
    { fields: both, key: ["a", "b"] },
    { fields: both, key: ["a"] },
    "both",
  ),
  keyed("another field is the key", { fields: both, key: ["a"] }, { fields: both, key: ["b"] }, "both"),
  keyed(
    "the key's fields are reordered",
    { fields: both, key: ["a", "b"] },
    { fields: both, key: ["b", "a"] },
    "stricter both",
  ),
  keyed("the key's field becomes text", { fields: { id } }, { fields: { id: z.string() } }, "both"),
  keyed(
    "the key's field becomes `z.uuid()`",
    { fields: { id: z.string() } },
    { fields: { id: z.uuid() } },
    "stricter both",
  ),
  keyed(
    "the key's enum gets a value",
    { fields: { id: z.enum(["a"]) } },
    { fields: { id: z.enum(["a", "b"]) } },
    "both",
  ),
  keyed(
    "the key's field gets a description: that stands in the value only",
    { fields: { id } },
    { fields: { id: id.describe("who") } },
    "none",
  ),
  keyed(
    "the key's `z.int()` becomes `int64()`: the same in Avro",
    { fields: { id } },
    { fields: { id: int64() } },
    "none",
  ),
];

/** The table of docs/schema-changes.md. */
export const SCHEMA_CHANGES: readonly { readonly title: string; readonly cases: readonly ChangeCase[] }[] = [
  { title: "Fields", cases: FIELDS },
  { title: "Nulls", cases: NULLS },
  { title: "Types", cases: SCALARS },
  { title: "Enums and literals", cases: ENUMS },
  { title: "Objects", cases: OBJECTS },
  { title: "Lists and maps", cases: LISTS },
  { title: "Alternatives", cases: ALTERNATIVES },
  { title: "The key", cases: KEYS },
];

const chain = (
  change: string,
  shapes: readonly [z.ZodRawShape, z.ZodRawShape, z.ZodRawShape],
  expected: ChainCase["expected"],
): ChainCase => {
  const [a, b, c] = shapes.map((shape) => contractOf({ fields: { id, ...shape } })) as [
    Contract,
    Contract,
    Contract,
  ];
  return { change, versions: [a, b, c], expected };
};

/** Changes that pass one by one and not together. */
export const SCHEMA_CHAINS: readonly ChainCase[] = [
  chain(
    "a nullable text goes, and comes back as a nullable number",
    [{ a: z.string().nullable() }, {}, { a: z.int().nullable() }],
    "both",
  ),
  chain(
    "an enum with a default goes, and comes back with other values",
    [{ a: z.enum(["x", "y"]).default("x") }, {}, { a: z.enum(["x"]).default("x") }],
    "new",
  ),
  chain(
    "a field is added with a default, then loses it: nobody can fill it in for the oldest events",
    [{}, { a: z.string().default("") }, { a: z.string() }],
    "new",
  ),
  chain(
    "a field gets a default, then is removed: the oldest readers have none",
    [{ a: z.string() }, { a: z.string().default("") }, {}],
    "old",
  ),
  chain(
    "a nullable field goes, and comes back required with a default",
    [{ a: z.string().nullable() }, {}, { a: z.string().default("") }],
    "new",
  ),
  chain(
    "a list's object loses a nullable field, which comes back as an object",
    [
      { a: z.array(money.extend({ note: z.string().nullable() })) },
      { a: z.array(money) },
      { a: z.array(money.extend({ note: cash.nullable() })) },
    ],
    "both",
  ),
];
