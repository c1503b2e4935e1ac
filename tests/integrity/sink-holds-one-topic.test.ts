import { expect, inject, test } from "vitest";
import { describeError } from "../../shared/errors/error.ts";
import { RegistryFront } from "../faults/harness/registry-front.ts";
import { type RunningSink, startSink } from "../support/running-sink.ts";
import {
  type FixtureSchema,
  type SinkFixture,
  type SinkFixtureOptions,
  sinkFixture,
} from "../support/sink-fixture.ts";

const schema = (name: string): FixtureSchema => ({
  name,
  properties: { id: { type: "integer" }, n: { type: "integer" } },
  required: ["id", "n"],
  key: ["id"],
});

/** Tables that count: an event that is applied twice is seen. */
const consumer = (name: string) => ({
  name,
  schema: name,
  sql: `INSERT INTO ${name} (id, n) VALUES (:id, :n)`,
  deletes: "ignore" as const,
});

const fixtureOf = (sql: string, options: Partial<SinkFixtureOptions> = {}) =>
  sinkFixture({
    schemas: [schema("good"), schema("bad")],
    consumers: [consumer("good"), consumer("bad")],
    sql,
    ...options,
  });

const TABLES = `CREATE TABLE good (seq bigint GENERATED ALWAYS AS IDENTITY, id bigint, n int);
  CREATE TABLE bad (seq bigint GENERATED ALWAYS AS IDENTITY, id bigint, n int CONSTRAINT positive CHECK (n > 0))`;

const event = (id: number, n = 1) => ({ key: { id }, value: { id, n } });
const events = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => event(from + i));

const ids = async (fixture: SinkFixture, table: string) =>
  (await fixture.database.query(`SELECT id FROM ${table} ORDER BY id, seq`)).map((row) => Number(row.id));

const has = (sink: RunningSink, fixture: SinkFixture, table: string, count: number) =>
  sink.eventually(async () => (await ids(fixture, table)).length === count, `${count} rows in ${table}`);

const held = (sink: RunningSink) =>
  (sink.unit().details?.heldTopics ?? []) as { topic: string; code: string }[];

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

test("an event that stops its topic leaves the others going, and goes through once its cause is gone", async () => {
  await using fixture = await fixtureOf(TABLES);
  await fixture.publish("good", events(0, 50));
  await fixture.publish("bad", [...events(0, 20), event(20, -1), ...events(21, 40)]);
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(async () => held(sink).length === 1, "the topic to stand still");
  await fixture.publish("good", events(50, 100));
  await has(sink, fixture, "good", 100);
  expect(held(sink)).toMatchObject([{ topic: fixture.topic("bad"), code: "SINK_EVENT_FAILED" }]);
  expect(sink.unit()).toMatchObject({ role: "retrying", lastError: { code: "SINK_EVENT_FAILED" } });
  expect(sink.unit().lastError?.message).toContain('key {"id":20}');
  const metrics = await sink.sink.metrics.render();
  expect(metrics).toMatch(new RegExp(`topic_held.*topic="${fixture.topic("bad")}"\\} 1`));
  const lag = metrics
    .split("\n")
    .filter((line) => line.includes("lag_records") && line.includes(fixture.topic("bad")));
  expect(lag.map((line) => Number(line.split(" ").at(-1))).reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(
    1,
  );

  await fixture.database.query("ALTER TABLE bad DROP CONSTRAINT positive");
  await has(sink, fixture, "bad", 40);
  await sink.eventually(async () => sink.unit().role === "active", "the status to be well again");
  expect(sink.unit()).toMatchObject({ lastError: null });
  expect(held(sink)).toEqual([]);
  await fixture.publish("bad", events(40, 60));
  await has(sink, fixture, "bad", 60);
  expect(await ids(fixture, "good")).toEqual(upTo(100));
  expect(await ids(fixture, "bad")).toEqual(upTo(60));
});

test("a foreign key over two topics is waited for", async () => {
  await using fixture = await fixtureOf(
    `CREATE TABLE good (id bigint PRIMARY KEY, seq bigint GENERATED ALWAYS AS IDENTITY, n int);
     CREATE TABLE bad (seq bigint GENERATED ALWAYS AS IDENTITY, id bigint REFERENCES good, n int)`,
  );
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("bad", events(0, 30));
  await fixture.publish("good", events(100, 101));
  await sink.eventually(async () => held(sink).length === 1, "the topic to stand still");
  expect(sink.unit().lastError?.message).toContain("foreign key");
  await fixture.publish("good", events(0, 30));
  await has(sink, fixture, "bad", 30);
  expect(await ids(fixture, "bad")).toEqual(upTo(30));
});

test("a foreign key over two topics is waited for also when another process has the other topic", async () => {
  await using fixture = await fixtureOf(
    `CREATE TABLE good (id bigint PRIMARY KEY, seq bigint GENERATED ALWAYS AS IDENTITY, n int);
     CREATE TABLE bad (seq bigint GENERATED ALWAYS AS IDENTITY, id bigint REFERENCES good, n int)`,
    { schemas: [schema("good"), schema("bad")].map((s) => ({ ...s, partitions: 1 })) },
  );
  await using one = await startSink(fixture.manifestPath);
  await using two = await startSink(fixture.manifestPath);
  const share = ({ unit }: RunningSink) => (unit().details?.partitions as unknown[] | undefined)?.length;
  await one.eventually(async () => share(one) === 1 && share(two) === 1, "one topic each");
  await fixture.publish("bad", events(0, 30));
  const isHeld = async () => held(one).length + held(two).length === 1;
  await Promise.all([one, two].map((sink) => sink.eventually(isHeld, "the topic to stand still")));
  await fixture.publish("good", events(0, 30));
  await Promise.all([one, two].map((sink) => has(sink, fixture, "bad", 30)));
  expect(await ids(fixture, "bad")).toEqual(upTo(30));
});

test("a topic that does not hold the destination's place leaves the others going", async () => {
  await using fixture = await fixtureOf(TABLES);
  await fixture.publish("good", events(0, 10));
  await fixture.publish("bad", events(0, 10));
  {
    await using sink = await startSink(fixture.manifestPath);
    await has(sink, fixture, "good", 10);
    await has(sink, fixture, "bad", 10);
  }
  const setBack = `UPDATE rejot.progress SET next_offset = next_offset`;
  const where = `WHERE topic = '${fixture.topic("bad")}'`;
  await fixture.database.query(`${setBack} + 1000 ${where}`);
  await fixture.publish("good", events(10, 20));
  await fixture.publish("bad", events(10, 20));
  await using sink = await startSink(fixture.manifestPath);
  await has(sink, fixture, "good", 20);
  await sink.eventually(
    async () => held(sink)[0]?.code === "SINK_TOPIC_RECREATED",
    "the topic to stand still",
  );
  await fixture.database.query(`${setBack} - 1000 ${where}`);
  await has(sink, fixture, "bad", 20);
  expect(await ids(fixture, "bad")).toEqual(upTo(20));
});

test("a schema that the registry does not give holds up its topic only", async () => {
  await using front = await RegistryFront.start(inject("stack").registryUrl);
  await using fixture = await fixtureOf(TABLES, {
    adapt: (manifest) => {
      for (const { config } of manifest.connections ?? [])
        if (config.connectionType === "kafka") config.schemaRegistry.url = front.url;
    },
  });
  await fixture.publish("good", events(0, 10));
  await using sink = await startSink(fixture.manifestPath);
  await has(sink, fixture, "good", 10);
  front.mood = "down";
  await fixture.publish("bad", events(0, 10));
  await sink.eventually(
    async () => held(sink)[0]?.code === "REGISTRY_UNREACHABLE",
    "the topic to stand still",
  );
  await fixture.publish("good", events(10, 20));
  await has(sink, fixture, "good", 20);
  expect(await ids(fixture, "bad")).toEqual([]);
  front.mood = "pass";
  await has(sink, fixture, "bad", 10);
  await sink.eventually(async () => sink.unit().role === "active", "the status to be well again");
});

for (const [what, away, back] of [
  ["table", "ALTER TABLE bad RENAME TO gone", "ALTER TABLE gone RENAME TO bad"],
  ["column", "ALTER TABLE bad DROP COLUMN n", "ALTER TABLE bad ADD COLUMN n int"],
] as const)
  test(`a ${what} that is missing for a while holds up its topic only, also over new sessions`, async () => {
    await using fixture = await fixtureOf(TABLES);
    const { database } = fixture;
    const sessions =
      "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%rejot.sink%'";
    await fixture.publish("good", events(0, 10));
    await fixture.publish("bad", events(0, 10));
    await using sink = await startSink(fixture.manifestPath);
    await has(sink, fixture, "good", 10);
    await has(sink, fixture, "bad", 10);
    await sink.eventually(
      async () =>
        (await database.query(`SELECT ${sessions} AND backend_start < now() - interval '2.5 s'`)).length ===
        1,
      "the session to be old enough to be doubted",
    );
    await database.query(away);
    await fixture.publish("bad", events(10, 20));
    await sink.eventually(async () => held(sink).length === 1, "the topic to stand still");
    expect(sink.unit().lastError?.message).toMatch(/offset \d.*SINK_SQL_REJECTED/s);
    await fixture.publish("good", events(10, 20));
    await has(sink, fixture, "good", 20);
    // A connection that is lost, then types of the other table that change, for which all begins anew.
    await database.query(`SELECT pg_terminate_backend(pid) ${sessions}`);
    await fixture.publish("good", events(20, 30));
    await has(sink, fixture, "good", 30);
    await database.query(
      `ALTER TABLE good ALTER n TYPE bigint; SELECT pg_terminate_backend(pid) ${sessions}`,
    );
    await fixture.publish("good", [...events(30, 39), event(39, 5_000_000_000)]);
    await has(sink, fixture, "good", 40);
    await database.query(back);
    await has(sink, fixture, "bad", 20);
    await sink.eventually(async () => sink.unit().role === "active", "the status to be well again");
    expect(await ids(fixture, "good")).toEqual(upTo(40));
    expect(await ids(fixture, "bad")).toEqual(upTo(20));
  });

test.each(["stop", "dlq"] as const)(
  "a schema that the registry does not know yet is waited for, its events are not to blame (%s)",
  async (onError) => {
    await using front = await RegistryFront.start(inject("stack").registryUrl);
    await using fixture = await fixtureOf(TABLES, {
      consumers: [consumer("good"), { ...consumer("bad"), onError }],
      adapt: (manifest) => {
        for (const { config } of manifest.connections ?? [])
          if (config.connectionType === "kafka") config.schemaRegistry.url = front.url;
      },
    });
    await using sink = await startSink(fixture.manifestPath);
    await sink.waitForActive();
    front.mood = { status: 404, body: JSON.stringify({ error_code: 40403, message: "Schema not found" }) };
    await fixture.publish("bad", events(0, 10));
    await sink.eventually(async () => held(sink)[0]?.code === "SCHEMA_NOT_FOUND", "the topic to stand still");
    front.mood = "pass";
    await has(sink, fixture, "bad", 10);
    await sink.eventually(async () => sink.unit().role === "active", "the status to be well again");
  },
);

test("a schema id that the registry alone does not know is the event's fault after a while", async () => {
  await using fixture = await fixtureOf(TABLES, {
    consumers: [consumer("good"), { ...consumer("bad"), onError: "dlq" }],
  });
  const foreign = Buffer.from([0, 0x7f, 0xff, 0xff, 0xf0, 1]);
  await fixture.publish("bad", [...events(0, 5), { ...event(5), rawValue: foreign }, ...events(6, 10)]);
  await using sink = await startSink(fixture.manifestPath);
  await has(sink, fixture, "bad", 9);
  expect(await ids(fixture, "bad")).toEqual(upTo(10).filter((id) => id !== 5));
});

test("when every topic stands still, the sink ends with what stopped the last", async () => {
  await using fixture = await fixtureOf(
    TABLES.replace("id bigint, n int);", "id bigint, n int CHECK (n > 0));"),
  );
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("bad", [event(0, -1)]);
  await sink.eventually(async () => held(sink).length === 1, "the topic to stand still");
  await fixture.publish("good", [event(0, -1)]);
  const failure = describeError(await sink.failure());
  expect(failure).toContain("SINK_EVENT_FAILED");
  expect(failure).toContain(fixture.topic("good"));
  expect(sink.unit().role).toBe("failed");
});
