import { expect, test } from "vitest";
import { deadLetterTopic } from "../../shared/kafka/naming.ts";
import { itemSchema } from "../support/dead-letters.ts";
import { readTopic } from "../support/kafka.ts";
import { type RunningSink, startSink } from "../support/running-sink.ts";
import { type SinkFixture, sinkFixture } from "../support/sink-fixture.ts";
import { faultsOf, verifyJson } from "../support/verify.ts";

/** Both read the same topic, and count: an event that is applied twice is seen. */
const consumer = (name: string, onError: "stop" | "dlq" = "stop") => ({
  name,
  schema: "item",
  onError,
  sql: `INSERT INTO ${name} AS t (id, n) VALUES (:id, :n) ON CONFLICT (id, n) DO UPDATE SET times = t.times + 1`,
  deletes: "ignore" as const,
});

const TABLES = `CREATE TABLE good (id bigint, n int CONSTRAINT small CHECK (n < 1000), times int NOT NULL DEFAULT 1, PRIMARY KEY (id, n));
  CREATE TABLE bad (id bigint, n int CONSTRAINT positive CHECK (n > 0), times int NOT NULL DEFAULT 1, PRIMARY KEY (id, n))`;

function fixtureOf(
  onError: "stop" | "dlq" = "stop",
  partitions = 3,
  good: "stop" | "dlq" = "stop",
): Promise<SinkFixture> {
  return sinkFixture({
    schemas: [itemSchema("item", partitions)],
    consumers: [consumer("good", good), consumer("bad", onError)],
    sql: TABLES,
  });
}

const event = (id: number, n = 1) => ({ key: { id }, value: { id, n } });
const events = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => event(from + i));

/** How often the event that was applied most often was; and how many were. */
async function applied({ database }: SinkFixture, table: string): Promise<[events: number, times: number]> {
  const [row] = await database.query(`SELECT count(*) AS n, coalesce(max(times), 1) AS times FROM ${table}`);
  return [Number(row?.n), Number(row?.times)];
}

const has = (sink: RunningSink, fixture: SinkFixture, table: string, count: number) =>
  sink.eventually(async () => (await applied(fixture, table))[0] === count, `${count} rows in ${table}`);

const held = (sink: RunningSink) =>
  (sink.unit().details?.heldTopics ?? []) as {
    topic: string;
    consumerSchema: string;
    code: string;
    attempts: number;
  }[];

test("an event that one consumer schema cannot take holds up that one; the others of its topic go on, over restarts", async () => {
  // With several, its other partitions may go on a little whenever it is tried.
  await using fixture = await fixtureOf("stop", 1);
  {
    await using sink = await startSink(fixture.manifestPath);
    await fixture.publish("item", [...events(0, 20), event(20, -1), ...events(21, 40)]);
    await has(sink, fixture, "good", 40);
    await sink.eventually(async () => held(sink).length === 1, "the consumer schema to stand still");
    expect(held(sink)).toMatchObject([{ consumerSchema: "fixture/bad", code: "SINK_EVENT_FAILED" }]);
    expect(sink.unit()).toMatchObject({ role: "retrying", lastError: { code: "SINK_EVENT_FAILED" } });
    expect(sink.unit().lagMs).toBeGreaterThan(0);
    const metrics = await sink.sink.metrics.render();
    expect(metrics).toMatch(new RegExp(`topic_held.*topic="${fixture.topic("item")}"\\} 1`));
    const lags = [...metrics.matchAll(/lag_records\{.*\} (\d+)/g)].map(([, lag]) => Number(lag));
    expect(lags.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(1);
    const { comparisons } = await verifyJson(fixture.manifestPath, "--only", "sink", "--timeout", "2");
    expect(comparisons.map((each) => [each.consumerSchema, faultsOf(each)])).toEqual([
      ["good", {}],
      ["bad", { error: "VERIFY_SINK_BEHIND" }],
    ]);
  }
  await fixture.publish("item", events(40, 60));
  await using sink = await startSink(fixture.manifestPath);
  await has(sink, fixture, "good", 60);
  await sink.eventually(async () => held(sink).length === 1, "it to stand still again");
  await fixture.publish("item", events(60, 80));
  await has(sink, fixture, "good", 80);
  expect((await applied(fixture, "bad"))[0]).toBe(20);

  await fixture.database.query("ALTER TABLE bad DROP CONSTRAINT positive");
  await has(sink, fixture, "bad", 80);
  await sink.eventually(async () => sink.unit().role === "active", "the status to be well again");
  expect(held(sink)).toEqual([]);
  await fixture.publish("item", events(80, 100));
  for (const table of ["good", "bad"]) {
    await has(sink, fixture, table, 100);
    expect(await applied(fixture, table)).toEqual([100, 1]);
  }
  const [{ consumers } = {}] = await fixture.database.query("SELECT DISTINCT consumers FROM rejot.progress");
  expect(consumers).toBe('{"fixture/bad": null, "fixture/good": null}');
});

test("when every consumer schema of every topic stands still, the unit fails", async () => {
  await using fixture = await fixtureOf();
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", [...events(0, 10), event(10, -1), ...events(11, 20), event(20, 5_000)]);
  expect(await sink.failure()).toMatchObject({ code: "SINK_EVENT_FAILED" });
  // Each has what comes before its own event in its partition; "good" is not held up by the event of "bad".
  expect((await applied(fixture, "good"))[0]).toBeGreaterThanOrEqual(10);
});

test("a table that is gone holds up its consumer schema, also with dead letters, and nothing is set aside", async () => {
  await using fixture = await fixtureOf("dlq");
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", events(0, 10));
  await has(sink, fixture, "bad", 10);
  await fixture.database.query("ALTER TABLE bad RENAME TO away");
  await fixture.publish("item", events(10, 30));
  await has(sink, fixture, "good", 30);
  await sink.eventually(async () => held(sink).length === 1, "the consumer schema to stand still");
  await fixture.publish("item", events(30, 50));
  await has(sink, fixture, "good", 50);
  await fixture.database.query("ALTER TABLE away RENAME TO bad");
  await has(sink, fixture, "bad", 50);
  expect(await applied(fixture, "bad")).toEqual([50, 1]);
  expect(await applied(fixture, "good")).toEqual([50, 1]);
  expect(await fixture.database.query("SELECT FROM rejot.dead_letters")).toEqual([]);
});

test("what was set aside for a consumer schema that is then held is not set aside again each time it is tried", async () => {
  await using fixture = await fixtureOf("dlq", 1, "dlq");
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", events(0, 10));
  await has(sink, fixture, "bad", 10);
  await fixture.database.query("ALTER TABLE bad RENAME TO away");
  const unreadable = { ...event(11), rawValue: Buffer.alloc(8, 7) };
  await fixture.publish("item", [event(10), unreadable, ...events(12, 20)]);
  await sink.eventually(async () => (held(sink)[0]?.attempts ?? 0) >= 3, "it to be tried three times");
  await fixture.database.query("ALTER TABLE away RENAME TO bad");
  await has(sink, fixture, "bad", 19);
  const letters = await readTopic(deadLetterTopic(fixture.topic("item"), fixture.group), {
    registryUrl: null,
  });
  expect(letters.map(({ headers }) => headers["rejot.dlq.consumer-schema"])).toEqual([
    "fixture/good",
    "fixture/bad",
  ]);
});
