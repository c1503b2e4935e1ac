import type { Kafka, Producer, RecordMetadata, TopicMessages, Transaction } from "kafkajs";
import { RejotError } from "../../shared/errors/error.ts";
import { kafkaError } from "../../shared/kafka/kafka-client.ts";
import { partitionOf } from "../../shared/kafka/kafka-key-partition.ts";
import { CHANGE_HEADER } from "../../shared/kafka/position.ts";
import {
  encodeInstance,
  encodeProgress,
  PROGRESS_KEYS,
  type ProgressRecord,
} from "../../shared/kafka/progress-record.ts";
import type { EncodedEvent, Progress, ProgressNote, Publisher } from "../ports.ts";
import { findLeaders, type Leaders, type LedMessage, oneLeaderPartitioner } from "./kafka-one-leader.ts";

/** Records in one produce request: kafkajs' encoder grows worse than linear with more. */
const RECORDS_PER_SEND = 1_000;
/**
 * kafkajs puts all records of a request for one partition into one record batch, and brokers refuse one above
 * message.max.bytes, by default 1 MiB. A record larger than this goes alone.
 */
const BYTES_PER_SEND = 800_000;
/** Brokers refuse records from an hour ahead of their clock: a database whose clock is wrong must not hold up its changes. */
const AHEAD_MS = 60_000;
/** A publisher that hears nothing for so long says so. */
const SILENCE_MS = 10_000;
/** Length fields, header and timestamp of a record, generously. */
const RECORD_OVERHEAD_BYTES = 80;

/** What identifies the publisher in its progress records. */
export interface PublisherIdentity {
  readonly instance: string;
  readonly systemIdentifier: string;
  readonly timeline: number;
}

/** What a publisher is made with. */
export interface PublisherOptions {
  readonly kafka: Kafka;
  readonly progressTopic: string;
  /** Fences every older publisher with the same id. */
  readonly transactionalId: string;
  readonly delivery: "exactly-once" | "at-least-once";
  /** How many partitions each topic has. */
  readonly partitions: ReadonlyMap<string, number>;
  /** How long the broker keeps a transaction open whose publisher is silent, in milliseconds. */
  readonly transactionTimeoutMs: number;
  readonly identity: PublisherIdentity;
  /** Told again and again while Kafka does not acknowledge; kafkajs tries for minutes before it throws. */
  readonly onSilence: (error: RejotError) => void;
}

/**
 * Publishes batches in Kafka transactions, each with the progress record that speaks of it. After a failure the
 * outcome of the last transaction is unknown: make a new publisher, which first fences this one, and read the
 * progress topic, which then tells.
 */
export class KafkaPublisher implements Publisher {
  readonly #options: PublisherOptions;
  readonly #producer: Producer;
  #transaction: Transaction | undefined;
  #ends: Record<string, Record<string, string>> = {};
  #failed = false;
  #begunAtMs = 0;
  #leaderOf: Leaders = () => -1;

  private constructor(options: PublisherOptions) {
    this.#options = options;
    this.#producer = options.kafka.producer({
      createPartitioner: oneLeaderPartitioner,
      idempotent: true,
      maxInFlightRequests: 1,
      transactionalId: options.transactionalId,
      transactionTimeout: options.transactionTimeoutMs,
      retry: { initialRetryTime: 5, factor: 0.2, multiplier: 2, maxRetryTime: 1_000, retries: 15 },
    });
  }

  /**
   * Takes the data store over: fences older publishers and writes an `owner` record with `claim`. Once that can be
   * read, everything the older ones have committed can be too. Throws KAFKA_*.
   */
  static async open(options: PublisherOptions, claim: string): Promise<KafkaPublisher> {
    const publisher = new KafkaPublisher(options);
    try {
      await publisher.#producer.connect();
      publisher.#leaderOf = await findLeaders(options.kafka, [...options.partitions.keys()]);
      const transaction = await publisher.#producer.transaction();
      await transaction.send({
        topic: options.progressTopic,
        messages: [{ key: PROGRESS_KEYS.owner, value: encodeInstance(claim) }],
      });
      await transaction.commit();
      return publisher;
    } catch (cause) {
      await publisher.close();
      throw kafkaError(cause, "taking the publisher's place");
    }
  }

  /** Goes on from the ends that the last publisher left. */
  resumeFrom(ends: ProgressRecord["ends"]): void {
    this.#ends = Object.fromEntries(Object.entries(ends).map(([topic, offsets]) => [topic, { ...offsets }]));
  }

  async publish(
    events: readonly EncodedEvent[],
    progress: Progress | null,
    notes: readonly ProgressNote[] = [],
  ): Promise<void> {
    if (this.#failed)
      throw new RejotError("INTERNAL_ERROR", { detail: "a publisher was used after its failure" });
    try {
      for (const part of partsOf(events)) {
        await this.#heard(this.#send(part)).catch((cause: unknown) => {
          throw named(kafkaError(cause, "publishing"), part);
        });
      }
      if (notes.length > 0) await this.#heard(this.#note(notes));
      if (progress !== null) await this.#heard(this.#finish(progress));
    } catch (cause) {
      this.#failed = true;
      throw this.#expired(kafkaError(cause, "publishing"));
    }
  }

  /** Waits for Kafka, and says so when that takes long. */
  async #heard<T>(work: Promise<T>): Promise<T> {
    const beganAtMs = performance.now();
    const timer = setInterval(() => {
      const seconds = Math.round((performance.now() - beganAtMs) / 1_000);
      const detail = `publishing: nothing was acknowledged for ${seconds} s; it is waited for`;
      this.#options.onSilence(new RejotError("KAFKA_UNREACHABLE", { detail }));
    }, SILENCE_MS);
    try {
      return await work;
    } finally {
      clearInterval(timer);
    }
  }

  /** Brokers answer a transaction that took too long in the same way as one that was fenced. */
  #expired(error: RejotError): RejotError {
    const openMs = Math.round(performance.now() - this.#begunAtMs);
    const { transactionTimeoutMs } = this.#options;
    if (error.code !== "KAFKA_FENCED" || this.#begunAtMs === 0 || openMs < transactionTimeoutMs) return error;
    const detail = `it was open for ${openMs} ms, allowed are ${transactionTimeoutMs} ms`;
    return new RejotError("KAFKA_TRANSACTION_EXPIRED", { detail, cause: error.cause });
  }

  /** Aborts what is open, if the broker can still be reached, and disconnects. Never throws. */
  async close(): Promise<void> {
    const transaction = this.#transaction;
    this.#transaction = undefined;
    this.#failed = true;
    await transaction?.abort().catch(() => {});
    await this.#producer.disconnect().catch(() => {});
  }

  /** One request to each leader, each on its own: see `oneLeaderPartitioner`. */
  async #send(events: readonly EncodedEvent[]): Promise<void> {
    const byLeader = new Map<number, Map<string, LedMessage[]>>();
    for (const event of events) {
      const message = this.#message(event);
      const byTopic = byLeader.get(message.leader) ?? new Map<string, LedMessage[]>();
      byLeader.set(message.leader, byTopic);
      const messages = byTopic.get(event.topic);
      if (messages === undefined) byTopic.set(event.topic, [message]);
      else messages.push(message);
    }
    const sender = await this.#sender();
    const sends = [...byLeader.values()].map((byTopic) => this.#sendToLeader(sender, byTopic));
    // Nothing may be on its way any more when the transaction is given up.
    const failed = (await Promise.allSettled(sends)).find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  async #sendToLeader(
    sender: Pick<Producer, "sendBatch">,
    byTopic: ReadonlyMap<string, LedMessage[]>,
  ): Promise<void> {
    const topicMessages: TopicMessages[] = [...byTopic].map(([topic, messages]) => ({ topic, messages }));
    const metadata = await sender.sendBatch({ topicMessages, acks: -1 });
    const counts = new Map<string, number>();
    for (const [topic, messages] of byTopic) {
      for (const { partition } of messages) {
        const place = `${topic}/${partition}`;
        counts.set(place, (counts.get(place) ?? 0) + 1);
      }
    }
    this.#noteEnds(metadata, counts);
  }

  #message({ topic, key, value, change, timestampMs }: EncodedEvent): LedMessage {
    const count = this.#options.partitions.get(topic);
    if (count === undefined) throw new RejotError("INTERNAL_ERROR", { detail: `unknown topic ${topic}` });
    // Not left to the producer, which does not tell its choice.
    const partition = partitionOf(key, count);
    return {
      key,
      value,
      partition,
      leader: this.#leaderOf(topic, partition),
      timestamp: String(Math.min(timestampMs, Date.now() + AHEAD_MS)),
      headers: { [CHANGE_HEADER]: change },
    };
  }

  async #sender(): Promise<Pick<Producer, "sendBatch" | "send">> {
    if (this.#options.delivery === "at-least-once") return this.#producer;
    if (this.#transaction === undefined) {
      this.#transaction = await this.#producer.transaction();
      this.#begunAtMs = performance.now();
    }
    return this.#transaction;
  }

  /** Behind the events that they speak of: without transactions a crash may come between the two. */
  async #note(notes: readonly ProgressNote[]): Promise<void> {
    const sender = await this.#sender();
    await sender.send({ topic: this.#options.progressTopic, acks: -1, messages: [...notes] });
  }

  async #finish(progress: Progress): Promise<void> {
    const sender = await this.#sender();
    const record: ProgressRecord = { ...progress, ...this.#options.identity, ends: this.#ends };
    await sender.send({
      topic: this.#options.progressTopic,
      acks: -1,
      messages: [{ key: PROGRESS_KEYS.progress, value: encodeProgress(record) }],
    });
    const transaction = this.#transaction;
    this.#transaction = undefined;
    await transaction?.commit();
  }

  /**
   * Every partition must have been answered for. When a leader moves in the middle of a request to several brokers,
   * kafkajs can leave the moved partition out of its repetition and still report success.
   */
  #noteEnds(metadata: readonly RecordMetadata[], sent: ReadonlyMap<string, number>): void {
    const answered = new Map(metadata.map((entry) => [`${entry.topicName}/${entry.partition}`, entry]));
    for (const [place, count] of sent) {
      const entry = answered.get(place);
      const base = entry?.baseOffset ?? entry?.offset;
      if (entry === undefined || entry.errorCode !== 0 || base === undefined || BigInt(base) < 0n) {
        throw new RejotError("KAFKA_UNREACHABLE", { detail: `${place} was not acknowledged` });
      }
      const ends = this.#ends[entry.topicName] ?? {};
      this.#ends[entry.topicName] = ends;
      checkGrowth(entry, base, ends[entry.partition]);
      ends[entry.partition] = String(BigInt(base) + BigInt(count));
    }
  }
}

/** A topic that was made anew under the publisher begins again from 0. */
function checkGrowth({ topicName, partition }: RecordMetadata, base: string, end: string | undefined): void {
  if (end === undefined || BigInt(base) >= BigInt(end)) return;
  throw new RejotError("TOPIC_LOST_EVENTS", {
    detail: `${topicName} partition ${partition}: appended at offset ${base}, published was up to ${end}`,
    context: { topic: topicName, partition },
  });
}

/** A record that is too large went alone, so it can be named. */
function named(error: RejotError, part: readonly EncodedEvent[]): RejotError {
  const [event] = part;
  if (error.code !== "KAFKA_RECORD_TOO_LARGE" || event === undefined || part.length > 1) return error;
  const { topic, change } = event;
  const bytes = event.value?.length ?? 0;
  return new RejotError(error.code, {
    detail: `${bytes} bytes, change ${change}, topic ${topic}`,
    cause: error.cause,
    context: { topic, change, bytes },
  });
}

/** Cuts events into what one request takes. */
function* partsOf(events: readonly EncodedEvent[]): Generator<readonly EncodedEvent[]> {
  let from = 0;
  let bytes = 0;
  for (const [i, { key, value }] of events.entries()) {
    const size = key.length + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES;
    if (i > from && (i - from >= RECORDS_PER_SEND || bytes + size > BYTES_PER_SEND)) {
      yield events.slice(from, i);
      from = i;
      bytes = 0;
    }
    bytes += size;
  }
  if (from < events.length) yield events.slice(from);
}
