import { expect, test } from "vitest";
import { startStack } from "../../compose/dev-stack/stack.ts";
import { startSink } from "../support/running-sink.ts";
import { sinkFixture } from "../support/sink-fixture.ts";

const EVENTS = 1_500;
const KEYS = 50;

test("killed and restarted servers of every kind are outlived, and each event is applied once", async () => {
  await using stack = await startStack({ env: process.env });
  const { host, port, user, password } = stack.postgres;
  await using fixture = await sinkFixture({
    stack: {
      postgres: { host, port, user, password },
      brokers: stack.kafka.brokers,
      registryUrl: stack.registry.url,
    },
    schemas: [
      {
        name: "step",
        properties: { id: { type: "integer" }, n: { type: "integer" } },
        required: ["id", "n"],
        key: ["id"],
      },
    ],
    consumers: [
      {
        name: "adding",
        schema: "step",
        // Slow on purpose, so that every server dies while there is work.
        sql: `INSERT INTO counter AS c (id, events) SELECT :id, 1 FROM pg_sleep(0.002)
          ON CONFLICT (id) DO UPDATE SET events = c.events + 1`,
      },
    ],
    sql: "CREATE TABLE counter (id bigint PRIMARY KEY, events bigint NOT NULL)",
  });
  const applied = async (): Promise<number> => {
    const [row] = await fixture.database.query("SELECT coalesce(sum(events), 0) AS n FROM counter");
    return Number(row?.n);
  };
  const events = Array.from({ length: EVENTS }, (_, i) => ({
    key: { id: i % KEYS },
    value: { id: i % KEYS, n: i },
  }));
  await fixture.publish("step", events);

  // The registry is away when the first event is to be decoded.
  await stack.registry.kill();
  // Little is read ahead, so that Kafka's end is felt too.
  await using sink = await startSink(fixture.manifestPath, {
    maxRows: 20,
    maxBufferedRows: 40,
    fetchMaxBytes: 2_000,
  });
  await sink.eventually(
    async () => sink.unit().lastError?.code === "REGISTRY_UNREACHABLE",
    "the missing registry",
  );
  await stack.registry.start();
  // Its storage is in memory, so the schemas have to be registered anew, as the source does when it starts.
  await fixture.registerSchemas("step");
  for (const server of [stack.postgres, stack.kafka]) {
    const before = await sink.eventually(applied, "progress");
    await sink.eventually(
      async () => (await applied()) > before + 100,
      `progress before ${server.name} dies`,
    );
    await server.kill();
    if (server === stack.postgres)
      await sink.eventually(async () => sink.unit().role === "retrying", "the status to show the trouble");
    await server.start();
  }
  await sink.eventually(async () => (await applied()) >= EVENTS, "everything", 120_000);
  const rows = await fixture.database.query("SELECT DISTINCT events FROM counter");
  expect(rows).toEqual([{ events: String(EVENTS / KEYS) }]);
  await sink.eventually(async () => sink.unit().lastError === null, "the trouble to be over");
}, 300_000);
