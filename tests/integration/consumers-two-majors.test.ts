import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { loadManifests, readManifest } from "../../shared/manifest/load.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { resolveWorkspace } from "../../shared/manifest/workspace.ts";
import { setLogLevel } from "../../shared/observability/logger.ts";
import { createSource } from "../../source-connector/connector.ts";
import { runToEnd, writeFiles } from "../support/connector.ts";
import { createDatabase } from "../support/database.ts";
import { randomName } from "../support/names.ts";
import { runCliIn } from "../support/run-cli.ts";
import { startSink } from "../support/running-sink.ts";
import { sourceConfig } from "../support/source.ts";
import { team } from "../support/teams.ts";

const CODE = `
import { createConsumerSchema, createPostgresConsumerSchemaConfig, createPostgresPublicSchemaTransformations, createPublicSchema } from "rejot-kafka";
import { z } from "zod";
const select = (columns) => [
  ...createPostgresPublicSchemaTransformations("insertOrUpdate", "accounts", \`SELECT \${columns} FROM accounts WHERE id = :id\`),
  ...createPostgresPublicSchemaTransformations("delete", "accounts", "SELECT :id AS id"),
];
const account = (version, outputSchema, columns, more = {}) =>
  createPublicSchema("account", {
    source: { dataStoreSlug: "source" },
    outputSchema,
    version,
    config: { publicSchemaType: "postgres", transformations: select(columns) },
    ...more,
  });
account({ major: 1, minor: 0 }, z.object({ id: z.int(), name: z.string() }), "id, first || ' ' || last AS name", DEPRECATED);
account({ major: 2, minor: 0 }, z.object({ id: z.int(), first: z.string(), last: z.string() }), "id, first, last");
for (const [major, sql] of [
  [1, "INSERT INTO old_customers VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = :name"],
  [2, "INSERT INTO customers VALUES (:id, :first, :last) ON CONFLICT (id) DO UPDATE SET first = :first, last = :last"],
])
  createConsumerSchema("customer-v" + major, {
    source: { manifestSlug: "SLUG", publicSchema: { name: "account", majorVersion: major } },
    config: createPostgresConsumerSchemaConfig("sink", sql, {
      deleteSql: \`DELETE FROM \${major === 1 ? "old_" : ""}customers WHERE id = :id\`,
    }),
  });
`;

/** In a process of its own, where imports are Node's. */
const collect = (directory: string, ...flags: string[]) =>
  runToEnd("cli/main.ts", ["collect", "--write", ...flags, "schemas.ts"], { cwd: directory });

test("two majors of one schema run side by side from one source, each feeding its consumers", async () => {
  setLogLevel("silent");
  const stack = inject("stack");
  await using source = await createDatabase({
    sql: "CREATE TABLE accounts (id bigint PRIMARY KEY, first text NOT NULL, last text NOT NULL)",
  });
  await using sink = await createDatabase({
    sql: "CREATE TABLE old_customers (id bigint PRIMARY KEY, name text); CREATE TABLE customers (id bigint PRIMARY KEY, first text, last text)",
  });
  const slug = randomName("m").replace("_", "-");
  const manifest: Manifest = {
    slug,
    manifestVersion: 0,
    connections: [
      { slug: "source", config: source.connection },
      { slug: "sink", config: sink.connection },
      {
        slug: "events",
        config: {
          connectionType: "kafka",
          brokers: stack.brokers,
          schemaRegistry: { url: stack.registryUrl },
          partitions: 1,
          replicationFactor: 1,
        },
      },
    ],
    dataStores: [
      {
        connectionSlug: "source",
        config: {
          connectionType: "postgres",
          slotName: randomName("slot"),
          publicationName: randomName("pub"),
        },
      },
      { connectionSlug: "sink" },
    ],
    eventStores: [{ connectionSlug: "events" }],
  };
  await using files = await writeFiles({
    "rejot-manifest.json": manifest,
    "schemas.ts": CODE.replace("SLUG", slug).replace("DEPRECATED", '{ deprecated: { message: "Read v2." } }'),
  });
  const collected = await collect(files.directory, "--check");
  expect(collected.stderr).toMatch(
    /SCHEMA_DEPRECATED: .*customer-v1 reads .*account v1, deprecated: Read v2\./,
  );
  expect(collected.exitCode).toBe(0);
  const manifestPath = files.path("rejot-manifest.json");
  const { publicSchemas } = await readManifest(manifestPath);
  expect(publicSchemas?.map(({ name, version, deprecated }) => [name, version.major, deprecated])).toEqual([
    ["account", 1, { message: "Read v2." }],
    ["account", 2, undefined],
  ]);
  expect((await runCliIn(files.directory, ["schema", "write"])).exitCode).toBe(0);

  const workspace = await resolveWorkspace(await loadManifests([manifestPath]), {}, ["source"]);
  const connector = createSource({ workspace, config: sourceConfig({}) });
  await using stop = new AsyncDisposableStack();
  stop.defer(() => connector.stop());
  connector.done.catch(() => {});
  await connector.start(new AbortController().signal);
  await using running = await startSink(manifestPath);
  await running.waitForActive();
  await source.query("INSERT INTO accounts VALUES (1, 'Ada', 'Lovelace'), (2, 'Alan', 'Turing')");
  await source.query("UPDATE accounts SET last = 'King' WHERE id = 1; DELETE FROM accounts WHERE id = 2");
  const rows = async () => [
    await sink.query("SELECT * FROM old_customers ORDER BY id"),
    await sink.query("SELECT * FROM customers ORDER BY id"),
  ];
  const wanted = [[{ id: "1", name: "Ada King" }], [{ id: "1", first: "Ada", last: "King" }]];
  await running.eventually(
    async () => JSON.stringify(await rows()) === JSON.stringify(wanted),
    "both majors to arrive",
  );
  const check = await runCliIn(files.directory, ["schema", "check", "--against", "schemas,registry"]);
  expect(check).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("checked 2 public schemas") });
});

test("what was deprecated on the command line outlives collect, which asks to say it in the code", async () => {
  await using accounts = await team();
  const code = (more: string) =>
    CODE.replace("SLUG", accounts.slug)
      .replace("DEPRECATED", more)
      .replaceAll('"source"', '"db"')
      .replaceAll('"sink"', '"db"');
  const file = join(accounts.directory, "schemas.ts");
  const deprecations = async () =>
    (await readManifest(accounts.file)).publicSchemas?.map(({ deprecated }) => deprecated?.message);
  await writeFile(file, code("{}"));
  expect((await collect(accounts.directory)).exitCode).toBe(0);
  const flags = ["--major", "1", "--message", "soon", "--offline"];
  const said = await accounts.run("schema", "deprecate", "account", ...flags);
  expect(said.stderr).toMatch(
    /schemas\.ts defines it: add deprecated: \{"since":".*","message":"soon"\} to its createPublicSchema/,
  );
  const kept = await collect(accounts.directory);
  expect(kept).toMatchObject({
    exitCode: 0,
    stderr: expect.stringContaining("warning SCHEMA_DEPRECATION_KEPT"),
  });
  expect(await deprecations()).toEqual(["soon", undefined]);
  await writeFile(file, code('{ deprecated: { message: "by the code" } }'));
  expect((await collect(accounts.directory)).stderr).not.toContain("SCHEMA_DEPRECATION_KEPT");
  expect(await deprecations()).toEqual(["by the code", undefined]);
});
