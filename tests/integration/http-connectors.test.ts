import { createConnection } from "node:net";
import { expect, inject, test } from "vitest";
import { type SpawnedConnector, spawnConnector, writeFiles } from "../support/connector.ts";
import { createDatabase } from "../support/database.ts";
import { randomName } from "../support/names.ts";
import { waitFor } from "../support/wait-for.ts";

interface Transaction {
  transactionId: string;
  operations: { type: string; object?: { id: number; name: string }; objectKeys?: { id: number } }[];
}

/** A manifest that publishes `person` from the table `people`, and writes it to the table `persons` of the same database. */
function manifestOf(slug: string, name: string, connection: object) {
  const { brokers, registryUrl } = inject("stack");
  const select = "SELECT id, name FROM people WHERE id = :id";
  return {
    slug,
    manifestVersion: 0,
    connections: [
      { slug: "db", config: connection },
      {
        slug: "events",
        config: { connectionType: "kafka", brokers, schemaRegistry: { url: registryUrl }, partitions: 3 },
      },
    ],
    dataStores: [
      {
        connectionSlug: "db",
        config: { connectionType: "postgres", slotName: name, publicationName: name },
      },
    ],
    eventStores: [{ connectionSlug: "events" }],
    publicSchemas: [
      {
        name: "person",
        source: { dataStoreSlug: "db" },
        key: ["id"],
        version: { major: 1, minor: 0 },
        outputSchema: {
          type: "object",
          properties: { id: { type: "integer" }, name: { type: "string" } },
          required: ["id", "name"],
          additionalProperties: false,
        },
        config: {
          publicSchemaType: "postgres",
          transformations: [
            { operation: "insert", table: "people", sql: select },
            { operation: "update", table: "people", sql: select },
            { operation: "delete", table: "people", sql: "SELECT :id AS id" },
          ],
        },
      },
    ],
    consumerSchemas: [
      {
        name: "persons",
        sourceManifestSlug: slug,
        publicSchema: { name: "person", majorVersion: 1 },
        config: {
          consumerSchemaType: "postgres",
          destinationDataStoreSlug: "db",
          sql: `INSERT INTO persons VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = :name`,
          deleteSql: "DELETE FROM persons WHERE id = :id",
        },
      },
    ],
  };
}

const TABLES = `
  CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL);
  CREATE TABLE persons (id int PRIMARY KEY, name text NOT NULL)`;

test("active and standby sources and a sink serve the same events; reading goes on over a takeover", async () => {
  const slug = randomName("team").replaceAll("_", "-");
  await using db = await createDatabase({ sql: TABLES });
  await using files = await writeFiles({ "manifest.json": manifestOf(slug, db.name, db.connection) });
  const manifest = files.path("manifest.json");
  const env = { REJOT_SOURCE_TAKEOVER_MS: "3000" };
  await using first = await spawnConnector("source", [manifest], { env });
  await first.waitForReady();
  await using second = await spawnConnector("source", [manifest], { env });
  await second.waitForReady();
  await using sink = await spawnConnector("sink", [manifest]);
  await sink.waitForReady();

  const roleOf = async (connector: SpawnedConnector) => (await connector.status()).units[0]?.role;
  expect([await roleOf(first), await roleOf(second), await roleOf(sink)]).toEqual([
    "active",
    "standby",
    "active",
  ]);
  const schema = { manifest: { slug }, schema: { name: "person", version: { major: 1 } } };
  const read = async (connector: SpawnedConnector, transactionId: string | null) => {
    const cursors = encodeURIComponent(JSON.stringify([{ schema, transactionId }]));
    const { status, body } = await connector.get(`/read?cursors=${cursors}`);
    expect([status, JSON.stringify(body)]).toEqual([200, expect.any(String)]);
    return body as Transaction[];
  };
  const readCount = (connector: SpawnedConnector, after: string | null, count: number) =>
    waitFor(
      async () => {
        const transactions = await read(connector, after);
        return transactions.length >= count ? transactions : undefined;
      },
      { describe: `${count} transactions; the log:\n${connector.logTail()}` },
    );

  await db.query("INSERT INTO people VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Cleo')");
  await db.query(
    "BEGIN; UPDATE people SET name = 'Eve' WHERE id = 2; DELETE FROM people WHERE id = 1; COMMIT",
  );
  const transactions = await readCount(first, null, 2);
  expect(
    transactions.map(({ operations }) =>
      operations.map(({ type, object, objectKeys }) => [type, object ?? objectKeys]),
    ),
  ).toEqual([
    [
      ["insert", { id: 1, name: "Ada" }],
      ["insert", { id: 2, name: "Bob" }],
      ["insert", { id: 3, name: "Cleo" }],
    ],
    [
      ["update", { id: 2, name: "Eve" }],
      ["delete", { id: 1 }],
    ],
  ]);
  expect(await read(second, null)).toEqual(transactions);
  expect(await read(sink, null)).toEqual(transactions);

  const last = transactions.at(-1)?.transactionId as string;
  expect(await read(first, last)).toEqual([]);
  await first.kill();
  await db.query("INSERT INTO people VALUES (4, 'Dan')");
  const after = await readCount(second, last, 1);
  expect(after.flatMap(({ operations }) => operations.map(({ object }) => object))).toEqual([
    { id: 4, name: "Dan" },
  ]);
  expect(await roleOf(second)).toBe("active");
  expect(await readCount(sink, last, 1)).toEqual(after);

  const metrics = await (await fetch(`${second.url}/metrics`)).text();
  expect(metrics).toMatch(/^rejot_source_/m);
  expect(metrics).toMatch(/^rejot_http_request_seconds_count\{route="\/read",status="200"\}/m);
  const publicSchemas = (await second.get("/public-schemas")).body;
  expect(publicSchemas).toMatchObject([{ manifestSlug: slug, name: "person", topic: `${slug}.person.v1` }]);
  expect(JSON.stringify([publicSchemas, (await second.get("/status")).body])).not.toContain(
    db.connection.password,
  );
});

test("a connector listens on loopback, asks for its token, and ends well on SIGTERM", async () => {
  const slug = randomName("team").replaceAll("_", "-");
  await using db = await createDatabase({ sql: TABLES });
  await using files = await writeFiles({ "manifest.json": manifestOf(slug, db.name, db.connection) });
  const token = "a-token-of-some-length";
  await using source = await spawnConnector("source", [files.path("manifest.json")], {
    env: { REJOT_SOURCE_API_TOKEN: token },
  });
  const ready = async () => {
    const response = await fetch(`${source.url}/readyz`, { headers: { authorization: `Bearer ${token}` } });
    return response.ok;
  };
  await waitFor(ready, { describe: () => `the source to be ready; its log:\n${source.logTail()}` });
  expect((await fetch(`${source.url}/healthz`)).status).toBe(200);
  expect((await fetch(`${source.url}/status`)).status).toBe(401);
  const { port } = new URL(source.url);
  const reached = await new Promise<boolean>((resolve) => {
    // 127.0.0.2 is this machine too, and not the address it listens on.
    const socket = createConnection({ host: "127.0.0.2", port: Number(port) });
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
  });
  expect(reached).toBe(false);
  expect(await source.kill("SIGTERM")).toBe(0);
});
