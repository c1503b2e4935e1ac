import { type Kafka, Partitioners, type Producer } from "kafkajs";
import { isRetryable, RejotError } from "../../shared/errors/error.ts";
import { ensureTopics, kafkaError, protocolType } from "../../shared/kafka/kafka-client.ts";
import { deadLetterTopic } from "../../shared/kafka/naming.ts";
import { retry } from "../../shared/lifecycle/backoff.ts";
import type { DeadLetter, DeadLetters, PartitionProgress } from "../ports.ts";
import { type DeadLetterRecord, deadLetterRecord, LETTER_PARTITION } from "./letter.ts";
import { chunksOf } from "./letter-chunks.ts";
import { SentLetters } from "./sent-letters.ts";

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

/** A letter and the record that it becomes. */
interface Written {
  readonly letter: DeadLetter;
  readonly record: DeadLetterRecord;
}

/**
 * Dead letters wait for people, so they are kept until somebody deletes them. Their headers make them larger than
 * the events they stand for, which the topic must take too.
 */
const TOPIC_CONFIG = { "cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": "16777216" };
const ALL_IN_SYNC = -1;

/** kafkajs has repeated each of these many times already; the other topics must not wait for one of letters. */
const ATTEMPTS = 3;

/** Dead letters in `<topic>.dlq.<group>`. A letter may be there twice after a crash, never less than once. */
export class KafkaDeadLetters implements DeadLetters {
  readonly #options: DeadLetterOptions;
  readonly #ready = new Set<string>();
  readonly #sent: SentLetters;
  #producer: Producer | undefined;

  constructor(options: DeadLetterOptions) {
    this.#options = options;
    this.#sent = new SentLetters(options.consumerNames);
  }

  async send(letters: readonly DeadLetter[]): Promise<number[]> {
    for (;;) {
      const offsets = letters.map((letter) => this.#sent.offsetOf(letter));
      if (offsets.every((offset) => offset !== undefined)) return offsets;
      await this.#sendNew(letters.filter((_, i) => offsets[i] === undefined));
    }
  }

  passed(places: readonly PartitionProgress[]): void {
    this.#sent.passed(places);
  }

  async close(): Promise<void> {
    await this.#producer?.disconnect().catch(() => {});
    this.#producer = undefined;
  }

  async #sendNew(letters: readonly DeadLetter[]): Promise<void> {
    const { group, consumerNames } = this.#options;
    const now = new Date();
    for (const [source, ofTopic] of Map.groupBy(letters, ({ event }) => event.topic)) {
      const written = ofTopic.map((letter) => {
        const consumerName = consumerNames[letter.failure.consumer] ?? "?";
        return { letter, record: deadLetterRecord(letter, { group, consumerName }, now) };
      });
      for (const chunk of chunksOf(written)) await this.#sendChunk(source, chunk);
    }
  }

  /** Sends letters of one topic at once, or in halves where the brokers find them too large together. */
  async #sendChunk(source: string, chunk: readonly Written[]): Promise<void> {
    const topic = deadLetterTopic(source, this.#options.group);
    try {
      const first = await retry(() => this.#sendOnce(topic, source, chunk), {
        signal: this.#options.signal,
        maxAttempts: ATTEMPTS,
        retryable: isRetryable,
        onRetry: (error) => this.#options.onRetry(error),
      });
      for (const [i, { letter }] of chunk.entries()) this.#sent.add(letter, first + i);
    } catch (error) {
      if (!(error instanceof RejotError)) throw error;
      if (error.code !== "KAFKA_RECORD_TOO_LARGE" || chunk.length === 1) throw placed(error, topic, chunk);
      const half = Math.ceil(chunk.length / 2);
      await this.#sendChunk(source, chunk.slice(0, half));
      await this.#sendChunk(source, chunk.slice(half));
      return;
    }
    this.#options.onSent(chunk.map(({ letter }) => letter));
  }

  /** Resolves with the offset of the first. Throws KAFKA_*, TOPIC_NAME_INVALID. */
  async #sendOnce(topic: string, source: string, chunk: readonly Written[]): Promise<number> {
    try {
      const producer = await this.#connected();
      await this.#ensure(topic);
      const messages = chunk.map(({ record }) => ({ ...record, partition: LETTER_PARTITION }));
      const [sent] = await producer.send({ topic, acks: ALL_IN_SYNC, messages });
      const first = Number(sent?.baseOffset);
      if (!Number.isSafeInteger(first)) throw new Error("the broker named no offset");
      return first;
    } catch (cause) {
      const error = kafkaError(cause, `sending dead letters to ${topic}`);
      if (error.code !== "KAFKA_RECORD_TOO_LARGE") {
        // Somebody may have deleted the topic, for which a producer asks for ever that knows of it.
        this.#ready.delete(topic);
        await this.close();
      }
      // Its letters are gone too: those of events that are not passed yet are sent anew.
      if (protocolType(cause) === "UNKNOWN_TOPIC_OR_PARTITION") this.#sent.forget(source);
      throw error;
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

  /** Makes the topic unless it was there when letters were last sent to it. */
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

/** The error with the first event whose letter was not taken: what is wrong with one topic of letters holds up one topic. */
function placed(error: RejotError, topic: string, [first]: readonly Written[]): RejotError {
  if (first === undefined) return error;
  const { code, detail, cause, context } = error;
  const { event } = first.letter;
  return new RejotError(code, {
    detail,
    cause,
    hint:
      code === "KAFKA_RECORD_TOO_LARGE"
        ? `Raise max.message.bytes of ${topic} (and message.max.bytes of the brokers): a letter is a little larger than its event. The topic then goes on by itself.`
        : error.hint,
    context: { ...context, topic: event.topic, partition: event.partition, offset: event.record.offset },
  });
}
