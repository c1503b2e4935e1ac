import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { checkManifest } from "../../cli/check/check-manifest.ts";
import { loadSurroundings } from "../../cli/workspace-file.ts";
import {
  createConsumerSchema,
  createPostgresConsumerSchemaConfig,
  createPostgresPublicSchemaTransformations,
  createPublicSchema,
  type PublicSchema,
  type PublicSchemaOptions,
} from "../../shared/contracts/api.ts";
import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import { parseManifest } from "../../shared/manifest/load.ts";
import type { ConsumerSchema } from "../../shared/manifest/schema.ts";
import { writeFiles } from "../support/connector.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";

interface ThingOptions extends Partial<PublicSchemaOptions> {
  sql?: string;
  deleteSql?: string;
  table?: string;
}

/** A public schema over `things`. */
function thing(options: ThingOptions = {}): PublicSchema {
  const {
    sql = "SELECT id, label FROM things WHERE id = :id",
    deleteSql,
    table = "things",
    ...more
  } = options;
  const transformations = createPostgresPublicSchemaTransformations("insertOrUpdate", table, sql);
  if (deleteSql !== undefined) {
    transformations.push(...createPostgresPublicSchemaTransformations("delete", table, deleteSql));
  }
  return createPublicSchema("thing", {
    source: { dataStoreSlug: "db" },
    outputSchema: z.object({ id: z.int(), label: z.string().nullable() }),
    version: { major: 1, minor: 0 },
    config: { publicSchemaType: "postgres", transformations },
    ...more,
  });
}

function copy(
  sql: string,
  options: Parameters<typeof createPostgresConsumerSchemaConfig>[2] = {},
): ConsumerSchema {
  return createConsumerSchema("copy", {
    source: { manifestSlug: "team", publicSchema: { name: "thing", majorVersion: 1 } },
    config: createPostgresConsumerSchemaConfig("db", sql, options),
  });
}

async function check(
  schemas: (PublicSchema | ConsumerSchema)[],
  databases: string[] = [],
): Promise<Diagnostic[]> {
  const manifest = {
    slug: "team",
    manifestVersion: 0,
    connections: [
      { slug: "db", config: { connectionType: "postgres", connectionString: "${NOT_SET}" } },
      {
        slug: "events",
        config: { connectionType: "kafka", brokers: ["k:9092"], schemaRegistry: { url: "http://r" } },
      },
    ],
    dataStores: [
      { connectionSlug: "db", config: { connectionType: "postgres", slotName: "s", publicationName: "p" } },
    ],
    eventStores: [{ connectionSlug: "events" }],
    publicSchemas: schemas.filter((s) => "outputSchema" in s),
    consumerSchemas: schemas.filter((s) => !("outputSchema" in s)),
  };
  const target = { path: "/team.json", manifest: parseManifest(JSON.stringify(manifest), "team") };
  return checkManifest(target, [], { env: {}, databases });
}

const errors = (diagnostics: Diagnostic[]) =>
  diagnostics.filter((d) => d.severity === "error").map((d) => `${d.code}: ${d.message}`);
const keyed = { key: ["id"] };

describe("without a database", () => {
  test.each<[string, () => (PublicSchema | ConsumerSchema)[], RegExp]>([
    [
      "unknown data store",
      () => [thing({ source: { dataStoreSlug: "nope" } })],
      /^DATA_STORE_NOT_FOUND: .*"nope"; there is "db"/,
    ],
    ["SQL that does not parse", () => [thing({ sql: "SELEC 1" })], /^SQL_DOES_NOT_PARSE/],
    ["two statements", () => [thing({ sql: "SELECT 1; SELECT 2" })], /^SQL_NOT_ONE_STATEMENT/],
    [
      "placeholders of both kinds",
      () => [thing({ sql: "SELECT :id AS id, $2 AS label" })],
      /^SQL_PLACEHOLDERS_MIXED/,
    ],
    [
      "a transformation that writes",
      () => [thing({ sql: "WITH x AS (DELETE FROM things RETURNING *) SELECT id, label FROM x", ...keyed })],
      /^SQL_NOT_A_SELECT: .*it deletes/,
    ],
    [
      "a transformation that is no SELECT",
      () => [thing({ sql: "DELETE FROM things WHERE id = :id", ...keyed })],
      /^SQL_NOT_A_SELECT/,
    ],
    [
      "SELECT INTO",
      () => [thing({ sql: "SELECT id, label INTO x FROM things WHERE id = :id" })],
      /^SQL_NOT_A_SELECT/,
    ],
    [
      "a transformation that locks",
      () => [thing({ sql: "SELECT id, label FROM things WHERE id = :id FOR UPDATE" })],
      /^SQL_NOT_A_SELECT: .*locks/,
    ],
    [
      "a missing column",
      () => [thing({ sql: "SELECT id FROM things WHERE id = :id" })],
      /^OUTPUT_COLUMN_MISSING: .*"label"; it gives "id"/,
    ],
    [
      "a column twice",
      () => [thing({ sql: "SELECT id, label, label FROM things WHERE id = :id" })],
      /^OUTPUT_COLUMN_REPEATED/,
    ],
    [
      "a key that cannot be found out",
      () => [thing({ sql: "SELECT id, label FROM things" })],
      /^KEY_NOT_FOUND/,
    ],
    [
      "a key that names no field",
      () => [thing({ key: ["uid"] })],
      /^KEY_FIELD_UNKNOWN: .*"uid"; its fields are id, label/,
    ],
    [
      "a delete that misses the key",
      () => [thing({ key: ["id"], deleteSql: "SELECT :id AS uid" })],
      /^DELETE_WITHOUT_KEY/,
    ],
    [
      "a field without a form in Avro",
      () => [
        thing({
          outputSchema: {
            type: "object",
            properties: { id: { type: "integer" }, label: { not: {} } },
            required: ["id"],
          },
        }),
      ],
      /^SCHEMA_NOT_MAPPABLE/,
    ],
    [
      "a delete without deleteSql",
      () => [thing({ deleteSql: "SELECT :id AS id" }), copy("SELECT :id")],
      /^DELETE_SQL_MISSING/,
    ],
    [
      "an unknown placeholder",
      () => [thing(), copy("SELECT :id, :lable")],
      /^SQL_PLACEHOLDER_UNKNOWN: .*:lable; there is :id, :label/,
    ],
    [
      "a deleteSql with more than the key",
      () => [thing({ deleteSql: "SELECT :id AS id" }), copy("SELECT :id", { deleteSql: "SELECT :label" })],
      /^SQL_PLACEHOLDER_UNKNOWN: .*:label; there is :id/,
    ],
    ["an unknown public schema", () => [copy("SELECT 1")], /^PUBLIC_SCHEMA_NOT_FOUND/],
    ["two schemas of one name", () => [thing(), thing()], /^DUPLICATE_PUBLIC_SCHEMA/],
  ])("%s", async (_name, schemas, message) => {
    expect(errors(await check(schemas()))).toContainEqual(expect.stringMatching(message));
  });

  test("deletes that are ignored on purpose pass", async () => {
    const schemas = [thing({ deleteSql: "SELECT :id AS id" }), copy("SELECT :id", { deletes: "ignore" })];
    expect(errors(await check(schemas))).toEqual([]);
  });

  test("a column that the schema does not have is a warning", async () => {
    const found = await check([thing({ sql: "SELECT id, label, owner FROM things WHERE id = :id" })]);
    expect(errors(found)).toEqual([]);
    expect(found).toMatchObject([
      { code: "OUTPUT_COLUMN_EXTRA", severity: "warning" },
      {
        code: "DATABASE_NOT_CHECKED",
        severity: "warning",
        message: expect.stringContaining("NOT_SET is not set"),
      },
    ]);
  });
});

describe("on a database", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase({
      sql: `CREATE TABLE things (id bigint PRIMARY KEY, label text, owner bigint);
        CREATE TABLE copies (id bigint PRIMARY KEY, label text);
        CREATE TABLE loose (id bigint, label text)`,
    });
  });
  afterAll(() => database[Symbol.asyncDispose]());

  test("what is right passes, and every transformation says what it reads", async () => {
    const found = await check(
      [
        thing({ deleteSql: "SELECT :id::bigint AS id" }),
        copy("INSERT INTO copies VALUES (:id, :label)", { deleteSql: "DELETE FROM copies WHERE id = :id" }),
      ],
      [database.url],
    );
    expect(errors(found)).toEqual([]);
    expect(found.map((d) => `${d.severity} ${d.code} ${d.location.split(", ")[1]}`)).toEqual([
      "info TRANSFORMATION_READS_ROW_IMAGE insert and update of things",
      "info TRANSFORMATION_READS_ROW_IMAGE delete of things",
      "info NOT_LOOKED_AT undefined",
    ]);
  });

  test("a transformation that reads the table as it is says why", async () => {
    const found = await check(
      [thing({ ...keyed, sql: "SELECT max(id) AS id, max(label) AS label FROM things" })],
      [database.url],
    );
    expect(found).toContainEqual(
      expect.objectContaining({
        code: "TRANSFORMATION_READS_TABLE",
        message: expect.stringContaining("WHERE does not say id = :id"),
      }),
    );
  });

  test("nothing is executed", async () => {
    await check([thing(), copy("INSERT INTO copies VALUES (1, 'x')")], [database.url]);
    expect(await database.query("SELECT * FROM copies")).toEqual([]);
  });

  test.each<[string, () => (PublicSchema | ConsumerSchema)[], RegExp]>([
    [
      "unknown column",
      () => [thing({ sql: "SELECT id, lable AS label FROM things WHERE id = :id" })],
      /^TRANSFORMATION_REJECTED: .*lable/,
    ],
    [
      "unknown table",
      () => [thing({ table: "nowhere", sql: "SELECT id, label FROM nowhere WHERE id = :id" })],
      /^TABLE_NOT_FOUND/,
    ],
    [
      "unknown placeholder",
      () => [thing({ ...keyed, sql: "SELECT id, label FROM things WHERE id = :uid" })],
      /^TRANSFORMATION_PLACEHOLDER_UNKNOWN: .*:uid/,
    ],
    [
      "a star that misses a field",
      () => [thing({ ...keyed, sql: "SELECT c.* FROM (SELECT id FROM things) c WHERE id = :id" })],
      /^OUTPUT_COLUMN_MISSING: .*"label"/,
    ],
    [
      "a type that does not fit",
      () => [thing({ ...keyed, sql: "SELECT now() AS id, label FROM things WHERE id = :id" })],
      /^OUTPUT_COLUMN_TYPE/,
    ],
    [
      "a table without identity",
      () => [thing({ table: "loose", sql: "SELECT id, label FROM loose WHERE id = :id" })],
      /^TABLE_WITHOUT_IDENTITY/,
    ],
    [
      "a delete that wants more than the identity",
      () => [thing({ deleteSql: "SELECT :owner AS id" })],
      /^TRANSFORMATION_PLACEHOLDER_UNKNOWN: .*:owner/,
    ],
    [
      "consumer SQL with an unknown table",
      () => [thing(), copy("INSERT INTO nowhere VALUES (:id)")],
      /^SINK_SQL_REJECTED: .*nowhere/,
    ],
    ["consumer SQL that defines", () => [thing(), copy("CREATE TABLE x ()")], /^SINK_SQL_NOT_SUPPORTED/],
  ])("%s", async (_name, schemas, message) => {
    expect(errors(await check(schemas(), [`db=${database.url}`]))).toContainEqual(
      expect.stringMatching(message),
    );
  });

  test("--database names a data store that there is", async () => {
    await expect(check([thing()], [`nope=${database.url}`])).rejects.toMatchObject({
      code: "DATA_STORE_NOT_FOUND",
    });
  });
});

describe("the workspace around a manifest", () => {
  const reader = {
    slug: "reader",
    manifestVersion: 0,
    consumerSchemas: [copy("SELECT 1")],
  };

  test("is found in a folder above, and what the manifest breaks there is said", async () => {
    await using folder = await writeFiles({
      "rejot-workspace.json": { slug: "all", manifestVersion: 0, workspaces: ["./*.json"] },
      "team.json": { slug: "team", manifestVersion: 0 },
      "reader.json": reader,
    });
    const { target, others } = await loadSurroundings(folder.path("team.json"));
    expect(others.map((m) => m.manifest.slug)).toEqual(["all", "reader"]);
    const found = await checkManifest(target, others, { env: {}, databases: [] });
    expect(errors(found)).toContainEqual(expect.stringMatching(/^PUBLIC_SCHEMA_NOT_FOUND: .*"thing"/));
  });

  test("a field that a consumer of the workspace uses is missed there, by name", async () => {
    const uses = copy("INSERT INTO copies VALUES (:id, :removed)");
    await using folder = await writeFiles({
      "rejot-workspace.json": { slug: "all", manifestVersion: 0, workspaces: ["./*.json"] },
      "team.json": { slug: "team", manifestVersion: 0, publicSchemas: [thing(keyed)] },
      "reader.json": { ...reader, consumerSchemas: [uses] },
    });
    const { target, others } = await loadSurroundings(folder.path("team.json"));
    const found = await checkManifest(target, others, { env: {}, databases: false });
    expect(found).toContainEqual(
      expect.objectContaining({
        code: "SQL_PLACEHOLDER_UNKNOWN",
        file: folder.path("reader.json"),
        location: expect.stringMatching(/reader\.json:\d+: consumer schema "copy", sql$/),
        message: expect.stringContaining(":removed; there is :id, :label"),
      }),
    );
  });

  test("does not keep a manifest from being checked when it cannot be read", async () => {
    await using folder = await writeFiles({
      "rejot-workspace.json": { slug: "all", manifestVersion: 0, workspaces: ["./*.json"] },
      "team.json": { slug: "team", manifestVersion: 0 },
      "broken.json": "{",
    });
    const { others, diagnostics } = await loadSurroundings(folder.path("team.json"));
    expect(others).toEqual([]);
    expect(diagnostics).toMatchObject([{ code: "WORKSPACE_NOT_READ", severity: "warning" }]);
  });

  test("is left alone when it does not lead to the manifest", async () => {
    await using folder = await writeFiles({
      "rejot-workspace.json": { slug: "all", manifestVersion: 0, workspaces: ["./reader.json"] },
      "team.json": { slug: "team", manifestVersion: 0 },
      "reader.json": reader,
    });
    expect(await loadSurroundings(folder.path("team.json"))).toMatchObject({ others: [], diagnostics: [] });
  });
});
