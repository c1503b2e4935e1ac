import { expect, test } from "vitest";
import { type LoadedManifest, parseManifest } from "./load.ts";
import type { ConsumerSchema, Manifest, PublicSchema } from "./schema.ts";
import { checkWorkspace, postgresConnection, resolveWorkspace } from "./workspace.ts";

const kafka = (brokers: string, prefix?: string) => ({
  slug: "events",
  config: {
    connectionType: "kafka" as const,
    brokers: [brokers],
    schemaRegistry: { url: "http://registry" },
    ...(prefix === undefined ? {} : { topicPrefix: prefix }),
  },
});
const postgres = (slug: string) => ({
  slug,
  config: { connectionType: "postgres" as const, host: "h", user: "u", password: "${PW}", database: slug },
});
const things = (more: Partial<PublicSchema> = {}): PublicSchema => ({
  name: "things",
  source: { dataStoreSlug: "db" },
  outputSchema: { type: "object", properties: { id: { type: "integer" } }, required: ["id"] },
  version: { major: 1, minor: 0 },
  config: {
    publicSchemaType: "postgres",
    transformations: [{ operation: "insert", table: "things", sql: "SELECT id FROM things WHERE id = :id" }],
  },
  ...more,
});
const twice: PublicSchema["config"] = {
  publicSchemaType: "postgres",
  transformations: ["things", "public.things"].map((table) => ({
    operation: "insert",
    table,
    sql: "SELECT id FROM things WHERE id = :id",
  })),
};
const consumer = (sourceManifestSlug: string, name = "copy", majorVersion = 1): ConsumerSchema => ({
  name,
  sourceManifestSlug,
  publicSchema: { name: "things", majorVersion },
  config: {
    consumerSchemaType: "postgres",
    destinationDataStoreSlug: "db",
    sql: "INSERT INTO t VALUES (:id)",
  },
});
function load(slug: string, more: Partial<Manifest> = {}): LoadedManifest {
  const manifest = {
    slug,
    manifestVersion: 0,
    connections: [postgres("db"), kafka("one:9092")],
    dataStores: [
      { connectionSlug: "db", config: { connectionType: "postgres", slotName: "s", publicationName: "p" } },
    ],
    eventStores: [{ connectionSlug: "events" }],
    ...more,
  };
  return { path: `/${slug}.json`, manifest: parseManifest(JSON.stringify(manifest), slug) };
}
const codes = async (...loaded: LoadedManifest[]) =>
  (await checkWorkspace(loaded)).diagnostics.map((d) => `${d.severity} ${d.code}`);

test("sources and destinations come with everything looked up and secrets resolved", async () => {
  const team = load("@org/team", {
    publicSchemas: [things()],
    connections: [postgres("db"), kafka("one:9092", "eu.")],
  });
  const reader = load("reader", { consumerSchemas: [consumer("@org/team"), consumer("far-away", "other")] });
  const workspace = await resolveWorkspace([team, reader], { PW: "secret" });
  expect(workspace.sources).toMatchObject([
    {
      manifestSlug: "@org/team",
      dataStoreSlug: "db",
      connection: { password: "secret" },
      config: { slotName: "s" },
      eventStore: { brokers: ["one:9092"] },
      publicSchemas: [{ keyFields: ["id"], topic: "eu.org.team.things.v1" }],
    },
  ]);
  expect(workspace.destinations).toMatchObject([
    {
      eventStore: { topicPrefix: "eu." },
      consumers: [{ topic: "eu.org.team.things.v1", publicSchema: { keyFields: ["id"] } }],
    },
    { consumers: [{ topic: "far-away.things.v1", publicSchema: undefined }] },
  ]);
  expect(workspace.diagnostics.map((d) => d.code)).toEqual(["MANIFEST_NOT_FOUND"]);
});

test("consumers of one event store share a destination, whoever published", async () => {
  const reader = load("reader", { consumerSchemas: [consumer("a"), consumer("b", "second")] });
  const { destinations } = await resolveWorkspace([reader], { PW: "x" });
  expect(destinations.map((d) => d.consumers.length)).toEqual([2]);
});

test("one Kafka under two manifests is one destination, reached by the reader's own connection", async () => {
  const withPassword = (name: string, more: object) => {
    const { slug, config } = kafka("one:9092");
    const sasl = { mechanism: "plain" as const, username: name, password: `\${${name.toUpperCase()}}` };
    return { slug, config: { ...config, sasl, ...more } };
  };
  const team = load("team", {
    publicSchemas: [things()],
    connections: [postgres("db"), withPassword("team", { brokers: ["one:9092", "two:9092"], partitions: 3 })],
  });
  const reader = load("reader", {
    consumerSchemas: [consumer("team"), consumer("elsewhere", "second")],
    connections: [postgres("db"), withPassword("reader", { clientId: "reader" })],
  });
  const { destinations } = await resolveWorkspace([team, reader], { PW: "x", READER: "mine" }, ["sink"]);
  expect(destinations).toMatchObject([
    { eventStore: { sasl: { username: "reader", password: "mine" }, clientId: "reader" } },
  ]);
  expect(destinations[0]?.consumers.map((c) => c.topic)).toEqual(["team.things.v1", "elsewhere.things.v1"]);
});

test("a role resolves only its own secrets", async () => {
  const team = load("team", { consumerSchemas: [consumer("other")] });
  await expect(resolveWorkspace([team], {})).rejects.toMatchObject({ code: "SECRET_NOT_FOUND" });
  expect((await resolveWorkspace([team], {}, ["source"])).destinations).toEqual([]);
});

test("a connection string, whole or in parts from the environment", () => {
  const manifest = (connectionString: string) =>
    load("m", { connections: [{ slug: "db", config: { connectionType: "postgres", connectionString } }] })
      .manifest;
  const parts = { host: "h", port: 5433, user: "u", password: "p@/", database: "d" };
  expect(
    postgresConnection(manifest("${URL}"), "db", { URL: "postgres://u:p%40%2F@h:5433/d" }),
  ).toMatchObject(parts);
  expect(postgresConnection(manifest("postgres://u:${PW}@h:5433/d"), "db", { PW: "p@/" })).toMatchObject(
    parts,
  );
});

test.each<[string, LoadedManifest[], string[]]>([
  ["DUPLICATE_MANIFEST_SLUG", [load("a"), load("a")], ["error DUPLICATE_MANIFEST_SLUG"]],
  [
    "DUPLICATE_CONNECTION",
    [load("a", { connections: [postgres("db"), postgres("db"), kafka("x")] })],
    ["error DUPLICATE_CONNECTION"],
  ],
  [
    "DUPLICATE_DATA_STORE",
    [load("a", { dataStores: [{ connectionSlug: "db" }, { connectionSlug: "db" }] })],
    ["error DUPLICATE_DATA_STORE"],
  ],
  [
    "DUPLICATE_PUBLIC_SCHEMA",
    [load("a", { publicSchemas: [things(), things()] })],
    ["error DUPLICATE_PUBLIC_SCHEMA"],
  ],
  [
    "TRANSFORMATION_REPEATED",
    [load("a", { publicSchemas: [things({ config: twice })] })],
    ["error TRANSFORMATION_REPEATED"],
  ],
  [
    "DUPLICATE_CONSUMER_SCHEMA",
    [load("a", { publicSchemas: [things()], consumerSchemas: [consumer("a"), consumer("a")] })],
    ["error DUPLICATE_CONSUMER_SCHEMA"],
  ],
  [
    "CONNECTION_NOT_FOUND",
    [load("a", { dataStores: [{ connectionSlug: "nope" }], eventStores: [{ connectionSlug: "no" }] })],
    [
      "warning UNUSED_CONNECTION",
      "warning UNUSED_CONNECTION",
      "error CONNECTION_NOT_FOUND",
      "error CONNECTION_NOT_FOUND",
    ],
  ],
  [
    "CONNECTION_TYPE_MISMATCH",
    [load("a", { dataStores: [{ connectionSlug: "events" }], eventStores: [{ connectionSlug: "db" }] })],
    ["error CONNECTION_TYPE_MISMATCH", "error CONNECTION_TYPE_MISMATCH"],
  ],
  [
    "DATA_STORE_NOT_FOUND",
    [load("a", { publicSchemas: [things({ source: { dataStoreSlug: "nope" } })] })],
    ["error DATA_STORE_NOT_FOUND"],
  ],
  [
    "DATA_STORE_MISSING_CONFIG",
    [load("a", { dataStores: [{ connectionSlug: "db" }], publicSchemas: [things()] })],
    ["error DATA_STORE_MISSING_CONFIG"],
  ],
  [
    "EVENT_STORE_MISSING",
    [load("a", { eventStores: [], connections: [postgres("db")], publicSchemas: [things()] })],
    ["error EVENT_STORE_MISSING"],
  ],
  [
    "PUBLIC_SCHEMA_NOT_FOUND",
    [load("a", { consumerSchemas: [consumer("a")] })],
    ["error PUBLIC_SCHEMA_NOT_FOUND"],
  ],
  [
    "VERSION_MISMATCH",
    [load("a", { publicSchemas: [things()], consumerSchemas: [consumer("a", "copy", 2)] })],
    ["error VERSION_MISMATCH"],
  ],
  [
    "TOPIC_NAME_COLLISION",
    [
      load("@org/x", { publicSchemas: [things()] }),
      load("org", { publicSchemas: [things({ name: "x.things" })] }),
    ],
    ["error TOPIC_NAME_COLLISION"],
  ],
  ["nothing", [load("a", { publicSchemas: [things()], consumerSchemas: [consumer("a")] })], []],
])("%s", async (_name, loaded, expected) => {
  expect(await codes(...loaded)).toEqual(expected);
});

test("errors are thrown together, under the code of the first", async () => {
  const broken = load("a", {
    publicSchemas: [things({ source: { dataStoreSlug: "nope" } })],
    consumerSchemas: [consumer("a", "c", 9)],
  });
  await expect(resolveWorkspace([broken], {})).rejects.toMatchObject({
    code: "DATA_STORE_NOT_FOUND",
    message: expect.stringMatching(/also VERSION_MISMATCH/),
  });
});

test("a topic of dead letters whose name Kafka would refuse is an error, where there can be dead letters", async () => {
  const reads = (onError: "stop" | "dlq", prefix: string) => {
    const { config, ...rest } = consumer("team");
    return load("reader", {
      consumerSchemas: [{ ...rest, config: { ...config, onError } }],
      connections: [postgres("db"), kafka("one:9092", prefix)],
    });
  };
  const team = load("team", { publicSchemas: [things()] });
  expect(await codes(reads("dlq", "p".repeat(105)))).toEqual(["warning MANIFEST_NOT_FOUND"]);
  expect(await codes(reads("dlq", "p".repeat(106)))).toContain("error TOPIC_NAME_INVALID");
  expect(await codes(reads("stop", "p".repeat(106)))).toEqual(["warning MANIFEST_NOT_FOUND"]);
  // The publisher's prefix counts, and one that is a secret is not known here.
  expect(await codes(team, reads("dlq", "p".repeat(106)))).toEqual([]);
  expect(await codes(reads("dlq", `\${${"P".repeat(200)}}`))).toEqual(["warning MANIFEST_NOT_FOUND"]);
});
