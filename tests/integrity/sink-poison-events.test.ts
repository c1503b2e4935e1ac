import { expect, test } from "vitest";
import type { RejotError } from "../../shared/errors/error.ts";
import { describeError } from "../../shared/errors/error.ts";
import { deadLetterTopic } from "../../shared/kafka/naming.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { spawnConnector } from "../support/connector.ts";
import { readTopic } from "../support/kafka.ts";
import { startSink } from "../support/running-sink.ts";
import { type SinkFixture, sinkFixture } from "../support/sink-fixture.ts";

const fixtureOf = (onError: "stop" | "dlq", extra = "", adapt: (manifest: Manifest) => void = () => {}) =>
  sinkFixture({
    adapt,
    schemas: [
      {
        name: "item",
        properties: { id: { type: "integer" }, n: { type: "integer" } },
        required: ["id", "n"],
        key: ["id"],
        partitions: 1,
      },
    ],
    consumers: [
      { name: "log", schema: "item", sql: "INSERT INTO log (id) VALUES (:id)", deletes: "ignore" },
      {
        name: "items",
        schema: "item",
        onError,
        sql: "INSERT INTO item VALUES (:id, :n) ON CONFLICT (id) DO UPDATE SET n = :n",
        deletes: "ignore",
      },
    ],
    sql: `CREATE TABLE item (id bigint PRIMARY KEY, n int NOT NULL CONSTRAINT positive CHECK (n > 0));
      CREATE TABLE log (seq bigint GENERATED ALWAYS AS IDENTITY, id bigint); ${extra}`,
  });

/** For what holds up the whole destination: one that goes on is left out. */
const itemsOnly = (manifest: Manifest): void => void manifest.consumerSchemas?.shift();

const item = (id: number, n: number) => ({ key: { id }, value: { id, n } });

const ids = async (fixture: SinkFixture, sql: string) =>
  (await fixture.database.query(sql)).map((row) => Number(row.id));

test("stop: everything before the event is applied, nothing after it, and one message tells all", async () => {
  await using fixture = await fixtureOf("stop", "", itemsOnly);
  await fixture.publish("item", [item(1, 1), item(2, 2), item(3, -3), item(4, 4)]);
  await using sink = await startSink(fixture.manifestPath);
  const failure = (await sink.failure()) as RejotError;
  const message = describeError(failure);
  expect(failure.code).toBe("SINK_EVENT_FAILED");
  for (const part of [
    fixture.topic("item"),
    "partition 0",
    "offset 2",
    'key {"id":3}',
    "fixture/items",
    "positive",
    "23514",
  ])
    expect(message).toContain(part);
  expect(await ids(fixture, "SELECT id FROM item ORDER BY id")).toEqual([1, 2]);
  expect(sink.unit()).toMatchObject({ role: "failed", lastError: { code: "SINK_EVENT_FAILED" } });
});

test("stop: the process ends with exit code 1 and says why once; mended, it goes on from there", async () => {
  await using fixture = await fixtureOf("stop", "", itemsOnly);
  await fixture.publish("item", [item(1, 1), item(2, -2), item(3, 3)]);
  await using sink = await spawnConnector("sink", [fixture.manifestPath]);
  expect(await sink.exited).toBe(1);
  expect(sink.log.filter((line) => line.startsWith("SINK_EVENT_FAILED"))).toHaveLength(1);
  await fixture.database.query("ALTER TABLE item DROP CONSTRAINT positive");
  await using again = await startSink(fixture.manifestPath);
  await again.eventually(
    async () => (await ids(fixture, "SELECT id FROM item ORDER BY id")).length === 3,
    "the rest",
  );
});

test("dlq: poison events are set aside with their bytes and reasons, the rest goes on", async () => {
  await using fixture = await fixtureOf("dlq");
  const events = Array.from({ length: 60 }, (_, i) => item(i, i % 20 === 7 ? -1 : 1));
  await fixture.publish("item", events);
  await fixture.publish("item", [{ ...item(100, 1), rawValue: Buffer.from("no avro") }, item(101, 1)]);
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(
    async () => (await ids(fixture, "SELECT id FROM item WHERE id = 101")).length === 1,
    "the last event",
  );
  // The other consumer schema of the topic has onError stop: it passes only bytes that decode.
  await sink.eventually(async () => sink.unit().lastError !== null, "the other one to stand still");
  expect(sink.unit().lastError?.message).toMatch(/offset 61, key .* fixture\/log: RECORD_UNREADABLE/);
  const applied = await ids(fixture, "SELECT id FROM item ORDER BY id");
  const wholesome = events.filter((e) => e.value.n > 0).map((e) => e.value.id);
  expect(applied).toEqual([...wholesome, 101]);
  expect(await ids(fixture, "SELECT id FROM log ORDER BY seq")).toEqual(events.map((e) => e.value.id));

  const letters = await readTopic(deadLetterTopic(fixture.topic("item"), fixture.group), {
    registryUrl: null,
  });
  expect(letters.map((letter) => letter.headers["rejot.dlq.offset"])).toEqual(["7", "27", "47", "61"]);
  const [original] = (await readTopic(fixture.topic("item"), { registryUrl: null })).slice(7);
  expect(letters[0]).toMatchObject({ rawKey: original?.rawKey, rawValue: original?.rawValue });
  expect(letters[0]?.headers).toMatchObject({
    "rejot.change": original?.change,
    "rejot.dlq.topic": fixture.topic("item"),
    "rejot.dlq.partition": "0",
    "rejot.dlq.offset": "7",
    "rejot.dlq.group": fixture.group,
    "rejot.dlq.consumer-schema": "fixture/items",
    "rejot.dlq.operation": "upsert",
    "rejot.dlq.error-code": "SINK_EVENT_SET_ASIDE",
    "rejot.dlq.sql-state": "23514",
  });
  expect(letters[0]?.headers["rejot.dlq.error"]).toContain("positive");
  expect(letters[3]).toMatchObject({
    rawValue: Buffer.from("no avro"),
    headers: { "rejot.dlq.error-code": "RECORD_UNREADABLE" },
  });
});

test("dlq: an error that only the commit shows is narrowed to its event", async () => {
  await using fixture = await fixtureOf(
    "dlq",
    `CREATE TABLE known (id bigint PRIMARY KEY); INSERT INTO known SELECT generate_series(0, 49);
     ALTER TABLE item ADD FOREIGN KEY (id) REFERENCES known DEFERRABLE INITIALLY DEFERRED;
     DELETE FROM known WHERE id IN (13, 14, 40)`,
    (manifest) => manifest.consumerSchemas?.shift(),
  );
  await fixture.publish(
    "item",
    Array.from({ length: 50 }, (_, i) => item(i, 1)),
  );
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(
    async () => (await ids(fixture, "SELECT id FROM item WHERE id = 49")).length === 1,
    "the last event",
  );
  const applied = await ids(fixture, "SELECT id FROM item ORDER BY id");
  expect(applied).toHaveLength(47);
  expect(applied).not.toContain(13);
});

for (const onError of ["stop", "dlq"] as const)
  test(`an error that only the commit shows is blamed on its consumer schema, not on another with ${onError}`, async () => {
    await using fixture = await fixtureOf(
      "dlq",
      `CREATE TABLE known (id bigint PRIMARY KEY); INSERT INTO known VALUES (0), (2);
       ALTER TABLE item ADD FOREIGN KEY (id) REFERENCES known DEFERRABLE INITIALLY DEFERRED`,
      (manifest) => {
        const log = manifest.consumerSchemas?.find(({ name }) => name === "log");
        if (log !== undefined) log.config.onError = onError;
      },
    );
    await fixture.publish(
      "item",
      [0, 1, 2].map((id) => item(id, 1)),
    );
    await using sink = await startSink(fixture.manifestPath);
    await sink.eventually(
      async () => (await ids(fixture, "SELECT id FROM log ORDER BY seq")).length === 3,
      "all events where nothing is wrong with them",
    );
    expect(await ids(fixture, "SELECT id FROM item ORDER BY id")).toEqual([0, 2]);
    expect(
      await fixture.database.query("SELECT event_offset, consumer_schema FROM rejot.dead_letters"),
    ).toEqual([{ event_offset: "1", consumer_schema: "fixture/items" }]);
  });

test("dlq: what fails every event alike stops the destination and sets nothing aside", async () => {
  await using fixture = await fixtureOf("dlq", "", itemsOnly);
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", [item(1, 1)]);
  await sink.eventually(
    async () => (await ids(fixture, "SELECT id FROM item")).length === 1,
    "the first event",
  );
  await fixture.database.query("ALTER TABLE item RENAME TO renamed");
  await fixture.publish("item", [item(2, 2), item(3, 3)]);
  expect(describeError(await sink.failure())).toMatch(/offset [12].*"item" does not exist/s);
  await fixture.database.query("ALTER TABLE renamed RENAME TO item");
  await using again = await startSink(fixture.manifestPath);
  await again.eventually(
    async () => (await ids(fixture, "SELECT id FROM item ORDER BY id")).length === 3,
    "the rest",
  );
  expect(await fixture.database.query("SELECT FROM rejot.dead_letters")).toEqual([]);
});
