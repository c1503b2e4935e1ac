import { SchemaRegistry } from "@kafkajs/confluent-schema-registry";
import { type Admin, type ITopicConfig, Kafka, logLevel } from "kafkajs";
import { inject } from "vitest";
import { createEndReader } from "../../shared/kafka/kafka-reader.ts";
import { CHANGE_HEADER } from "../../shared/kafka/position.ts";
import { randomName } from "./names.ts";
import { waitFor } from "./wait-for.ts";

/** A record as any client with the registry's address reads it. */
export interface ReadRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The source's commit time. */
  readonly timestampMs: number;
  /** Value of the header `rejot.change`, or undefined. */
  readonly change: string | undefined;
  readonly headers: Record<string, string>;
  /** Decoded by the registry's schema. */
  readonly key: unknown;
  /** Decoded by the registry's schema; null for a tombstone. */
  readonly value: unknown;
  readonly rawKey: Buffer | null;
  readonly rawValue: Buffer | null;
}

export interface ReadOptions {
  /** Default: the broker of the run. */
  brokers?: string[];
  /** Default: the registry of the run. `null` leaves keys and values undecoded (undefined). */
  registryUrl?: string | null;
  /** Default 60,000. */
  timeoutMs?: number;
}

/** A kafkajs instance for the broker of the run, with the defaults a stranger would get, but silent. */
export function plainKafka(brokers: string[] = inject("stack").brokers): Kafka {
  return new Kafka({ clientId: "test", brokers, logLevel: logLevel.NOTHING });
}

/** A connected admin client; `await using` disconnects it. */
export async function kafkaAdmin(brokers?: string[]): Promise<Admin & AsyncDisposable> {
  const admin = plainKafka(brokers).admin();
  await admin.connect();
  return Object.assign(admin, { [Symbol.asyncDispose]: () => admin.disconnect() });
}

/**
 * Makes topics and waits until each partition has a leader. Waiting by kafkajs itself fails now and then: the broker
 * that it asks may not have heard of the new topic yet.
 */
export async function createTopics(admin: Admin, topics: ITopicConfig[]): Promise<void> {
  await admin.createTopics({ topics, waitForLeaders: false });
  for (const { topic } of topics)
    await waitFor(() => admin.fetchTopicOffsets(topic), { describe: `leaders of ${topic}` });
}

/**
 * Where a topic's partitions end, once all that is acknowledged is visible: a commit is reported before its markers are
 * in the topics, and until then readers that see committed records only have an earlier end.
 */
export async function visibleEnds(kafka: Kafka, topic: string): Promise<Map<number, number>> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const acknowledged = await endOffsets(kafka, topic);
    return await waitFor(
      async () => {
        const ends = await admin.fetchTopicOffsets(topic);
        const isVisible = ends.every(
          ({ partition, high }) => Number(high) >= (acknowledged.get(partition) ?? 0),
        );
        return isVisible ? new Map(ends.map(({ partition, high }) => [partition, Number(high)])) : undefined;
      },
      { describe: `what was committed to ${topic} to be visible` },
    );
  } finally {
    await admin.disconnect();
  }
}

/**
 * Reads all partitions of a topic, from the beginning up to where they end now, as a plain consumer that sees only
 * committed transactions. The result is sorted by partition and offset. Throws when a transaction that is still
 * open holds back a partition's end for longer than the timeout.
 */
export async function readTopic(topic: string, options: ReadOptions = {}): Promise<ReadRecord[]> {
  const kafka = plainKafka(options.brokers);
  const registry = registryOf(options);
  const ends = await endOffsets(kafka, topic);
  const missing = new Map([...ends].filter(([, end]) => end > 0));
  if (missing.size === 0) return [];
  const consumer = kafka.consumer({ groupId: randomName("read"), maxWaitTimeInMs: 100 });
  const records: Promise<ReadRecord>[] = [];
  const done = Promise.withResolvers<void>();
  const { timeoutMs = 60_000 } = options;
  const timer = setTimeout(() => {
    const left = [...missing].map(([partition, end]) => `partition ${partition} up to ${end}`);
    done.reject(new Error(`${topic}: could not read ${left.join(", ")} within ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) done.reject(payload.error);
    });
    // Also emitted for batches that hold nothing but the markers of transactions.
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
      const end = missing.get(payload.partition);
      if (end !== undefined && Number(payload.lastOffset) + 1 >= end) missing.delete(payload.partition);
      if (missing.size === 0) done.resolve();
    });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        if (Number(message.offset) >= (ends.get(partition) ?? 0)) return;
        records.push(readRecord(registry, topic, partition, message));
      },
    });
    await done.promise;
  } finally {
    clearTimeout(timer);
    await consumer.disconnect();
  }
  const read = await Promise.all(records);
  return read.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

/**
 * The state that a topic holds: the last value of every key, tombstones left out. Keys are the JSON of the
 * decoded key.
 */
export function latestByKey(records: readonly ReadRecord[]): Map<string, unknown> {
  const state = new Map<string, unknown>();
  for (const { key, value } of records) {
    const id = toJson(key);
    if (value === null) state.delete(id);
    else state.set(id, value);
  }
  return state;
}

/** JSON in which bigints, as decoded Avro may hold them, stand as text. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) => (typeof inner === "bigint" ? `${inner}` : inner));
}

interface RawMessage {
  offset: string;
  timestamp: string;
  key: Buffer | null;
  value: Buffer | null;
  headers?: Record<string, Buffer | string | (Buffer | string)[] | undefined>;
}

async function readRecord(
  registry: SchemaRegistry | undefined,
  topic: string,
  partition: number,
  message: RawMessage,
): Promise<ReadRecord> {
  const headers = Object.fromEntries(
    Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]),
  );
  const decode = async (bytes: Buffer | null): Promise<unknown> =>
    bytes === null ? null : registry?.decode(bytes);
  return {
    topic,
    partition,
    offset: Number(message.offset),
    timestampMs: Number(message.timestamp),
    change: headers[CHANGE_HEADER],
    headers,
    key: await decode(message.key),
    value: await decode(message.value),
    rawKey: message.key,
    rawValue: message.value,
  };
}

function registryOf(options: ReadOptions): SchemaRegistry | undefined {
  if (options.registryUrl === null) return undefined;
  return new SchemaRegistry({ host: options.registryUrl ?? inject("stack").registryUrl });
}

/** With what is acknowledged and not visible yet: a commit is reported before its markers are in the topics. */
async function endOffsets(kafka: Kafka, topic: string): Promise<Map<number, number>> {
  const ends = createEndReader(kafka);
  try {
    const bounds = await ends.bounds([topic], AbortSignal.timeout(30_000));
    return new Map(bounds.map(({ partition, end }) => [partition, Number(end)]));
  } finally {
    await ends.close();
  }
}
