import fc from "fast-check";
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import { type AvroType, nullability, shapeOf } from "../../shared/contracts/avro-types.ts";
import { compileParameter, compileRowDecoder } from "../../shared/contracts/row-decoder.ts";
import { compileRowEncoder } from "../../shared/contracts/row-encoder.ts";
import { FIELD_KINDS, POSTGRES_TYPES } from "../../shared/contracts/type-table.ts";
import { outputSchemaOf } from "../../shared/contracts/zod-types.ts";
import { RejotError } from "../../shared/errors/error.ts";
import {
  loadTypeCatalog,
  OID,
  type PgType,
  type TypeCatalog,
  withoutDomains,
} from "../../shared/postgres/type-catalog.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";
import { seedFromEnvironment } from "../support/random.ts";
import { ALL_VALUES, OWN_TYPES, propertyOf, TYPE_CASES } from "../support/type-cases.ts";

const VALUES_PER_TYPE = Number(process.env.REJOT_TYPE_RUNS ?? 6) * 4;

let database: TestDatabase;
let client: pg.Client;
let catalog: TypeCatalog;

beforeAll(async () => {
  database = await createDatabase({ sql: OWN_TYPES });
  client = await database.connect();
  catalog = await loadTypeCatalog(client);
});

afterAll(() => database?.[Symbol.asyncDispose]());

/** Every way to declare a field that the tests and the table of types know, once. */
const FIELDS: readonly z.ZodType[] = [
  ...new Map(
    [
      ...FIELD_KINDS.flatMap(({ forms }) => forms.map(([, field]) => field)),
      ...TYPE_CASES.map((c) => c.field),
    ].map((field) => [JSON.stringify(propertyOf(field)), field]),
  ).values(),
];

/** The way of a text to a field and back to a parameter of the same type; undefined when the two do not go together. */
function wayOver(field: z.ZodType, pgType: PgType) {
  const outputSchema = outputSchemaOf(z.object({ v: field }));
  const publicSchema = { name: "thing", outputSchema, version: { major: 1, minor: 0 } };
  const schema = avroSchemasOf({ manifestSlug: "test", publicSchema, keyFields: [] }).value;
  const type = schema.fields[0]?.type as AvroType;
  try {
    const encode = compileRowEncoder(schema, [{ name: "v", typeOid: pgType.oid }], catalog);
    const decode = compileRowDecoder(schema);
    const parameter = compileParameter(type, pgType);
    return { type, run: (text: string | null) => parameter(decode(encode([text])).v) };
  } catch (error) {
    if (error instanceof RejotError && error.code === "OUTPUT_COLUMN_TYPE") return undefined;
    throw error;
  }
}

/** The kinds of a field's alternatives, of an array its elements'. */
function leafKinds(type: AvroType): string[] {
  return nullability(type).branches.flatMap((branch) => {
    const shape = shapeOf(branch);
    return shape.kind === "array" ? leafKinds(shape.items) : [shape.kind];
  });
}

/**
 * Whether the value comes back in a column of the same type: not as JSON where the column is none, and text is
 * read for what it spells, as the field says, so that its spelling is not kept. JSON's null is null for a field that is
 * not JSON itself.
 */
function comesBack(type: AvroType, pgType: PgType, text: string): boolean {
  const kinds = leafKinds(type);
  const inner = withoutDomains(pgType);
  const element = withoutDomains(inner.element ?? inner);
  const isJson = element.oid === OID.json || element.oid === OID.jsonb;
  const whole = nullability(type).branches.some((branch) => shapeOf(branch).kind === "json");
  if (isJson && /\bnull\b/.test(text) && !kinds.includes("json")) return false;
  if (isJson) return !kinds.includes("record") && !(whole && inner.element !== undefined);
  if (kinds.includes("json") || kinds.includes("record")) return false;
  return element.category !== "S" || kinds.every((kind) => ["string", "enum", "uuid"].includes(kind));
}

async function oidOf(type: string): Promise<number> {
  const { rows } = await client.query<{ oid: string }>("SELECT $1::regtype::oid::text AS oid", [type]);
  return Number(rows[0]?.oid);
}

/** What the server writes for literals of a type. */
async function serverTexts(type: string, literals: readonly string[]): Promise<(string | null)[]> {
  const { rows } = await client.query<{ v: string | null }>(
    `SELECT x::${type} AS v FROM unnest($1::text[]) AS t (x)`,
    [literals],
  );
  return rows.map(({ v }) => v);
}

interface Pair {
  readonly sent: string;
  readonly back: string | null;
  readonly over: string;
}

/** Pairs that are not the same value to Postgres; where it cannot compare, the same text. */
async function changed(type: string, pairs: readonly Pair[]): Promise<string[]> {
  const asJson = /^(json|jsonb|document)(\[\])?$/.exec(type);
  const cast = asJson === null ? type : `jsonb${asJson[2] ?? ""}`;
  const sides = (same: string) =>
    client.query<{ n: string }>(
      `SELECT n FROM (SELECT n, a::${cast} AS a, b::${cast} AS b FROM unnest($1::text[], $2::text[])
         WITH ORDINALITY AS t (a, b, n)) AS t WHERE NOT (${same})`,
      [pairs.map(({ sent }) => sent), pairs.map(({ back }) => back)],
    );
  const { rows } = await sides("a IS NOT DISTINCT FROM b").catch(() =>
    sides("format('%L', a) = format('%L', b)"),
  );
  return rows.map(({ n }) => {
    const { sent, back, over } = pairs[Number(n) - 1] as Pair;
    return `${type} over ${over}: ${sent.slice(0, 200)} came back as ${back?.slice(0, 200)}`;
  });
}

test(
  "a value of any type over any field comes back as it was, or is refused with a code",
  async () => {
    const seed = seedFromEnvironment();
    console.log(`fields never bend values: REJOT_SEED=${seed}, ${FIELDS.length} fields`);
    let refused = 0;
    let compared = 0;
    for (const [type, literals] of Object.entries(ALL_VALUES)) {
      const oid = await oidOf(type);
      await catalog.require([oid]);
      const texts = await serverTexts(type, fc.sample(literals, { seed, numRuns: VALUES_PER_TYPE }));
      const pairs: Pair[] = [];
      for (const field of FIELDS) {
        const way = wayOver(field, catalog.get(oid));
        if (way === undefined) continue;
        for (const sent of texts) {
          if (sent === null) continue;
          try {
            const back = way.run(sent);
            if (comesBack(way.type, catalog.get(oid), sent))
              pairs.push({ sent, back, over: JSON.stringify(way.type) });
          } catch (error) {
            expect(error, `${type} over ${JSON.stringify(way.type)}: ${sent}`).toMatchObject({
              code: expect.stringMatching(/^VALUE_(NULL|NOT_REPRESENTABLE)$/),
            });
            refused++;
          }
        }
      }
      compared += pairs.length;
      expect(await changed(type, pairs)).toEqual([]);
    }
    console.log(`${compared} values came back, ${refused} were refused`);
    expect(Math.min(compared, refused)).toBeGreaterThan(1000);
  },
  120_000 + VALUES_PER_TYPE * 2_000,
);

test("the table of types knows every type that Postgres lets a column have", async () => {
  const { rows } = await client.query<{ oid: string; category: string; kind: string }>(
    `SELECT t.oid::text, t.typcategory::text AS category, t.typtype::text AS kind
     FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
     WHERE t.oid < 10000 AND t.typtype = 'b' AND e.oid IS NULL AND t.typname NOT LIKE 'pg\\_%\\_%'
       AND t.typname NOT IN ('pg_ndistinct', 'pg_dependencies', 'gtsvector')`,
  );
  const known = new Map(POSTGRES_TYPES.filter((type) => type.oid < 900_000).map((type) => [type.oid, type]));
  expect(rows.filter(({ oid }) => !known.has(Number(oid)))).toEqual([]);
  for (const { oid, category } of rows) expect(known.get(Number(oid))?.category, oid).toBe(category);
  for (const type of known.values())
    expect(await oidOf(type.name === "bit" ? "bit(1)" : type.name)).toBe(type.oid);
});
