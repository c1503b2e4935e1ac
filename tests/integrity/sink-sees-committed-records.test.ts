import { expect, test } from "vitest";
import { item, itemFixture } from "../support/dead-letters.ts";
import { plainKafka, readTopic } from "../support/kafka.ts";
import { startSink } from "../support/running-sink.ts";

test("records of transactions that are aborted side by side are not applied", async () => {
  await using fixture = await itemFixture(
    [{ name: "log", schema: "item", sql: "INSERT INTO log (id, n) VALUES (:id, :n)", deletes: "ignore" }],
    "CREATE TABLE log (seq bigint GENERATED ALWAYS AS IDENTITY, id bigint, n int)",
  );
  const log = async () =>
    (await fixture.database.query("SELECT id FROM log ORDER BY seq")).map(({ id }) => Number(id));
  const topic = fixture.topic("item");
  await fixture.publish("item", [item(1, 1)]);
  const [published] = await readTopic(topic);
  const again = [{ partition: 0, key: published?.rawKey ?? null, value: published?.rawValue ?? null }];
  const kafka = plainKafka();
  const open = async (name: string) => {
    const transactionalId = `${topic}.${name}`;
    const producer = kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    const transaction = await producer.transaction();
    await transaction.send({ topic, messages: again });
    return { transaction, [Symbol.asyncDispose]: () => producer.disconnect() };
  };
  await using one = await open("one");
  await using two = await open("two");
  await using three = await open("three");
  // The list of aborted transactions is in the order of their ends, not of their beginnings.
  await three.transaction.abort();
  await one.transaction.abort();
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(async () => (await log()).length > 0, "what is before the open transaction");
  await two.transaction.abort();
  await fixture.publish("item", [item(9, 1)]);
  await sink.eventually(async () => (await log()).includes(9), "what is behind");
  expect(await log()).toEqual([1, 9]);
});
