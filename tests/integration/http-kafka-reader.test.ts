import { Partitioners } from "kafkajs";
import { expect, inject, onTestFinished, test as vitestTest } from "vitest";
import type { CommittedRecord } from "../../shared/kafka/committed-records.ts";
import { createKafka } from "../../shared/kafka/kafka-client.ts";
import { createKafkaReader, type KafkaReader } from "../../shared/kafka/kafka-reader.ts";
import { createLogger } from "../../shared/observability/logger.ts";
import { createTopics, kafkaAdmin, plainKafka } from "../support/kafka.ts";
import { randomName } from "../support/names.ts";
import { waitFor } from "../support/wait-for.ts";

const { signal } = new AbortController();

const test = vitestTest.extend<{ reader: KafkaReader; topic: string }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the parameter's pattern
  reader: async ({}, use) => {
    const { brokers, registryUrl } = inject("stack");
    const connection = { connectionType: "kafka" as const, brokers, schemaRegistry: { url: registryUrl } };
    const reader = createKafkaReader(
      createKafka(connection, { clientId: "test", logger: createLogger("test") }),
    );
    await use(reader);
    await reader.close();
  },
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the parameter's pattern
  topic: async ({}, use) => {
    const topic = randomName("reader");
    await createTopic(topic, 2);
    await use(topic);
  },
});

async function createTopic(topic: string, numPartitions: number): Promise<void> {
  await using admin = await kafkaAdmin();
  await createTopics(admin, [{ topic, numPartitions }]);
}

async function producer(transactionalId: string | undefined) {
  const made = plainKafka().producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    ...(transactionalId === undefined
      ? {}
      : { transactionalId, idempotent: true, maxInFlightRequests: 1, retry: { initialRetryTime: 5 } }),
  });
  await made.connect();
  onTestFinished(() => made.disconnect());
  return made;
}

const message = (name: string, partition: number) => ({ key: name, value: `${name}-value`, partition });

async function readAll(reader: KafkaReader, topic: string, partition: number, maxBytes = 1024) {
  const bounds = (await reader.bounds([topic], signal)).find((b) => b.partition === partition);
  if (bounds === undefined) return [];
  const records: CommittedRecord[] = [];
  for (let offset = bounds.start; offset < bounds.end; ) {
    const page = await reader.fetch(bounds, offset, maxBytes, signal);
    expect(page.nextOffset > offset).toBe(true);
    records.push(...page.records);
    offset = page.nextOffset;
  }
  return records;
}

const keys = (records: readonly CommittedRecord[]) => records.map(({ key }) => String(key));

test("reads committed records of each partition, from any offset", async ({ reader, topic }) => {
  const plain = await producer(undefined);
  const names = Array.from({ length: 50 }, (_, i) => `k${i}`);
  for (const name of names) await plain.send({ topic, messages: [message(name, 0)] });
  await plain.send({ topic, messages: [message("other", 1)] });
  expect(keys(await readAll(reader, topic, 0))).toEqual(names);
  expect(keys(await readAll(reader, topic, 1))).toEqual(["other"]);
  const bounds = (await reader.bounds([topic], signal)).find(({ partition }) => partition === 0);
  if (bounds === undefined) throw new Error("no bounds");
  for (const offset of [49n, 7n, 0n, 23n]) {
    const { records } = await reader.fetch(bounds, offset, 1, signal);
    expect(records[0]?.offset).toBe(offset);
    expect(String(records[0]?.value)).toBe(`k${offset}-value`);
  }
});

test("an open transaction ends what can be read; an aborted one never shows", async ({ reader, topic }) => {
  const first = await producer(randomName("tx"));
  const second = await producer(randomName("tx"));
  const third = await producer(randomName("tx"));
  const [a, b] = [await first.transaction(), await second.transaction()];
  await a.send({ topic, messages: [message("aborted-1", 0)] });
  await b.send({ topic, messages: [message("aborted-2", 0)] });
  const c = await third.transaction();
  await c.send({ topic, messages: [message("committed-1", 0)] });
  await a.send({ topic, messages: [message("aborted-3", 0)] });
  await b.send({ topic, messages: [message("aborted-4", 0)] });
  await c.commit();
  expect(await readAll(reader, topic, 0)).toEqual([]);
  await a.abort();
  await b.abort();
  const open = await first.transaction();
  await open.send({ topic, messages: [message("open", 0), message("open", 1)] });
  const d = await third.transaction();
  await d.send({ topic, messages: [message("committed-2", 0)] });
  await d.commit();
  await waitFor(async () => (await readAll(reader, topic, 0)).length === 1, { describe: "markers" });
  expect(keys(await readAll(reader, topic, 0))).toEqual(["committed-1"]);
  await open.commit();
  await waitFor(async () => (await readAll(reader, topic, 0)).length === 3, { describe: "markers" });
  expect(keys(await readAll(reader, topic, 0, 1))).toEqual(["committed-1", "open", "committed-2"]);
});

test("a topic that does not exist has no partitions until it is there, and is not created", async ({
  reader,
  topic,
}) => {
  const later = randomName("later");
  expect(await reader.bounds([topic, later], signal)).toHaveLength(2);
  await using admin = await kafkaAdmin();
  expect(await admin.listTopics()).not.toContain(later);
  await createTopic(later, 3);
  await waitFor(async () => (await reader.bounds([topic, later], signal)).length === 5, {
    describe: "the new topic's partitions",
  });
});

test("a topic that is deleted does not hold up the others", async ({ reader, topic }) => {
  const doomed = randomName("doomed");
  await createTopic(doomed, 1);
  expect(await reader.bounds([topic, doomed], signal)).toHaveLength(3);
  await using admin = await kafkaAdmin();
  await admin.deleteTopics({ topics: [doomed] });
  await waitFor(async () => (await reader.bounds([topic, doomed], signal)).length === 2, {
    describe: "the other topic's partitions alone",
  });
  const fresh = randomName("fresh");
  await createTopic(fresh, 1);
  expect(await reader.bounds([topic, fresh], signal)).toHaveLength(3);
});

test("records before the log's start are passed over", async ({ reader, topic }) => {
  const plain = await producer(undefined);
  for (let i = 0; i < 10; i++) await plain.send({ topic, messages: [message(`k${i}`, 0)] });
  await using admin = await kafkaAdmin();
  // kafkajs deletes records only where it has looked for the leader before.
  await admin.fetchTopicOffsets(topic);
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "6" }] });
  expect(keys(await readAll(reader, topic, 0))).toEqual(["k6", "k7", "k8", "k9"]);
});

test("a Kafka that does not answer is a retryable error; an aborted signal ends the waiting", async () => {
  const connection = {
    connectionType: "kafka" as const,
    brokers: ["127.0.0.1:1"],
    schemaRegistry: { url: "http://127.0.0.1:1" },
  };
  const reader = createKafkaReader(
    createKafka(connection, { clientId: "test", logger: createLogger("test") }),
  );
  await expect(reader.bounds(["t"], signal)).rejects.toMatchObject({
    code: "KAFKA_UNREACHABLE",
    retryable: true,
  });
  const abort = new AbortController();
  const waiting = reader.bounds(["t"], abort.signal);
  const reason = new Error("the client is gone");
  abort.abort(reason);
  await expect(waiting).rejects.toBe(reason);
});
