import { type Kafka, Partitioners, type Producer } from "kafkajs";
import { isRetryable } from "../../shared/errors/error.ts";
import { ensureTopics, kafkaError } from "../../shared/kafka/kafka-client.ts";
import { deadLetterTopic } from "../../shared/kafka/naming.ts";
import { retry } from "../../shared/lifecycle/backoff.ts";
import type { DeadLetter, DeadLetters } from "../ports.ts";
import { deadLetterRecord, LETTER_PARTITION } from "./letter.ts";

/** What the dead letters of one destination need. */
export interface DeadLetterOptions {
  readonly kafka: Kafka;
  readonly group: string;
  /** Names of the consumer schemas by index. */
  readonly consumerNames: readonly string[];
  /** Undefined takes the brokers' default. */
  readonly replicationFactor: number | undefined;
  readonly signal: AbortSignal;
  readonly onRetry: (error: unknown) => void;
  readonly onSent: (letters: readonly DeadLetter[]) => void;
}

/**
 * Dead letters wait for people, so they are kept until somebody deletes them. Their headers make them larger than
 * the events they stand for, which the topic must take too.
 */
const TOPIC_CONFIG = { "cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": "16777216" };
const ALL_IN_SYNC = -1;

/** Dead letters in `<topic>.dlq.<group>`. A letter may be there twice after a crash, never less than once. */
export class KafkaDeadLetters implements DeadLetters {
  readonly #options: DeadLetterOptions;
  readonly #ready = new Set<string>();
  #producer: Producer | undefined;

  constructor(options: DeadLetterOptions) {
    this.#options = options;
  }

  async send(letters: readonly DeadLetter[]): Promise<number[]> {
    const offsets = await retry(() => this.#send(letters), {
      signal: this.#options.signal,
      retryable: isRetryable,
      onRetry: (error) => this.#options.onRetry(error),
    });
    this.#options.onSent(letters);
    return offsets;
  }

  async close(): Promise<void> {
    await this.#producer?.disconnect().catch(() => {});
    this.#producer = undefined;
  }

  async #send(letters: readonly DeadLetter[]): Promise<number[]> {
    const { group, consumerNames } = this.#options;
    const now = new Date();
    const offsets = new Array<number>(letters.length).fill(0);
    try {
      const producer = await this.#connected();
      for (const [source, ofTopic] of Map.groupBy(letters.entries(), ([, letter]) => letter.event.topic)) {
        const topic = deadLetterTopic(source, group);
        await this.#ensure(topic);
        const [sent] = await producer.send({
          topic,
          acks: ALL_IN_SYNC,
          messages: ofTopic.map(([, letter]) => ({
            ...deadLetterRecord(
              letter,
              { group, consumerName: consumerNames[letter.failure.consumer] ?? "?" },
              now,
            ),
            partition: LETTER_PARTITION,
          })),
        });
        const first = Number(sent?.baseOffset);
        if (!Number.isSafeInteger(first)) throw new Error(`${topic}: the broker named no offset`);
        for (const [i, [index]] of ofTopic.entries()) offsets[index] = first + i;
      }
      return offsets;
    } catch (cause) {
      throw kafkaError(cause, "sending dead letters");
    }
  }

  async #connected(): Promise<Producer> {
    if (this.#producer !== undefined) return this.#producer;
    const producer = this.#options.kafka.producer({
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    this.#producer = producer;
    return producer;
  }

  async #ensure(topic: string): Promise<void> {
    if (this.#ready.has(topic)) return;
    const admin = this.#options.kafka.admin();
    try {
      await admin.connect();
      const { replicationFactor } = this.#options;
      await ensureTopics(admin, [{ topic, partitions: 1, replicationFactor, config: TOPIC_CONFIG }]);
      this.#ready.add(topic);
    } finally {
      await admin.disconnect().catch(() => {});
    }
  }
}
