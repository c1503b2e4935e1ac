import { describe, expect, test } from "vitest";
import { cliFolder } from "../support/cli-folder.ts";

const POSTGRES = "postgres://me:s3cret@h:5433/shop";
const KAFKA = ["--type", "kafka", "--brokers", "a:1,b:2", "--schema-registry", "http://me:s3cret@reg:8081"];

/** Runs the command with --json; what stdout holds must be one JSON document. */
async function json(at: Awaited<ReturnType<typeof cliFolder>>, line: string | readonly string[]) {
  const words = typeof line === "string" ? line.split(" ") : line;
  const { exitCode, stdout, stderr } = await at.run(...words, "--json");
  return { exitCode, value: JSON.parse(stdout), stderr };
}

test("everything that is made, listed and removed", async () => {
  await using at = await cliFolder();
  const manifest = "rejot-manifest.json";
  const done = async (line: string | readonly string[]) => {
    const { exitCode, value, stderr } = await json(at, line);
    expect(exitCode, stderr).toBe(0);
    return value;
  };

  expect(await done("manifest init --slug team")).toEqual({ manifest, slug: "team" });
  const db = {
    slug: "db",
    config: {
      connectionType: "postgres",
      host: "h",
      port: 5433,
      user: "me",
      password: "***",
      database: "shop",
    },
  };
  const added = await done([
    "manifest",
    "connection",
    "add",
    "--slug",
    "db",
    "--connection-string",
    POSTGRES,
  ]);
  expect(added).toEqual({
    manifest,
    connection: db,
    warnings: [expect.stringContaining("${DB_PASSWORD}")],
  });
  const url = await done([
    "manifest",
    "connection",
    "update",
    "db",
    "--connection-string",
    "${DATABASE_URL}",
  ]);
  expect(url).toEqual({
    manifest,
    connection: { slug: "db", config: { connectionType: "postgres", connectionString: "${DATABASE_URL}" } },
    warnings: [],
  });
  const { connection: events } = await done(["manifest", "connection", "add", "--slug", "events", ...KAFKA]);
  expect(events.config.schemaRegistry).toEqual({
    url: "http://reg:8081",
    auth: { username: "me", password: "***" },
  });
  const slot = "--publication pub --slot slot --delivery at-least-once";
  const config = {
    connectionType: "postgres",
    slotName: "slot",
    publicationName: "pub",
    delivery: "at-least-once",
  };
  expect(await done(`manifest datastore add --connection db ${slot}`)).toEqual({
    manifest,
    dataStore: { connectionSlug: "db", config },
  });
  expect(await done("manifest eventstore add --connection events")).toEqual({
    manifest,
    eventStore: { connectionSlug: "events" },
  });

  const connections = [url.connection, events];
  const dataStores = [{ connectionSlug: "db", config }];
  const eventStores = [{ connectionSlug: "events" }];
  expect(await done("manifest connection list")).toEqual({ manifest, connections });
  expect(await done("manifest datastore list")).toEqual({ manifest, dataStores });
  expect(await done("manifest eventstore list")).toEqual({ manifest, eventStores });
  expect(await done("manifest info")).toEqual({
    manifests: [
      {
        manifest,
        slug: "team",
        connections,
        dataStores,
        eventStores,
        publicSchemas: [],
        consumerSchemas: [],
      },
    ],
    diagnostics: [],
    summary: { errors: 0, warnings: 0, infos: 0 },
  });
  expect(await done("manifest eventstore remove events")).toEqual({ manifest, removed: "events" });
  expect(await done("manifest datastore remove db")).toEqual({ manifest, removed: "db" });
  expect(await done("manifest connection remove db")).toEqual({ manifest, removed: "db" });
  expect(await done("manifest schema")).toHaveProperty("$schema");

  const workspaces = ["./**/rejot-manifest.json"];
  expect(await done("workspace init --slug all")).toEqual({
    manifest: "rejot-workspace.json",
    slug: "all",
    workspaces,
  });
  const all = await done("workspace info");
  expect(all.manifests).toMatchObject([
    { manifest: "rejot-workspace.json", slug: "all", workspaces },
    { manifest, slug: "team" },
  ]);
});

test("a manifest's schemas, with key and topic", async () => {
  const statement = { operation: "delete", table: "shop.items", sql: "SELECT :id::bigint AS id" };
  await using at = await cliFolder({
    "rejot-manifest.json": {
      slug: "@org/shop",
      manifestVersion: 0,
      connections: [
        { slug: "db", config: { connectionType: "postgres", host: "h", user: "u", database: "d" } },
        {
          slug: "events",
          config: {
            connectionType: "kafka",
            brokers: ["a:1"],
            schemaRegistry: { url: "http://a" },
            topicPrefix: "eu.",
          },
        },
      ],
      dataStores: [
        {
          connectionSlug: "db",
          config: { connectionType: "postgres", slotName: "s", publicationName: "p" },
        },
      ],
      eventStores: [{ connectionSlug: "events" }],
      publicSchemas: [
        {
          name: "item",
          source: { dataStoreSlug: "db" },
          outputSchema: {
            type: "object",
            properties: { id: { type: "integer" } },
            required: ["id"],
            additionalProperties: false,
          },
          version: { major: 2, minor: 1 },
          config: { publicSchemaType: "postgres", transformations: [statement] },
        },
      ],
      consumerSchemas: [
        {
          name: "copy",
          sourceManifestSlug: "@org/shop",
          publicSchema: { name: "item", majorVersion: 2 },
          config: {
            consumerSchemaType: "postgres",
            destinationDataStoreSlug: "db",
            sql: "INSERT INTO copy VALUES (:id)",
            deleteSql: "DELETE FROM copy WHERE id = :id",
          },
        },
      ],
    },
  });
  const { value } = await json(at, "manifest info");
  expect(value.manifests[0]).toMatchObject({
    publicSchemas: [
      {
        name: "item",
        version: { major: 2, minor: 1 },
        dataStore: "db",
        tables: ["shop.items"],
        key: ["id"],
        topic: "eu.org.shop.item.v2",
      },
    ],
    consumerSchemas: [
      {
        name: "copy",
        publicSchema: { manifest: "@org/shop", name: "item", majorVersion: 2 },
        dataStore: "db",
      },
    ],
  });
});

const WRONG = {
  slug: "wrong",
  manifestVersion: 0,
  connections: [
    { slug: "c", config: { connectionType: "kafka", brokers: ["a:1"], schemaRegistry: { url: "x" } } },
  ],
  dataStores: [{ connectionSlug: "nowhere" }],
};

describe("what a check finds is a result", () => {
  test("--json and --format json: all of it, with exit code 1", async () => {
    await using at = await cliFolder({ "rejot-manifest.json": WRONG });
    const { exitCode, value } = await json(at, "manifest info");
    expect(exitCode).toBe(1);
    expect(value).toMatchObject({
      manifests: [{ slug: "wrong" }],
      diagnostics: [
        {
          code: "CONNECTION_NOT_FOUND",
          severity: "error",
          location: expect.any(String),
          hint: expect.any(String),
        },
        { code: "UNUSED_CONNECTION", severity: "warning" },
      ],
      summary: { errors: 1, warnings: 1, infos: 0 },
    });
    const formatted = await at.run("manifest", "info", "--format", "json");
    expect(JSON.parse(formatted.stdout)).toEqual(value);
  });

  test.each([
    ["github", /^::error .*CONNECTION_NOT_FOUND/],
    ["junit", /^<\?xml [\s\S]*<failure [\s\S]*CONNECTION_NOT_FOUND/],
    ["sarif", /"ruleId": ?"CONNECTION_NOT_FOUND"/],
  ])("--format %s", async (format, expected) => {
    await using at = await cliFolder({ "rejot-manifest.json": WRONG });
    for (const command of ["manifest info", "workspace info --filename rejot-manifest.json"]) {
      const result = await at.run(...command.split(" "), "--format", format);
      expect(result).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(expected) });
    }
  });
});

describe("an error is one JSON document too, and people read the same on stderr", () => {
  test.each<[string, number, string]>([
    ["manifest inof", 2, "USAGE"],
    ["manifest", 2, "USAGE"],
    ["nonsense", 2, "USAGE"],
    ["manifest init", 2, "USAGE"],
    ["manifest init --slug team", 1, "MANIFEST_EXISTS"],
    ["manifest info --manifest absent.json", 1, "MANIFEST_NOT_FOUND"],
    ["manifest info --manifest broken.json", 1, "MANIFEST_NOT_JSON"],
    ["manifest info --format xml", 2, "USAGE"],
    ["manifest connection list --manifest absent", 1, "MANIFEST_NOT_FOUND"],
    ["manifest connection remove absent", 1, "CONNECTION_NOT_FOUND"],
    ["manifest connection add --slug a --connection-string mysql://x", 2, "CONNECTION_STRING_INVALID"],
    ["manifest datastore add --connection absent", 1, "CONNECTION_NOT_FOUND"],
    ["manifest datastore remove absent", 1, "DATA_STORE_NOT_FOUND"],
    ["manifest eventstore add --connection absent", 1, "CONNECTION_NOT_FOUND"],
    ["manifest eventstore remove absent", 1, "EVENT_STORE_NOT_FOUND"],
    ["manifest sync absent.json", 1, "MANIFEST_NOT_FOUND"],
    ["manifest sync . --resolver env", 2, "REJOT_ONLY"],
    ["manifest sync . --api-port many", 2, "CONFIG_INVALID"],
    ["workspace info", 1, "MANIFEST_NOT_FOUND"],
    ["workspace init --slug No", 2, "USAGE"],
    ["collect absent.ts --manifest absent.json", 1, "MANIFEST_NOT_FOUND"],
    ["sync", 2, "REJOT_ONLY"],
  ])("%s", async (line, exitCode, code) => {
    await using at = await cliFolder({
      "rejot-manifest.json": { slug: "team", manifestVersion: 0 },
      "broken.json": "{",
    });
    const result = await json(at, line);
    expect(result.exitCode).toBe(exitCode);
    expect(result.value).toEqual({
      error: expect.objectContaining({
        code,
        message: expect.stringMatching(/^.{10,}/),
        hint: expect.stringMatching(/^.{8,}/),
      }),
    });
    expect(result.stderr).toContain(`${code}: ${result.value.error.message}\n`);
  });

  test("causes are told", async () => {
    await using at = await cliFolder();
    const { value } = await json(at, "manifest info --manifest absent.json");
    expect(value.error.causes).toEqual([expect.stringContaining("ENOENT")]);
  });
});
