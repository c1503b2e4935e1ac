import { expect, test } from "vitest";
import { deadLetterTopic } from "../../shared/kafka/naming.ts";
import { createTopics, readTopic } from "../support/kafka.ts";
import { type RunningSink, startSink } from "../support/running-sink.ts";
import {
  type FixtureConsumer,
  type FixtureEvent,
  type SinkFixture,
  sinkFixture,
} from "../support/sink-fixture.ts";

const schema = (name: string) => ({
  name,
  properties: { id: { type: "integer" }, n: { type: "integer" } },
  required: ["id", "n"],
  key: ["id"],
  partitions: 1,
});

const consumer = (name: string, onError: "dlq" | "stop", of = name): FixtureConsumer => ({
  name,
  schema: of,
  onError,
  sql: `INSERT INTO ${name} VALUES (:id, :n)`,
  deletes: "ignore",
});

const TABLES = `CREATE TABLE item (id bigint, n bigint CHECK (n > 0)); CREATE TABLE other (id bigint, n bigint);
  CREATE TABLE strict (id bigint, n bigint CONSTRAINT positive CHECK (n > 0))`;

const fixtureOf = (...more: FixtureConsumer[]) =>
  sinkFixture({
    schemas: [schema("item"), schema("other")],
    consumers: [consumer("item", "dlq"), consumer("other", "stop"), ...more],
    sql: TABLES,
  });

const item = (id: number, n = 1): FixtureEvent => ({ key: { id }, value: { id, n } });

const unreadable = (id: number, bytes = 8): FixtureEvent => ({
  ...item(id),
  rawValue: Buffer.alloc(bytes, 7),
});

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

const lettersTopic = (fixture: SinkFixture) => deadLetterTopic(fixture.topic("item"), fixture.group);

const count = async (fixture: SinkFixture, table: string) =>
  Number((await fixture.database.query(`SELECT count(*) AS n FROM ${table}`))[0]?.n);

const has = (sink: RunningSink, fixture: SinkFixture, table: string, rows: number) =>
  sink.eventually(async () => (await count(fixture, table)) === rows, `${rows} rows in ${table}`);

const held = (sink: RunningSink) =>
  (sink.unit().details?.heldTopics ?? []) as { topic: string; offset: number; code: string; hint: string }[];

/** The offsets of the events whose letters are noted, and of those that the noted letters are of. */
async function notedAndSent(fixture: SinkFixture) {
  const noted = await fixture.database.query(
    "SELECT event_offset, letter_offset FROM rejot.dead_letters ORDER BY event_offset",
  );
  const letters = await readTopic(lettersTopic(fixture), { registryUrl: null });
  return {
    sent: letters.length,
    noted: noted.map((row) => Number(row.event_offset)),
    named: noted.map((row) => Number(letters[Number(row.letter_offset)]?.headers["rejot.dlq.offset"])),
  };
}

test("thousands of events are set aside at once, also where the topic of letters takes no large batches", async () => {
  await using fixture = await fixtureOf();
  await createTopics(fixture.admin, [
    {
      topic: lettersTopic(fixture),
      numPartitions: 1,
      configEntries: [{ name: "max.message.bytes", value: "40000" }],
    },
  ]);
  await fixture.publish("item", [...upTo(3_000).map((id) => unreadable(id)), item(3_000)]);
  await using sink = await startSink(fixture.manifestPath);
  await has(sink, fixture, "item", 1);
  expect(await notedAndSent(fixture)).toEqual({ sent: 3_000, noted: upTo(3_000), named: upTo(3_000) });
});

test("a letter that is too large for its topic holds up its own topic only, behind all that comes before it", async () => {
  await using fixture = await fixtureOf();
  const resource = { type: 2, name: lettersTopic(fixture) };
  const limitedTo = (bytes: string) => [{ name: "max.message.bytes", value: bytes }];
  await createTopics(fixture.admin, [
    { topic: resource.name, numPartitions: 1, configEntries: limitedTo("40000") },
  ]);
  await fixture.publish("item", [item(0), unreadable(1), unreadable(2, 50_000), item(3)]);
  await fixture.publish("other", [item(0)]);
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(async () => held(sink).length === 1, "the topic to stand still");
  await has(sink, fixture, "other", 1);
  await has(sink, fixture, "item", 1);
  const place = { topic: fixture.topic("item"), offset: 2, code: "KAFKA_RECORD_TOO_LARGE" };
  expect(held(sink)).toMatchObject([place]);
  expect(held(sink)[0]?.hint).toContain(resource.name);
  await fixture.publish("other", [item(1)]);
  await has(sink, fixture, "other", 2);
  await fixture.admin.alterConfigs({
    validateOnly: false,
    resources: [{ ...resource, configEntries: limitedTo("100000") }],
  });
  await has(sink, fixture, "item", 2);
  expect(await notedAndSent(fixture)).toEqual({ sent: 2, noted: [1, 2], named: [1, 2] });
});

test("a topic of letters that is deleted while the sink runs is made anew", async () => {
  await using fixture = await fixtureOf();
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", [unreadable(0), item(1)]);
  await has(sink, fixture, "item", 1);
  await fixture.admin.deleteTopics({ topics: [lettersTopic(fixture)] });
  await fixture.publish("item", [unreadable(2), item(3)]);
  await fixture.publish("other", [item(0)]);
  await has(sink, fixture, "item", 2);
  await has(sink, fixture, "other", 1);
  expect(await readTopic(lettersTopic(fixture), { registryUrl: null })).toHaveLength(1);
});

test("an event that stops one consumer schema leaves one letter of another, however often it is tried", async () => {
  await using fixture = await fixtureOf(consumer("strict", "stop", "item"));
  await fixture.publish("item", [item(0, -1), unreadable(1), item(2)]);
  await fixture.publish("other", [item(0)]);
  await using sink = await startSink(fixture.manifestPath);
  const attempts = () =>
    (sink.unit().details?.heldTopics as { attempts: number }[] | undefined)?.[0]?.attempts;
  await sink.eventually(async () => (attempts() ?? 0) >= 3, "the event to be tried three times");
  expect(held(sink)).toMatchObject([
    { topic: fixture.topic("item"), offset: 0, consumerSchema: "fixture/strict", code: "SINK_EVENT_FAILED" },
  ]);
  await has(sink, fixture, "item", 1);
  expect(await count(fixture, "strict")).toBe(0);
  expect(await notedAndSent(fixture)).toEqual({ sent: 2, noted: [0, 1], named: [0, 1] });
  await fixture.database.query("ALTER TABLE strict DROP CONSTRAINT positive");
  await sink.eventually(async () => held(sink)[0]?.offset === 1, "the next event to stop it");
  expect(await count(fixture, "strict")).toBe(1);
  expect(await notedAndSent(fixture)).toEqual({ sent: 2, noted: [0, 1], named: [0, 1] });
});
