import type { Kafka } from "kafkajs";
import { untilAborted } from "../lifecycle/abort.ts";
import { retry } from "../lifecycle/backoff.ts";
import { type CommittedRecord, committedRecords, offsetBehind } from "./committed-records.ts";
import { answered, disconnect } from "./kafka-answers.ts";
import { kafkaError } from "./kafka-client.ts";
import { type Broker, clusterFactory, type PartitionResponse } from "./kafka-cluster.ts";
import { atLeast } from "./offsets.ts";

/** What one fetch brought. */
export interface FetchedPage {
  readonly records: readonly CommittedRecord[];
  /** Where the next fetch goes on; nothing between the offset asked for and this one is left out. */
  readonly nextOffset: bigint;
}

/** The part of a partition that can be read: all of it is committed. */
export interface PartitionBounds {
  readonly topic: string;
  readonly partition: number;
  readonly start: bigint;
  /** The last stable offset: the first that an open transaction may still own, or the end. */
  readonly end: bigint;
}

/**
 * Random-access, read_committed reads. No consumer group: nothing is committed, joined or left behind on the broker,
 * and a read at an offset is one request. Calls may run side by side. All throw KAFKA_UNREACHABLE when Kafka does not
 * answer within 20 s, KAFKA_DENIED, and the signal's reason.
 */
export interface KafkaReader {
  /** Start and end of every partition of the topics that exist; of others, none. */
  bounds(topics: readonly string[], signal?: AbortSignal): Promise<PartitionBounds[]>;
  /**
   * Committed records from an offset on, about `maxBytes` of them, at least one batch if there is one.
   * The offset must be from `start` up to, but not including, `end` of the partition's bounds.
   */
  fetch(at: PartitionBounds, offset: bigint, maxBytes: number, signal?: AbortSignal): Promise<FetchedPage>;
  /** Closes the connections; a later call opens them again. */
  close(): Promise<void>;
}

/** What is used of kafkajs' inner cluster object. */
interface Cluster {
  readonly targetTopics: ReadonlySet<string>;
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadataIfNecessary(): Promise<void>;
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
  fetchTopicsOffset(
    topics: { topic: string; partitions: { partition: number }[]; fromBeginning: boolean }[],
  ): Promise<{ topic: string; partitions: { partition: number; offset: string }[] }[]>;
  findBroker(which: { nodeId: number }): Promise<Broker>;
}

const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;
/** A fetch below the end of the partition is answered at once; kafkajs gives up on it 100 ms after this. */
const FETCH_WAIT_MS = 5_000;
const METADATA_MAX_AGE_MS = 60_000;
/** A topic that was not there is looked for again after this. */
const MISSING_TOPIC_MS = 1_000;
const IDLE_CLOSE_MS = 60_000;
/** Begun after this, no further attempt: whoever asked over HTTP is to hear of it. */
const GIVE_UP_MS = 8_000;
/** Tried when a fetch brings no record at all, before the rest of the partition is taken as compacted away. */
const WIDE_FETCH_BYTES = 16 * 1024 * 1024;

const NEVER = new AbortController().signal;

/** Reads with the settings of a kafkajs instance. Connects at the first call, closes after a minute without one. */
export function createKafkaReader(kafka: Kafka): KafkaReader {
  return new Reader((isolation) => createCluster(kafka, isolation), READ_COMMITTED);
}

/**
 * Tells where partitions end with everything that was ever acknowledged, whether readers can see it yet or not: Kafka
 * reports a transaction as committed before its markers are in the topics, and until then `KafkaReader.bounds`, like
 * kafkajs' admin, tells the end before it. Its `fetch` gives all records, those of open and aborted transactions too.
 */
export function createEndReader(kafka: Kafka): KafkaReader {
  return new Reader((isolation) => createCluster(kafka, isolation), READ_UNCOMMITTED);
}

function createCluster(kafka: Kafka, isolationLevel: number): Cluster {
  return clusterFactory(kafka).create({
    metadataMaxAge: METADATA_MAX_AGE_MS,
    allowAutoTopicCreation: false,
    isolationLevel,
  }) as Cluster;
}

class Reader implements KafkaReader {
  readonly #create: () => Cluster;
  readonly #isolationLevel: number;
  readonly #missingUntilMs = new Map<string, number>();
  #cluster: Promise<Cluster> | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(create: (isolationLevel: number) => Cluster, isolationLevel: number) {
    this.#create = () => create(isolationLevel);
    this.#isolationLevel = isolationLevel;
  }

  bounds(topics: readonly string[], signal = NEVER): Promise<PartitionBounds[]> {
    return this.#attempt("reading offsets", signal, async (cluster) => {
      const asked: { topic: string; partitions: { partition: number }[] }[] = [];
      for (const topic of topics) {
        const partitions = await this.#partitions(cluster, topic);
        if (partitions.length > 0) asked.push({ topic, partitions });
      }
      if (asked.length === 0) return [];
      const starts = await cluster.fetchTopicsOffset(asked.map((a) => ({ ...a, fromBeginning: true })));
      const ends = await cluster.fetchTopicsOffset(asked.map((a) => ({ ...a, fromBeginning: false })));
      const startOf = new Map(flatten(starts).map(({ id, offset }) => [id, offset]));
      return flatten(ends).map(({ id, topic, partition, offset }) => {
        const start = startOf.get(id) ?? 0n;
        return { topic, partition, start, end: atLeast(offset, start) };
      });
    });
  }

  async fetch(at: PartitionBounds, offset: bigint, maxBytes: number, signal = NEVER): Promise<FetchedPage> {
    let { messages, abortedTransactions } = await this.#fetchOnce(at, offset, maxBytes, signal);
    if (messages.length === 0) {
      ({ messages, abortedTransactions } = await this.#fetchOnce(at, offset, WIDE_FETCH_BYTES, signal));
    }
    const records = committedRecords(messages, abortedTransactions ?? [], offset);
    const behind = offsetBehind(messages) ?? at.end;
    return { records, nextOffset: behind > offset ? behind : at.end };
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const cluster = this.#cluster;
    this.#cluster = undefined;
    // One that is still connecting may never be connected.
    if (cluster !== undefined) await disconnect({ disconnect: () => cluster.then((c) => c.disconnect()) });
  }

  #fetchOnce(
    { topic, partition }: PartitionBounds,
    offset: bigint,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<PartitionResponse> {
    return this.#attempt(`reading ${topic}/${partition}`, signal, async (cluster) => {
      await addTopic(cluster, topic);
      const leader = cluster
        .findTopicPartitionMetadata(topic)
        .find(({ partitionId }) => partitionId === partition)?.leader;
      if (leader === undefined) throw new Error(`${topic}/${partition} has no leader`);
      const broker = await cluster.findBroker({ nodeId: leader });
      const { responses } = await broker.fetch({
        isolationLevel: this.#isolationLevel,
        maxWaitTime: FETCH_WAIT_MS,
        minBytes: 1,
        maxBytes,
        topics: [{ topic, partitions: [{ partition, fetchOffset: offset.toString(), maxBytes }] }],
      });
      return responses[0]?.partitions[0] ?? { messages: [], abortedTransactions: null };
    });
  }

  async #partitions(cluster: Cluster, topic: string): Promise<{ partition: number }[]> {
    if ((this.#missingUntilMs.get(topic) ?? 0) > performance.now()) return [];
    try {
      await addTopic(cluster, topic);
    } catch (error) {
      if (!isUnknownTopic(error) || (await this.#exists(topic))) throw error;
      this.#missingUntilMs.set(topic, performance.now() + MISSING_TOPIC_MS);
      return [];
    }
    return cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ partition: partitionId }));
  }

  /** Asks for this topic alone: the cluster's other topics, deleted since, raise the same error. */
  async #exists(topic: string): Promise<boolean> {
    const cluster = this.#create();
    try {
      await cluster.connect();
      await cluster.addTargetTopic(topic);
      return true;
    } catch (error) {
      if (isUnknownTopic(error)) return false;
      throw error;
    } finally {
      await disconnect(cluster);
    }
  }

  async #attempt<T>(doing: string, signal: AbortSignal, work: (cluster: Cluster) => Promise<T>): Promise<T> {
    const giveUpAt = performance.now() + GIVE_UP_MS;
    try {
      return await retry(() => untilAborted(this.#work(work), signal), {
        signal,
        maxMs: 2_000,
        retryable: (error) => performance.now() < giveUpAt && kafkaError(error, doing).retryable,
      });
    } catch (cause) {
      signal.throwIfAborted();
      throw kafkaError(cause, doing);
    }
  }

  async #work<T>(work: (cluster: Cluster) => Promise<T>): Promise<T> {
    clearTimeout(this.#idle);
    this.#cluster ??= this.#connect();
    const current = this.#cluster;
    try {
      return await answered(ask(current, work));
    } catch (error) {
      // Whatever it was (a broker gone, a leader moved, a topic deleted), a new cluster knows no old state.
      if (this.#cluster === current) await this.close();
      throw error;
    } finally {
      clearTimeout(this.#idle);
      this.#idle = setTimeout(() => void this.close(), IDLE_CLOSE_MS).unref();
    }
  }

  async #connect(): Promise<Cluster> {
    const cluster = this.#create();
    await cluster.connect();
    return cluster;
  }
}

async function ask<T>(connected: Promise<Cluster>, work: (cluster: Cluster) => Promise<T>): Promise<T> {
  const cluster = await connected;
  // Without topics it would ask for all that the brokers have.
  if (cluster.targetTopics.size > 0) await cluster.refreshMetadataIfNecessary();
  return await work(cluster);
}

async function addTopic(cluster: Cluster, topic: string): Promise<void> {
  if (!cluster.targetTopics.has(topic)) await cluster.addTargetTopic(topic);
}

function flatten(topics: { topic: string; partitions: { partition: number; offset: string }[] }[]) {
  return topics.flatMap(({ topic, partitions }) =>
    partitions.map(({ partition, offset }) => ({
      id: `${topic}/${partition}`,
      topic,
      partition,
      offset: BigInt(offset),
    })),
  );
}

function isUnknownTopic(error: unknown): boolean {
  return (error as { type?: unknown } | null)?.type === "UNKNOWN_TOPIC_OR_PARTITION";
}
