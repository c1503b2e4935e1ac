import type { Kafka, Producer } from "kafkajs";
import { RejotError } from "../../shared/errors/error.ts";
import {
  type BackfillCommand,
  type BackfillRecord,
  decodeBackfill,
} from "../../shared/kafka/backfill-record.ts";
import type { CommittedRecord } from "../../shared/kafka/committed-records.ts";
import { kafkaError } from "../../shared/kafka/kafka-client.ts";
import { createKafkaReader, type KafkaReader } from "../../shared/kafka/kafka-reader.ts";
import {
  decodeInstance,
  decodeProgress,
  encodeInstance,
  PROGRESS_KEYS,
  type ProgressRecord,
} from "../../shared/kafka/progress-record.ts";
import { decodePublished, PUBLISHED_KEY, type PublishedRecord } from "../../shared/kafka/published-record.ts";
import { decodeRebuild, REBUILD_KEY, type RebuildRecord } from "../../shared/kafka/rebuild-record.ts";
import { delay } from "../../shared/lifecycle/backoff.ts";

/** How long the end of the progress topic may take to arrive. */
const CLAIM_TIMEOUT_MS = 30_000;
/** Kafka reports a commit before its markers are in the topics; until then the end does not show it. */
const CLAIM_POLL_MS = 5;
const FETCH_BYTES = 4 * 1024 * 1024;

/**
 * Knows what a progress topic says, up to the last `refresh`: how far the source is, who owns it, and when it last
 * gave a sign of life.
 */
export class ProgressWatcher {
  readonly #reader: KafkaReader;
  readonly #topic: string;
  readonly #signal: AbortSignal;
  #nextOffset: bigint | undefined;
  /** Decoded when it is asked for: while a source is active, its own go by that nobody asks for. */
  #progressText: string | undefined;
  #progress: ProgressRecord | undefined;
  readonly #backfills = new Map<string, BackfillRecord>();
  readonly #commands = new Map<string, BackfillCommand>();
  #rebuild: RebuildRecord | undefined;
  #published: PublishedRecord | undefined;
  #owner: string | undefined;
  /** Every claim seen: ours may be followed by one that has fenced us already. */
  readonly #claims = new Set<string>();
  #lastSignAtMs = performance.now();

  private constructor(reader: KafkaReader, topic: string, signal: AbortSignal) {
    this.#reader = reader;
    this.#topic = topic;
    this.#signal = signal;
  }

  /** Reads the topic from its beginning. Throws KAFKA_*, PROGRESS_RECORD_INVALID. */
  static async start(kafka: Kafka, topic: string, signal: AbortSignal): Promise<ProgressWatcher> {
    const watcher = new ProgressWatcher(createKafkaReader(kafka), topic, signal);
    await watcher.refresh();
    return watcher;
  }

  /** The last progress record seen. */
  get progress(): ProgressRecord | undefined {
    if (this.#progressText !== undefined) this.#progress = decodeProgress(this.#progressText);
    this.#progressText = undefined;
    return this.#progress;
  }

  /** Whether any source has ever taken the data store over. Commands may be there before. */
  get everOwned(): boolean {
    return this.#owner !== undefined || this.progress !== undefined;
  }

  /** How far the backfill of each public schema is that ever had one. */
  get backfills(): ReadonlyMap<string, BackfillRecord> {
    return this.#backfills;
  }

  /** The last command about the backfill of each public schema. */
  get commands(): ReadonlyMap<string, BackfillCommand> {
    return this.#commands;
  }

  /** The last rebuild, if there ever was one. */
  get rebuild(): RebuildRecord | undefined {
    return this.#rebuild;
  }

  /** What the last source publishes that has taken over. */
  get published(): PublishedRecord | undefined {
    return this.#published;
  }

  /** How long the owner has been silent, in milliseconds; setting the machine's clock changes nothing. */
  get silentMs(): number {
    return performance.now() - this.#lastSignAtMs;
  }

  /** Reads on to where the topic ends now. Throws KAFKA_*, PROGRESS_RECORD_INVALID. */
  async refresh(): Promise<void> {
    const [bounds] = await this.#reader.bounds([this.#topic], this.#signal);
    if (bounds === undefined)
      throw new RejotError("PROGRESS_UNREADABLE", { detail: `${this.#topic} does not exist` });
    let at = this.#nextOffset ?? bounds.start;
    if (at < bounds.start) at = bounds.start;
    while (at < bounds.end) {
      const page = await this.#reader.fetch(bounds, at, FETCH_BYTES, this.#signal);
      for (const record of page.records) this.#read(record);
      at = page.nextOffset;
    }
    this.#nextOffset = at;
  }

  /** Resolves when the `owner` record of the claim has been read, and with it all that was committed before it. */
  async readUpTo(claim: string): Promise<void> {
    const deadline = performance.now() + CLAIM_TIMEOUT_MS;
    for (;;) {
      await this.refresh();
      if (this.#claims.has(claim)) return;
      if (performance.now() > deadline) {
        throw new RejotError("PROGRESS_UNREADABLE", {
          detail: `${this.#topic}: after ${CLAIM_TIMEOUT_MS} ms`,
        });
      }
      await delay(CLAIM_POLL_MS, this.#signal);
    }
  }

  /** Never throws. */
  async stop(): Promise<void> {
    await this.#reader.close();
  }

  #read(record: CommittedRecord): void {
    const key = record.key?.toString();
    const value = record.value?.toString();
    if (value === undefined) return;
    if (key === PROGRESS_KEYS.progress) {
      this.#progressText = value;
      this.#lastSignAtMs = performance.now();
    } else if (key === PROGRESS_KEYS.owner) {
      this.#owner = decodeInstance(value);
      this.#claims.add(this.#owner);
      this.#lastSignAtMs = performance.now();
    } else if (key === PROGRESS_KEYS.alive && decodeInstance(value) === this.#owner) {
      this.#lastSignAtMs = performance.now();
    } else if (key === REBUILD_KEY) {
      this.#rebuild = decodeRebuild(value);
    } else if (key === PUBLISHED_KEY) {
      this.#published = decodePublished(value);
    } else if (key !== undefined) {
      const entry = decodeBackfill(key, value);
      if (entry?.kind === "state") this.#backfills.set(entry.schema, entry.record);
      else if (entry?.kind === "command") this.#commands.set(entry.schema, entry.command);
    }
  }
}

/**
 * Gives signs of life outside of transactions: one that publishes a very large transaction writes no progress
 * for as long as that takes, and must not be taken for dead.
 */
export class SignOfLife {
  readonly #producer: Producer;
  readonly #topic: string;
  readonly #claim: string;
  #timer: NodeJS.Timeout | undefined;

  constructor(kafka: Kafka, topic: string, claim: string) {
    this.#producer = kafka.producer({ retry: { retries: 2 } });
    this.#topic = topic;
    this.#claim = claim;
  }

  /** Throws KAFKA_* when the broker cannot be reached. */
  async start(intervalMs: number): Promise<void> {
    try {
      await this.#producer.connect();
    } catch (cause) {
      throw kafkaError(cause, "connecting");
    }
    this.#timer = setInterval(() => {
      const messages = [{ key: PROGRESS_KEYS.alive, value: encodeInstance(this.#claim) }];
      // Silence is what a failure means here, so there is nothing to do about it.
      this.#producer.send({ topic: this.#topic, messages }).catch(() => {});
    }, intervalMs);
  }

  /** Never throws. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#producer.disconnect().catch(() => {});
  }
}
