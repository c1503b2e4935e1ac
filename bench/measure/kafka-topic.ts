import avsc from "avsc";
import type { Kafka } from "kafkajs";
import { ensureTopics, partitionCounts } from "../../shared/kafka/kafka-client.ts";
import { createKafkaReader, type KafkaReader } from "../../shared/kafka/kafka-reader.ts";
import { unframe } from "../../shared/registry/wire-format.ts";
import type { Account } from "../workload/accounts.ts";
import { type Content, contentOf } from "../workload/content.ts";

/** Partitions of every topic. */
export const PARTITIONS = 6;

const FETCH_BYTES = 4_000_000;

/** What a topic holds, read as a consumer of committed records. */
export interface TopicContent {
  /** Offsets of the records, ascending, per partition. */
  readonly offsets: readonly (readonly number[])[];
  readonly records: number;
  readonly distinctKeys: number;
  /** The last value of every key, deleted ones left out. */
  readonly content: Content;
}

/** Reads topics of the stack; `await using` disconnects it. */
export class TopicReader implements AsyncDisposable {
  readonly #reader: KafkaReader;
  readonly #registryUrl: string;
  readonly #types = new Map<number, avsc.Type>();

  /** `registryUrl`: base URL of Confluent's API. */
  constructor(kafka: Kafka, registryUrl: string) {
    this.#reader = createKafkaReader(kafka);
    this.#registryUrl = registryUrl;
  }

  /** Per partition, the offset below which everything is committed. */
  async ends(topic: string, signal: AbortSignal): Promise<number[]> {
    const ends = Array<number>(PARTITIONS).fill(0);
    for (const { partition, end } of await this.#reader.bounds([topic], signal))
      ends[partition] = Number(end);
    return ends;
  }

  /** Reads and decodes all committed records. */
  async read(topic: string, signal: AbortSignal): Promise<TopicContent> {
    const offsets: number[][] = Array.from({ length: PARTITIONS }, () => []);
    const state = new Map<string, Account | null>();
    for (const bounds of await this.#reader.bounds([topic], signal)) {
      const list = offsets[bounds.partition] as number[];
      for (let offset = bounds.start; offset < bounds.end; ) {
        const page = await this.#reader.fetch(bounds, offset, FETCH_BYTES, signal);
        for (const record of page.records) {
          list.push(Number(record.offset));
          const key = (await this.#decode(record.key)) as { id: number } | null;
          state.set(String(key?.id), (await this.#decode(record.value)) as Account | null);
        }
        offset = page.nextOffset;
      }
    }
    return {
      offsets,
      records: offsets.reduce((sum, list) => sum + list.length, 0),
      distinctKeys: state.size,
      content: contentOf([...state.values()].filter((account) => account !== null)),
    };
  }

  async #decode(bytes: Buffer | null): Promise<unknown> {
    if (bytes === null) return null;
    const { schemaId, avro } = unframe(bytes);
    // Awaiting a value that is there already would cost a turn of the loop for each record.
    const type = this.#types.get(schemaId) ?? (await this.#fetchType(schemaId));
    return type.fromBuffer(avro);
  }

  async #fetchType(schemaId: number): Promise<avsc.Type> {
    const response = await fetch(`${this.#registryUrl}/schemas/ids/${schemaId}`);
    if (!response.ok) throw new Error(`schema ${schemaId}: the registry answers ${response.status}`);
    const { schema } = (await response.json()) as { schema: string };
    const type = avsc.Type.forSchema(JSON.parse(schema) as avsc.Schema, { wrapUnions: false });
    this.#types.set(schemaId, type);
    return type;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.close();
  }
}

/** Makes a compacted topic of PARTITIONS partitions, the same for every participant. */
export async function createTopic(kafka: Kafka, topic: string): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const config = { "cleanup.policy": "compact" };
    await ensureTopics(admin, [{ topic, partitions: PARTITIONS, replicationFactor: 1, config }]);
    await partitionCounts(admin, [topic]);
  } finally {
    await admin.disconnect();
  }
}

/** Deletes topics, so that their files leave the page cache. */
export async function deleteTopics(kafka: Kafka, topics: readonly string[]): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.deleteTopics({ topics: [...topics] });
  } finally {
    await admin.disconnect();
  }
}
