import type { Consumer, Kafka, KafkaMessage, Producer } from "kafkajs";
import { RejotError } from "../../shared/errors/error.ts";
import { kafkaError } from "../../shared/kafka/kafka-client.ts";
import {
  decodeInstance,
  decodeProgress,
  encodeInstance,
  PROGRESS_KEYS,
  type ProgressRecord,
} from "../../shared/kafka/progress-record.ts";

/** How long the end of the progress topic may take to arrive. */
const CLAIM_TIMEOUT_MS = 30_000;

/**
 * Follows a progress topic from its beginning, as the active source and as a standby: how far the source is, who
 * owns it, when it last gave a sign of life.
 */
export class ProgressWatcher {
  readonly #consumer: Consumer;
  readonly #kafka: Kafka;
  readonly #groupId: string;
  readonly #claims = new Set<string>();
  readonly #waiting = new Map<string, PromiseWithResolvers<void>>();
  #progress: ProgressRecord | undefined;
  #owner: string | undefined;
  #lastSignAtMs = Date.now();
  #failure: Error | undefined;

  private constructor(kafka: Kafka, groupId: string) {
    this.#kafka = kafka;
    this.#groupId = groupId;
    this.#consumer = kafka.consumer({
      groupId,
      readUncommitted: false,
      sessionTimeout: 10_000,
      heartbeatInterval: 2_000,
      maxWaitTimeInMs: 200,
    });
  }

  /** Begins to follow. kafkajs reads in groups only; this one has one member and is deleted afterwards. */
  static async start(kafka: Kafka, topic: string, groupId: string): Promise<ProgressWatcher> {
    const watcher = new ProgressWatcher(kafka, groupId);
    try {
      await watcher.#consumer.connect();
      await watcher.#consumer.subscribe({ topics: [topic], fromBeginning: true });
      watcher.#consumer.on(watcher.#consumer.events.CRASH, ({ payload }) => {
        if (!payload.restart) watcher.#fail(payload.error);
      });
      await watcher.#consumer.run({
        autoCommit: false,
        eachBatch: async ({ batch }) => {
          watcher.#readAll(batch.messages);
        },
      });
      return watcher;
    } catch (cause) {
      await watcher.stop();
      throw kafkaError(cause, "reading the progress topic");
    }
  }

  /** The last progress record seen. */
  get progress(): ProgressRecord | undefined {
    return this.#progress;
  }

  /** The instance that took the data store over last. */
  get owner(): string | undefined {
    return this.#owner;
  }

  /** How long the owner has been silent, in milliseconds of this process's clock. */
  get silentMs(): number {
    return Date.now() - this.#lastSignAtMs;
  }

  /** Resolves when the `owner` record of the claim has been read, and with it all that was committed before it. */
  async readUpTo(claim: string): Promise<void> {
    if (this.#failure !== undefined) throw kafkaError(this.#failure, "reading the progress topic");
    if (this.#claims.has(claim)) return;
    const waiting = Promise.withResolvers<void>();
    this.#waiting.set(claim, waiting);
    const timer = setTimeout(
      () => waiting.reject(new RejotError("PROGRESS_UNREADABLE", { detail: `after ${CLAIM_TIMEOUT_MS} ms` })),
      CLAIM_TIMEOUT_MS,
    );
    try {
      await waiting.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(claim);
    }
  }

  /** Never throws. */
  async stop(): Promise<void> {
    await this.#consumer.disconnect().catch(() => {});
    const admin = this.#kafka.admin();
    await admin
      .connect()
      .then(() => admin.deleteGroups([this.#groupId]))
      .catch(() => {});
    await admin.disconnect().catch(() => {});
  }

  /** kafkajs would repeat a batch whose handler throws for ever. */
  #readAll(messages: readonly KafkaMessage[]): void {
    try {
      for (const message of messages) this.#read(message);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #read(message: KafkaMessage): void {
    const key = message.key?.toString();
    const value = message.value?.toString();
    if (value === undefined) return;
    if (key === PROGRESS_KEYS.progress) {
      this.#progress = decodeProgress(value);
      this.#lastSignAtMs = Date.now();
    } else if (key === PROGRESS_KEYS.owner) {
      this.#owner = decodeInstance(value);
      this.#lastSignAtMs = Date.now();
      this.#claims.add(this.#owner);
      this.#waiting.get(this.#owner)?.resolve();
    } else if (key === PROGRESS_KEYS.alive && decodeInstance(value) === this.#owner) {
      this.#lastSignAtMs = Date.now();
    }
  }

  #fail(error: Error): void {
    this.#failure = error;
    for (const waiting of this.#waiting.values())
      waiting.reject(kafkaError(error, "reading the progress topic"));
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
