import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type CheckOptions, checkManifest } from "../../cli/check/check-manifest.ts";
import {
  createConsumerSchema,
  createPostgresPublicSchemaTransformations,
  createPublicSchema,
} from "../../shared/contracts/api.ts";
import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import { parseManifest } from "../../shared/manifest/load.ts";
import { COLLECT_MANIFEST, collectProject, IMPORTS } from "../support/collect-project.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";

/** What may be selected beside the id: its field and the SQL after SELECT id. */
interface Extra {
  field?: z.ZodType;
  sql?: string;
  table?: string;
}

function publicSchema({
  field = z.string().nullable(),
  sql = "SELECT id, label AS x FROM things WHERE id = :id",
  table = "things",
}: Extra = {}) {
  return createPublicSchema("thing", {
    source: { dataStoreSlug: "db" },
    outputSchema: z.object({ id: z.int(), x: field }),
    version: { major: 1, minor: 0 },
    key: ["id"],
    config: {
      publicSchemaType: "postgres",
      transformations: createPostgresPublicSchemaTransformations("insertOrUpdate", table, sql),
    },
  });
}

function consumerSchema(sql: string) {
  return createConsumerSchema("copy", {
    source: { manifestSlug: "shop", publicSchema: { name: "thing", majorVersion: 1 } },
    config: { consumerSchemaType: "postgres", destinationDataStoreSlug: "db", sql },
  });
}

async function check(schemas: object[], options: Partial<CheckOptions> = {}): Promise<Diagnostic[]> {
  const manifest = {
    ...COLLECT_MANIFEST,
    publicSchemas: schemas.filter((schema) => "outputSchema" in schema),
    consumerSchemas: schemas.filter((schema) => !("outputSchema" in schema)),
  };
  const target = { path: "/shop.json", manifest: parseManifest(JSON.stringify(manifest), "shop") };
  return checkManifest(target, [], { env: {}, databases: [], ...options });
}

const only = (diagnostics: Diagnostic[], code: string) =>
  diagnostics.filter((d) => d.code === code).map((d) => `${d.severity}: ${d.message.replace(/^.*?: /, "")}`);

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase({
    sql: `
      CREATE DOMAIN full_text AS text NOT NULL;
      CREATE TABLE things (id bigint PRIMARY KEY, label text, solid text NOT NULL, full_label full_text, owner_id bigint NOT NULL);
      CREATE TABLE owners (id bigint PRIMARY KEY, name text NOT NULL);
      CREATE TABLE copies (id integer PRIMARY KEY, x text, at date);
      CREATE VIEW seen AS SELECT * FROM things;
      CREATE TABLE lines (id bigint PRIMARY KEY, thing_id bigint NOT NULL, indexed_id bigint NOT NULL);
      CREATE INDEX ON lines (indexed_id);
      CREATE TABLE empty_lines (id bigint PRIMARY KEY, thing_id bigint NOT NULL);
      CREATE TABLE few_lines (id bigint PRIMARY KEY, thing_id bigint NOT NULL);
      INSERT INTO lines SELECT i, i % 5000, i % 5000 FROM generate_series(1, 20000) i;
      INSERT INTO few_lines SELECT i, i FROM generate_series(1, 50) i;
      ANALYZE lines, few_lines`,
  });
});
afterAll(() => database[Symbol.asyncDispose]());

const onDatabase = (schemas: object[]) => check(schemas, { databases: [database.url] });

describe("a column that may be null, and a field that may not, is a warning", () => {
  const string = z.string();
  test.each<[string, Extra, RegExp]>([
    [
      "no NOT NULL",
      { sql: "SELECT id, label AS x FROM things WHERE id = :id" },
      /"x": things\.label has no NOT NULL \(line 1, column 12/,
    ],
    [
      "an outer join",
      {
        sql: "SELECT t.id, o.name AS x FROM things t LEFT JOIN owners o ON o.id = t.owner_id WHERE t.id = :id",
      },
      /o stands on the side of an outer join/,
    ],
    [
      "a placeholder",
      { sql: "SELECT :id::bigint AS id, :label::text AS x" },
      /things\.label has no NOT NULL/,
    ],
    [
      "a strict function",
      { sql: "SELECT id, upper(label) AS x FROM things WHERE id = :id" },
      /things\.label/,
    ],
    [
      "a subquery",
      { sql: "SELECT id, (SELECT name FROM owners o WHERE o.id = owner_id) AS x FROM things WHERE id = :id" },
      /a subquery that finds no row/,
    ],
    [
      "an aggregate",
      { sql: "SELECT :id::bigint AS id, (SELECT max(name) FROM owners) AS x" },
      /max over no rows/,
    ],
  ])("%s", async (_name, extra, why) => {
    const found = only(
      await onDatabase([publicSchema({ field: string, ...extra })]),
      "OUTPUT_COLUMN_NULLABLE",
    );
    expect(found).toEqual([expect.stringMatching(why)]);
    expect(found[0]).toMatch(/^warning/);
  });

  test.each<[string, Extra]>([
    ["NOT NULL", { sql: "SELECT id, solid AS x FROM things WHERE id = :id" }],
    ["a domain that is NOT NULL", { sql: "SELECT id, full_label AS x FROM things WHERE id = :id" }],
    ["coalesce", { sql: "SELECT id, coalesce(label, '') AS x FROM things WHERE id = :id" }],
    ["a nullable field", { field: z.string().nullable() }],
    ["IS NOT NULL", { sql: "SELECT id, label AS x FROM things WHERE id = :id AND label IS NOT NULL" }],
    [
      "a view, of whose columns nothing is known",
      { sql: "SELECT s.id, s.label AS x FROM seen s WHERE s.id = :id" },
    ],
  ])("not for %s", async (_name, extra) => {
    const found = await onDatabase([publicSchema({ field: string, ...extra })]);
    expect(found.filter((d) => d.severity !== "info")).toEqual([]);
  });
});

test("a text column that fills a field of another type is a warning", async () => {
  const sql = "SELECT id, label AS x FROM things WHERE id = :id";
  const found = async (field: z.ZodType) =>
    only(await onDatabase([publicSchema({ field: field.nullable(), sql })]), "OUTPUT_COLUMN_TEXT");
  expect(await found(z.int())).toEqual([
    'warning: "x": the field is nullable long (line 1, column 12 of the SQL)',
  ]);
  expect(await found(z.enum(["a", "b"]))).toEqual([]);
});

describe("a plan that reads a whole table for each batch", () => {
  const lookUp = (table: string, column: string): Extra => ({
    field: z.int(),
    sql: `SELECT t.id, (SELECT count(*) FROM ${table} l WHERE l.${column} = t.id) AS x FROM things t WHERE t.id = :id`,
  });
  const scans = async (extra: Extra) =>
    only(await onDatabase([publicSchema(extra)]), "TRANSFORMATION_SCANS_TABLE");

  test("is a warning where the table is large and no index leads to the rows", async () => {
    expect(await scans(lookUp("lines", "thing_id"))).toEqual([
      expect.stringMatching(
        /^warning: lines \(about 20000 rows\), to find those with \(l\.thing_id = :id::bigint\) \(line 1, column 36/,
      ),
    ]);
  });

  test("is said as info where the table's size is not known", async () => {
    expect(await scans(lookUp("empty_lines", "thing_id"))).toEqual([
      expect.stringMatching(/^info: empty_lines \(its size here is not known\)/),
    ]);
  });

  test.each([
    ["an index leads to the rows", lookUp("lines", "indexed_id")],
    ["the table is small", lookUp("few_lines", "thing_id")],
    ["the primary key leads to the row", lookUp("empty_lines", "id")],
    ["only the row of the change is read", {}],
  ])("is not said where %s", async (_name, extra) => {
    expect(await scans(extra)).toEqual([]);
  });
});

describe("consumer SQL on the destination", () => {
  const types = async (field: z.ZodType, sql: string) =>
    only(
      await onDatabase([
        publicSchema({ field, sql: "SELECT id, NULL AS x FROM things WHERE id = :id" }),
        consumerSchema(sql),
      ]),
      "PARAMETER_TYPE_MISMATCH",
    );

  test("a field that its column does not take is an error, one that it does not always take a warning", async () => {
    const insert = "INSERT INTO copies (id, at) VALUES (:id, :x)";
    expect(await types(z.int().nullable(), insert)).toEqual([
      expect.stringMatching(/^error: :x is nullable long, the destination wants date: date does not take it/),
    ]);
    expect(await types(z.iso.datetime().nullable(), insert)).toEqual([
      expect.stringMatching(/^warning: .*the sink refuses those with a time of day/),
    ]);
    expect(await types(z.iso.date().nullable(), insert)).toEqual([]);
    expect(
      await types(z.int().nullable(), "INSERT INTO copies (id, x) VALUES (:id, :x::bigint::text)"),
    ).toEqual([]);
  });
});

describe("every depth says what it did not look at", () => {
  const schemas = () => [publicSchema(), consumerSchema("INSERT INTO copies (id, x) VALUES (:id, :x)")];

  test("without a database", async () => {
    const found = await check(schemas(), { databases: false });
    expect(found).toMatchObject([{ code: "NOT_LOOKED_AT", severity: "info" }]);
    for (const part of [
      "nullability",
      "replica identity",
      "plans",
      "consumer SQL suits the tables",
      "No database",
    ])
      expect(found[0]?.message).toContain(part);
  });

  test("on databases", async () => {
    const [note, ...others] = (await onDatabase(schemas())).filter((d) => d.code === "NOT_LOOKED_AT");
    expect(others).toEqual([]);
    expect(note).toMatchObject({ severity: "info" });
    for (const part of [
      "values beyond",
      "rights of the source's",
      "triggers",
      `"${database.name}" as role`,
      "not run",
    ])
      expect(note?.message).toContain(part);
  });

  test("where the data store's own database cannot be asked: a warning, or an error when it is required", async () => {
    const warned = await check(schemas());
    expect(warned).toMatchObject([
      {
        code: "DATABASE_NOT_CHECKED",
        severity: "warning",
        message: expect.stringMatching(/DB is not set.*Not looked at: .*plans/),
      },
    ]);
    expect(await check(schemas(), { requireDatabase: true })).toMatchObject([
      { code: "SECRET_NOT_FOUND", severity: "error" },
    ]);
  });

  test("one wrong schema does not keep the others from being checked on the database", async () => {
    const broken = publicSchema({ sql: "SELEC 1" });
    const other = {
      ...publicSchema({ sql: "SELECT id, lable AS x FROM things WHERE id = :id" }),
      name: "other",
    };
    const codes = (await onDatabase([broken, other]))
      .filter((d) => d.severity === "error")
      .map((d) => d.code);
    expect(codes).toEqual(["SQL_DOES_NOT_PARSE", "TRANSFORMATION_REJECTED"]);
  });
});

test("exit codes: 3 where a database that is wanted is not reached, 1 where a schema is wrong as well", async () => {
  const code = (sql: string) => `${IMPORTS}createPublicSchema("thing", {
    source: { dataStoreSlug: "db" }, outputSchema: z.object({ id: z.int() }), version: { major: 1, minor: 0 },
    config: { publicSchemaType: "postgres", transformations: on("insertOrUpdate", "things", ${JSON.stringify(sql)}) } });`;
  await using at = await collectProject({
    "right.ts": code("SELECT id FROM things WHERE id = :id"),
    "wrong.ts": code("SELECT id FROM things WHERE id = :id FOR UPDATE"),
  });
  const DB = "postgres://me@127.0.0.1:1/x";
  const exitCodes = await Promise.all(
    [
      ["right.ts", "--check"],
      ["right.ts", "--check", "--no-database"],
      ["right.ts", "--require-database"],
      ["right.ts", "--database", DB],
      ["wrong.ts", "--database", DB],
      ["wrong.ts", "--no-database"],
      ["wrong.ts", "--database", "not a url"],
    ].map(async (args) => (await at.collect(args, { DB })).exitCode),
  );
  expect(exitCodes).toEqual([0, 0, 3, 3, 1, 1, 2]);
});
