import { readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { runToEnd, writeFiles } from "../support/connector.ts";
import { createDatabase } from "../support/database.ts";

const MANIFEST = {
  slug: "team",
  manifestVersion: 0,
  connections: [
    { slug: "db", config: { connectionType: "postgres", connectionString: "${DB}" } },
    {
      slug: "events",
      config: { connectionType: "kafka", brokers: ["k:9092"], schemaRegistry: { url: "http://r" } },
    },
  ],
  dataStores: [
    { connectionSlug: "db", config: { connectionType: "postgres", slotName: "s", publicationName: "p" } },
  ],
  eventStores: [{ connectionSlug: "events" }],
};

const IMPORTS = `import { createPublicSchema, createConsumerSchema, createPostgresPublicSchemaTransformations } from "rejot-kafka";
import { z } from "zod";
`;

/** A public schema over `things`; nothing is exported. */
function publicSchema(
  options: { name?: string; sql?: string; deleteSql?: string; extra?: string } = {},
): string {
  const {
    name = "thing",
    sql = "SELECT id, label FROM things WHERE id = :id",
    deleteSql,
    extra = "",
  } = options;
  const remove =
    deleteSql === undefined
      ? ""
      : `...createPostgresPublicSchemaTransformations("delete", "things", ${JSON.stringify(deleteSql)}),`;
  return `createPublicSchema(${JSON.stringify(name)}, {
  source: { dataStoreSlug: "db" },
  outputSchema: z.object({ id: z.int(), label: z.string().nullable() }),
  version: { major: 1, minor: 0 }, ${extra}
  config: { publicSchemaType: "postgres", transformations: [
    ...createPostgresPublicSchemaTransformations("insertOrUpdate", "things", ${JSON.stringify(sql)}), ${remove}
  ] },
});
`;
}

function consumerSchema(sql: string, more = ""): string {
  return `createConsumerSchema("copy", {
  source: { manifestSlug: "team", publicSchema: { name: "thing", majorVersion: 1 } },
  config: { consumerSchemaType: "postgres", destinationDataStoreSlug: "db", sql: ${JSON.stringify(sql)}, ${more} },
});
`;
}

async function project(files: Record<string, string | object>, manifest: object = MANIFEST) {
  const made = await writeFiles({ "rejot-manifest.json": manifest, ...files });
  return {
    ...made,
    collect: (args: string[], env: Record<string, string> = {}) =>
      runToEnd("cli/bin.js", ["collect", ...args], { cwd: made.directory, env }),
    text: () => readFile(made.path("rejot-manifest.json"), "utf8"),
  };
}

test("schemas are found exported or not, with the file that defines them, and written once", async () => {
  await using at = await project({
    "schemas.ts": `${IMPORTS}${publicSchema()}export const x = ${consumerSchema("SELECT :id")}`,
  });
  const first = await at.collect(["--write", "schemas.ts"]);
  expect(first).toMatchObject({
    exitCode: 0,
    stderr: expect.stringContaining("1 public schema, 1 consumer schema"),
  });
  const written = JSON.parse(await at.text());
  expect(written.publicSchemas).toMatchObject([{ name: "thing", definitionFile: "schemas.ts" }]);
  expect(written.consumerSchemas).toMatchObject([
    { name: "copy", sourceManifestSlug: "team", definitionFile: "schemas.ts" },
  ]);
  expect(Object.keys(written.publicSchemas[0].config.transformations[0])).toEqual([
    "operation",
    "table",
    "sql",
  ]);
  const before = await at.text();
  expect((await at.collect(["--write", "schemas.ts"])).stderr).toContain("is up to date");
  expect(await at.text()).toBe(before);
});

test("the order of files and schemas does not change the manifest, and what a file no longer defines goes", async () => {
  await using at = await project({
    "a.ts": `${IMPORTS}${publicSchema({ name: "b" })}${publicSchema({ name: "a" })}`,
    "z.ts": `${IMPORTS}${publicSchema({ name: "0" })}`,
  });
  await at.collect(["--write", "a.ts", "z.ts"]);
  const once = await at.text();
  await at.collect(["--write", "z.ts", "a.ts"]);
  expect(await at.text()).toBe(once);
  await writeFile(at.path("a.ts"), `${IMPORTS}${publicSchema({ name: "a" })}`);
  expect((await at.collect(["--write", "a.ts"])).stderr).toContain('no longer defined: "b" v1');
  const names = (JSON.parse(await at.text()).publicSchemas as { name: string }[]).map((s) => s.name);
  expect(names).toEqual(["0", "a"]);
});

test("schema files written for ReJot, for bundlers, and with enums run as they are", async () => {
  await using at = await project({
    "package.json": { name: "no-type" },
    "parts.ts": "export enum Kind { A = 'thing' }",
    "schemas.ts": `import { createPublicSchema } from "@rejot-dev/contract/public-schema";
import { createPostgresPublicSchemaTransformations, PostgresPublicSchemaConfigBuilder } from "@rejot-dev/adapter-postgres";
import { z } from "zod";
import { Kind } from "./parts";
const schema = createPublicSchema(Kind.A, {
  source: { dataStoreSlug: "db" }, outputSchema: z.object({ id: z.number() }), version: { major: 1, minor: 0 },
  config: new PostgresPublicSchemaConfigBuilder()
    .addTransformation(createPostgresPublicSchemaTransformations("insertOrUpdate", "things", "SELECT id FROM things WHERE id = :id"))
    .build(),
});
export default { schema };`,
  });
  expect(await at.collect(["--write", "./schemas.ts"])).toMatchObject({ exitCode: 0, stdout: "" });
  expect(JSON.parse(await at.text()).publicSchemas).toMatchObject([{ name: "thing" }]);
});

test("a folder stands for the files in it that define schemas; others are not run", async () => {
  await using at = await project({
    "schemas.ts": `${IMPORTS}${publicSchema()}`,
    "server.ts": "throw new Error('the service was started');",
  });
  expect(await at.collect(["."])).toMatchObject({
    exitCode: 0,
    stderr: expect.stringContaining("1 public schema"),
  });
  expect(await at.collect(["*.ts"])).toMatchObject({ exitCode: 0 });
});

test("--print gives JSON on stdout and nothing else there", async () => {
  await using at = await project({ "schemas.ts": `${IMPORTS}${publicSchema()}` });
  const { stdout } = await at.collect(["--print", "schemas.ts"]);
  expect(JSON.parse(stdout)).toMatchObject({ publicSchemas: [{ name: "thing" }], consumerSchemas: [] });
});

test.each<[string, string, RegExp]>([
  ["no schemas", "export const x = 1", /^error NO_SCHEMAS_FOUND/],
  [
    "a file that throws",
    "throw new Error('no luck')",
    /error SCHEMA_FILE_FAILED: .*no luck\n {2}at: schemas.ts:1/,
  ],
  ["a syntax error", "const = 1", /error SCHEMA_FILE_FAILED/],
  ["an import that is missing", 'import "not-there"', /error SCHEMA_FILE_FAILED: .*not-there/],
  [
    "an option that is wrong",
    `${IMPORTS}createPublicSchema("x", { version: 1 })`,
    /error SCHEMA_INVALID[\s\S]*version: [\s\S]*at: schemas.ts:3/,
  ],
])("%s: exit 1, with file and line, and nothing is written", async (_name, code, message) => {
  await using at = await project({ "schemas.ts": code });
  const before = await at.text();
  const result = await at.collect(["--write", "schemas.ts"]);
  expect(result.stderr).toMatch(message);
  expect(result.exitCode).toBe(1);
  expect(await at.text()).toBe(before);
});

test("a check that fails says all of it, exits 1 and writes nothing", async () => {
  const code =
    publicSchema({ sql: "SELECT id FROM things WHERE id = :id", deleteSql: "SELECT :id AS id" }) +
    consumerSchema("SELECT :lable");
  await using at = await project({ "schemas.ts": IMPORTS + code });
  const before = await at.text();
  const result = await at.collect(["--check", "--write", "schemas.ts"]);
  for (const code of [
    "OUTPUT_COLUMN_MISSING",
    "SQL_PLACEHOLDER_UNKNOWN",
    "DELETE_SQL_MISSING",
    "CHECK_FAILED",
  ]) {
    expect(result.stderr).toContain(code);
  }
  expect(result.exitCode).toBe(1);
  expect(await at.text()).toBe(before);
});

test("without the data store's database the check says that it did not look there", async () => {
  await using at = await project({ "schemas.ts": `${IMPORTS}${publicSchema()}` });
  const result = await at.collect(["--check", "schemas.ts"], { DB: "postgres://me@127.0.0.1:1/x" });
  expect(result).toMatchObject({
    exitCode: 0,
    stderr: expect.stringMatching(/DATABASE_NOT_CHECKED[\s\S]*--database/),
  });
  const named = await at.collect(["--check", "--database", "postgres://me@127.0.0.1:1/x", "schemas.ts"]);
  expect(named).toMatchObject({ exitCode: 3, stderr: expect.stringMatching(/^error POSTGRES_UNREACHABLE/) });
});

test("a check on the data store's database that passes is written", async () => {
  await using database = await createDatabase({
    sql: "CREATE TABLE things (id bigint PRIMARY KEY, label text)",
  });
  await using at = await project({ "schemas.ts": `${IMPORTS}${publicSchema()}` });
  const result = await at.collect(["--check", "--write", "schemas.ts"], { DB: database.url });
  expect(result.stderr).toContain("info TRANSFORMATION_READS_ROW_IMAGE");
  expect(result).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("wrote rejot-manifest.json") });
});
