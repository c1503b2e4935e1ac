import type { Admin, Batch, Consumer, EachBatchPayload, Kafka, KafkaMessage } from "kafkajs";
import { isRetryableOnceWorked, RejotError } from "../../shared/errors/error.ts";
import { kafkaError } from "../../shared/kafka/kafka-client.ts";
import { withCommittedFetches } from "../../shared/kafka/kafka-cluster.ts";
import { createKafkaReader, type KafkaReader } from "../../shared/kafka/kafka-reader.ts";
import { CHANGE_HEADER, type Position, positionOf } from "../../shared/kafka/position.ts";
import { delay } from "../../shared/lifecycle/backoff.ts";
import { ClockWatch } from "../../shared/lifecycle/clock-watch.ts";
import type { Logger } from "../../shared/observability/logger.ts";
import type {
  KafkaRecord,
  PartitionBounds,
  PartitionPoint,
  ProgressMove,
  SinkEvent,
  TopicPartition,
} from "../ports.ts";
import {
  AssignmentFeed,
  type CountedBounds,
  type FeedLimits,
  type FetchControl,
  type FetchedBatch,
} from "./assignment-feed.ts";
import { groupByTopic } from "./group-by-topic.ts";
import { fairAssigner } from "./kafka-assigner.ts";

/** What the consumer of one destination is made from. */
export interface KafkaConsumerOptions {
  readonly kafka: Kafka;
  readonly group: string;
  /** Topics that exist; others are waited for by whoever makes the consumer. */
  readonly topics: readonly string[];
  readonly limits: FeedLimits;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly metadataMaxAgeMs: number;
  readonly fetchMaxWaitMs: number;
  readonly fetchMaxBytes: number;
  readonly logger: Logger;
  /** Ends reads that Kafka does not answer. */
  readonly signal: AbortSignal;
  /** Told when the group has no partition for this process. */
  readonly onIdle: () => void;
  /** Told again and again while Kafka answers neither heartbeats nor fetches, and once when it does again. */
  readonly onSilence: (error: RejotError) => void;
  readonly onHeard: () => void;
  /** Decodes and binds. */
  readonly decode: (partition: TopicPartition, records: readonly KafkaRecord[]) => Promise<SinkEvent[]>;
  /** Told when decoding failed in a way that may pass. Returns how long the topic waits, in milliseconds. */
  readonly onUndecodable: (at: PartitionPoint, error: RejotError) => number;
}

/** Kafka's group offsets are for monitoring only: once a second is plenty. */
const REPORT_EVERY_MS = 1_000;

/** How much is read of what lies before a place. */
const LOOK_BACK_RECORDS = 64;
const LOOK_BACK_BYTES = 65_536;

/** Longer than members may take to join again, in which there are no heartbeats. */
const SILENCE_MS = 20_000;

/**
 * A member of the destination's consumer group, as a feed. Fetching and decoding go on while the destination works,
 * up to the limits. Where partitions start is the destination's word, never that of Kafka's committed offsets.
 */
export class KafkaConsumer {
  readonly feed: AssignmentFeed;
  readonly #options: KafkaConsumerOptions;
  readonly #consumer: Consumer;
  readonly #admin: Admin;
  readonly #reader: KafkaReader;
  readonly #closing = new AbortController();
  readonly #unreported = new Map<string, ProgressMove>();
  #reportedAtMs = 0;
  #reporting = false;
  #reportTimer: NodeJS.Timeout | undefined;
  #clockTimer: NodeJS.Timeout | undefined;
  #silenceTimer: NodeJS.Timeout | undefined;

  constructor(options: KafkaConsumerOptions) {
    this.#options = options;
    const { kafka, group } = options;
    this.#admin = kafka.admin();
    this.#reader = createKafkaReader(kafka);
    this.#consumer = withCommittedFetches(kafka).consumer({
      groupId: group,
      sessionTimeout: options.sessionTimeoutMs,
      rebalanceTimeout: options.rebalanceTimeoutMs,
      heartbeatInterval: options.heartbeatMs,
      metadataMaxAge: options.metadataMaxAgeMs,
      maxWaitTimeInMs: options.fetchMaxWaitMs,
      maxBytes: options.fetchMaxBytes,
      allowAutoTopicCreation: false,
      partitionAssigners: [fairAssigner],
      // A consumer that crashed is replaced by its owner, who also says so in the status.
      retry: { restartOnFailure: async () => false },
    });
    this.feed = new AssignmentFeed(options.limits, this.#control());
    this.#listen();
  }

  /** Joins the group. Throws KAFKA_*; later trouble ends the feed with an error. */
  async start(): Promise<void> {
    const { topics } = this.#options;
    try {
      await this.#admin.connect();
      await this.#consumer.connect();
      await this.#consumer.subscribe({ topics: [...topics], fromBeginning: true });
      await this.#consumer.run({
        autoCommit: false,
        partitionsConsumedConcurrently: 1,
        eachBatch: (payload) => this.#onBatch(payload),
      });
    } catch (cause) {
      throw kafkaError(cause, `joining the consumer group ${this.#options.group}`);
    }
    this.#watchClock();
    this.#watchSilence();
  }

  /** Leaves the group, so that others take over at once. Never throws. */
  async stop(): Promise<void> {
    this.feed.end();
    this.#closing.abort(new DOMException("the consumer stops", "AbortError"));
    clearTimeout(this.#reportTimer);
    clearInterval(this.#clockTimer);
    clearInterval(this.#silenceTimer);
    if (this.#unreported.size > 0) await this.#report();
    await this.#consumer.disconnect().catch(() => {});
    await this.#admin.disconnect().catch(() => {});
    await this.#reader.close();
  }

  #listen(): void {
    const { GROUP_JOIN, CRASH, START_BATCH_PROCESS } = this.#consumer.events;
    this.#consumer.on(GROUP_JOIN, ({ payload }) => {
      const partitions = Object.entries(payload.memberAssignment).flatMap(([topic, numbers]) =>
        numbers.map((partition) => ({ topic, partition })),
      );
      this.#options.logger.info(
        { group: payload.groupId, partitions: partitions.length },
        "joined the group",
      );
      const ours = new Set(partitions.map(({ topic, partition }) => `${topic}/${partition}`));
      for (const place of this.#unreported.keys()) if (!ours.has(place)) this.#unreported.delete(place);
      this.feed.assign(partitions);
      if (partitions.length === 0) this.#options.onIdle();
    });
    this.#consumer.on(CRASH, ({ payload }) => {
      this.feed.end(kafkaError(payload.error, `reading for the consumer group ${this.#options.group}`));
    });
    this.#consumer.on(START_BATCH_PROCESS, ({ payload }) => {
      if (payload.batchSize > 0) return;
      // kafkajs' type does not say that there may be no first offset.
      const first = payload.firstOffset as string | null;
      this.feed.skip(payload, first === null ? null : Number(first), Number(payload.lastOffset));
    });
  }

  /** A consumer that was made before the clock was set back sends no heartbeats any more. */
  #watchClock(): void {
    const { heartbeatMs } = this.#options;
    const watch = new ClockWatch();
    this.#clockTimer = setInterval(() => {
      const setBackMs = Math.round(watch.setBackMs());
      if (setBackMs > heartbeatMs)
        this.feed.end(new RejotError("CLOCK_SET_BACK", { detail: `by ${setBackMs} ms` }));
    }, heartbeatMs).unref();
  }

  /** kafkajs waits for minutes on a broker that hangs, before it says a word. */
  #watchSilence(): void {
    const { HEARTBEAT, FETCH, GROUP_JOIN } = this.#consumer.events;
    const { heartbeatMs, fetchMaxWaitMs } = this.#options;
    const longestMs = Math.max(SILENCE_MS, 2 * heartbeatMs, 2 * fetchMaxWaitMs);
    let heardAtMs = performance.now();
    let isSilent = false;
    const heard = (): void => {
      heardAtMs = performance.now();
      if (isSilent) this.#options.onHeard();
      isSilent = false;
    };
    for (const event of [HEARTBEAT, FETCH, GROUP_JOIN]) this.#consumer.on(event, heard);
    this.#silenceTimer = setInterval(() => {
      const silentMs = performance.now() - heardAtMs;
      if (silentMs < longestMs) return;
      isSilent = true;
      const detail = `reading: nothing was heard for ${Math.round(silentMs / 1_000)} s; it is waited for`;
      this.#options.onSilence(new RejotError("KAFKA_UNREACHABLE", { detail }));
    }, SILENCE_MS / 4).unref();
  }

  async #onBatch({ batch, heartbeat }: EachBatchPayload): Promise<void> {
    const { feed } = this;
    while (feed.isFull) await this.#whileBeating(feed.room(), heartbeat);
    const ticket = feed.offer(fetchedBatch(batch));
    if (ticket === undefined) return;
    const { topic, partition } = batch;
    const decoding = this.#options.decode({ topic, partition }, ticket.records);
    const events = await this.#whileBeating(decoding, heartbeat).catch((error: unknown) => {
      if (this.#closing.signal.aborted) return;
      if (!isRetryableOnceWorked(error)) throw error;
      // Waiting here would hold up the topics whose schemas are known.
      const offset = ticket.records[0]?.offset;
      feed.hold(topic, this.#options.onUndecodable({ topic, partition, offset }, error));
    });
    if (events === undefined) return;
    let bytes = 0;
    for (const { key, value } of ticket.records) bytes += (key?.length ?? 0) + (value?.length ?? 0);
    feed.put(ticket, { topic, partition, events, endOffset: ticket.lastOffset + 1, bytes });
  }

  /** Waits without being thrown out of the group. Throws when the group is rebalancing: kafkajs then joins again. */
  async #whileBeating<T>(work: Promise<T>, heartbeat: () => Promise<void>): Promise<T> {
    const finished = work.then((value) => ({ value }));
    finished.catch(() => {});
    for (;;) {
      const beat = new AbortController();
      const pause = delay(this.#options.heartbeatMs, beat.signal).catch(() => undefined);
      const done = await Promise.race([finished, pause]).finally(() => beat.abort());
      if (done !== undefined) return done.value;
      await heartbeat();
    }
  }

  #control(): FetchControl {
    return {
      pause: ({ topic, partition }) => this.#consumer.pause([{ topic, partitions: [partition] }]),
      resumeAt: ({ topic, partition }, offset) => {
        this.#consumer.seek({ topic, partition, offset: String(offset) });
        this.#consumer.resume([{ topic, partitions: [partition] }]);
      },
      bounds: (partitions) => this.#bounds(partitions),
      positionsBefore: (bounds) => this.#positionsBefore(bounds),
      report: (moves) => {
        for (const move of moves) this.#unreported.set(`${move.topic}/${move.partition}`, move);
        this.#reportSoon();
      },
    };
  }

  async #bounds(partitions: readonly TopicPartition[]): Promise<CountedBounds[]> {
    const found: CountedBounds[] = [];
    try {
      for (const [topic, numbers] of groupByTopic(partitions)) {
        const all = await this.#admin.fetchTopicOffsets(topic);
        const partitionCount = all.length;
        for (const { partition, low, high } of all) {
          if (!numbers.includes(partition)) continue;
          found.push({ topic, partition, firstOffset: Number(low), endOffset: Number(high), partitionCount });
        }
      }
    } catch (cause) {
      throw kafkaError(cause, "looking up where topics begin and end");
    }
    return found;
  }

  /** From some records before, as the very last are markers, aborted, compacted away or passed over by hand. */
  async #positionsBefore({ topic, partition, firstOffset, endOffset }: PartitionBounds): Promise<Position[]> {
    const from = BigInt(Math.max(firstOffset, endOffset - LOOK_BACK_RECORDS));
    const at = { topic, partition, start: BigInt(firstOffset), end: BigInt(endOffset) };
    const { records } = await this.#reader.fetch(at, from, LOOK_BACK_BYTES, this.#options.signal);
    return records.flatMap(({ offset, headers }) => {
      const position = offset < endOffset ? positionOf(headerOf(headers)) : undefined;
      return position === undefined ? [] : [position];
    });
  }

  /** The last move of a busy second must be told too, though nothing may come after it for days. */
  #reportSoon(): void {
    if (this.#reporting || this.#reportTimer !== undefined || this.#closing.signal.aborted) return;
    const waitMs = Math.max(0, this.#reportedAtMs + REPORT_EVERY_MS - performance.now());
    this.#reportTimer = setTimeout(() => {
      this.#reportTimer = undefined;
      void this.#report();
    }, waitMs).unref();
  }

  async #report(): Promise<void> {
    const moves = [...this.#unreported.values()];
    this.#unreported.clear();
    this.#reporting = true;
    // Kafka does not tell when a group committed last; whoever wants to remove a topic wants to know.
    const metadata = new Date().toISOString();
    try {
      await this.#consumer.commitOffsets(
        moves.map(({ topic, partition, nextOffset }) => ({
          topic,
          partition,
          offset: String(nextOffset),
          metadata,
        })),
      );
    } catch (err) {
      this.#options.logger.debug({ err }, "Kafka did not take the offsets that are for monitoring");
      for (const move of moves) {
        const place = `${move.topic}/${move.partition}`;
        if (!this.#unreported.has(place)) this.#unreported.set(place, move);
      }
    } finally {
      this.#reporting = false;
      this.#reportedAtMs = performance.now();
      if (this.#unreported.size > 0) this.#reportSoon();
    }
  }
}

function fetchedBatch(batch: Batch): FetchedBatch {
  return {
    topic: batch.topic,
    partition: batch.partition,
    // Not in kafkajs' types: the offset that was asked for.
    fetchedOffset: Number((batch as unknown as { fetchedOffset: string }).fetchedOffset),
    lastOffset: Number(batch.lastOffset()),
    highWatermark: Number(batch.highWatermark),
    records: batch.messages.map(record),
  };
}

function headerOf(headers: KafkaMessage["headers"]): Buffer | undefined {
  const header = headers?.[CHANGE_HEADER];
  const change = Array.isArray(header) ? header[0] : header;
  return typeof change === "string" ? Buffer.from(change) : change;
}

function record(message: KafkaMessage): KafkaRecord {
  // Not in kafkajs' types: what the record's batch says of its producer.
  const { batchContext } = message as unknown as { batchContext?: { inTransaction: boolean } };
  return {
    offset: Number(message.offset),
    key: message.key,
    value: message.value,
    timestampMs: Number(message.timestamp),
    change: headerOf(message.headers),
    transactional: batchContext?.inTransaction ?? false,
  };
}

/** The topics of a list that exist. Throws KAFKA_*. */
export async function existingTopics(kafka: Kafka, topics: readonly string[]): Promise<string[]> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    const existing = new Set(await admin.listTopics());
    return topics.filter((topic) => existing.has(topic));
  } catch (cause) {
    throw kafkaError(cause, "listing topics");
  } finally {
    await admin.disconnect().catch(() => {});
  }
}
