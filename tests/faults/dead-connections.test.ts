import { expect, inject, test } from "vitest";
import { startSink } from "../support/running-sink.ts";
import { sinkFixture } from "../support/sink-fixture.ts";
import {
  createSourceFixture,
  expectEveryPositionOnce,
  type TestSchema,
  transformationsOf,
} from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";
import { Link } from "./harness/link.ts";
import { kafkaLinks } from "./harness/pipeline.ts";
import { postgresWire } from "./harness/wire.ts";

const ROWS = "CREATE TABLE rows (id bigint PRIMARY KEY, n int NOT NULL);";

function rowSchema(sql: string): TestSchema[] {
  return [
    {
      name: "row",
      key: ["id"],
      fields: { id: "integer", n: "integer" },
      transformations: transformationsOf("rows", sql),
    },
  ];
}

/** Reads the table, so that the session of the transformations is used. */
const READS_TABLE = "SELECT :id::bigint AS id, (SELECT max(n) FROM rows WHERE id = :id) AS n";

test.each([
  ["the replication stream", /replication\0/],
  ["the session of the transformations", /read_only/],
])(
  "%s that is dead without a word is noticed by itself; nothing is lost or twice",
  async (_name, startup) => {
    await using link = await Link.start(inject("stack").postgres, postgresWire);
    await using fixture = await createSourceFixture({
      // The server gives up the dead stream after this; so long the slot is taken.
      sql: `${ROWS} DO $$ BEGIN
      EXECUTE format('ALTER DATABASE %I SET wal_sender_timeout = ''2s''', current_database()); END $$`,
      schemas: rowSchema(READS_TABLE),
      connection: () => ({ host: link.host, port: link.port }),
    });
    await using source = await fixture.start({ heartbeatMs: 300, statementTimeoutMs: 500 });
    const insert = (id: number) => fixture.database.query("INSERT INTO rows VALUES ($1, 1)", [id]);
    await insert(1);
    await fixture.published();
    expect(link.forget((connection) => startup.test(connection.startup))).toBe(1);
    await insert(2);
    await waitFor(() => source.status.lastError?.code === "POSTGRES_UNREACHABLE", {
      timeoutMs: 40_000,
      describe: () => `it to be noticed: ${JSON.stringify(source.status)}`,
    });
    await fixture.published(40_000);
    const records = await fixture.read("row");
    expectEveryPositionOnce(records);
    expect(records.map(({ key }) => (key as { id: number }).id)).toEqual([1, 2]);
  },
);

test("a transformation that is too slow for a batch is named, and tried again", async () => {
  await using fixture = await createSourceFixture({
    sql: `${ROWS} CREATE TABLE pace (seconds double precision); INSERT INTO pace VALUES (5)`,
    schemas: rowSchema("SELECT :id::bigint AS id, (SELECT 1 FROM pace, pg_sleep(seconds)) AS n"),
  });
  await using source = await fixture.start({ statementTimeoutMs: 300 });
  await fixture.database.query("INSERT INTO rows VALUES (1, 1)");
  await waitFor(() => source.status.lastError?.code === "TRANSFORMATION_TOO_SLOW", {
    describe: () => `it to be named: ${JSON.stringify(source.status)}`,
  });
  await fixture.database.query("UPDATE pace SET seconds = 0");
  await fixture.published();
  expect(source.status.lastError).toBeNull();
});

test("Kafka that acknowledges nothing is named while it is waited for", async () => {
  const stack = inject("stack");
  await using resources = new AsyncDisposableStack();
  const links = await kafkaLinks(resources, stack.brokers);
  const brokers = links.map(({ host, port }) => `${host}:${port}`);
  await using fixture = await createSourceFixture({
    stack: { ...stack, brokers },
    sql: ROWS,
    schemas: rowSchema("SELECT id, n FROM rows WHERE id = :id"),
  });
  await using source = await fixture.start();
  await fixture.database.query("INSERT INTO rows VALUES (1, 1)");
  await fixture.published();
  for (const link of links) link.stall();
  await fixture.database.query("INSERT INTO rows VALUES (2, 2)");
  await waitFor(() => source.status.lastError?.message.includes("nothing was acknowledged"), {
    describe: () => `it to be named: ${JSON.stringify(source.status)}`,
  });
  for (const link of links) link.heal();
  await fixture.published();
  expect(source.status).toMatchObject({ role: "active", lastError: null });
  expectEveryPositionOnce(await fixture.read("row"));
});

test("a sink names Kafka that answers nothing any more, and goes on by itself", async () => {
  const stack = inject("stack");
  await using resources = new AsyncDisposableStack();
  const links = await kafkaLinks(resources, stack.brokers);
  const brokers = links.map(({ host, port }) => `${host}:${port}`);
  await using fixture = await sinkFixture({
    sql: "CREATE TABLE item (id bigint PRIMARY KEY)",
    schemas: [{ name: "item", properties: { id: { type: "integer" } }, required: ["id"], key: ["id"] }],
    consumers: [{ name: "items", schema: "item", sql: "INSERT INTO item VALUES (:id)", deletes: "ignore" }],
    adapt: ({ connections = [] }) => {
      for (const { config } of connections) if (config.connectionType === "kafka") config.brokers = brokers;
    },
  });
  const count = async () => (await fixture.database.query("SELECT FROM item")).length;
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", [{ key: { id: 1 }, value: { id: 1 } }]);
  await sink.eventually(async () => (await count()) === 1, "the first event");
  for (const link of links) link.stall();
  await waitFor(() => sink.unit().lastError?.message.includes("nothing was heard"), {
    timeoutMs: 40_000,
    describe: () => `it to be named: ${JSON.stringify(sink.unit())}`,
  });
  expect(sink.unit().role).toBe("retrying");
  for (const link of links) link.heal();
  await fixture.publish("item", [{ key: { id: 2 }, value: { id: 2 } }]);
  await sink.eventually(async () => (await count()) === 2, "the second event");
  await sink.eventually(async () => sink.unit().role === "active", "the status to be well again");
});

test("a sink stops at once although its connection to the destination is dead without a word", async () => {
  await using link = await Link.start(inject("stack").postgres, postgresWire);
  await using fixture = await sinkFixture({
    schemas: [{ name: "step", properties: { id: { type: "integer" } }, required: ["id"], key: ["id"] }],
    consumers: [{ name: "copy", schema: "step", sql: "INSERT INTO copy VALUES (:id)" }],
    sql: "CREATE TABLE copy (id bigint PRIMARY KEY)",
    adapt: (manifest) => {
      Object.assign(manifest.connections?.[0]?.config ?? {}, { host: link.host, port: link.port });
    },
  });
  const sink = await startSink(fixture.manifestPath);
  await fixture.publish("step", [{ key: { id: 1 }, value: { id: 1 } }]);
  await sink.eventually(
    async () => (await fixture.database.query("SELECT FROM copy")).length === 1,
    "the event to be applied",
  );
  link.forget();
  const beganAt = Date.now();
  await sink[Symbol.asyncDispose]();
  expect(Date.now() - beganAt).toBeLessThan(8_000);
});
