import { RejotError } from "../../shared/errors/error.ts";
import {
  type BackfillCommand,
  type BackfillRecord,
  decodeBackfill,
  encodeBackfillCommand,
  unfollowed,
} from "../../shared/kafka/backfill-record.ts";
import { answered, disconnect } from "../../shared/kafka/kafka-answers.ts";
import { createKafka, type Kafka, kafkaError } from "../../shared/kafka/kafka-client.ts";
import { createKafkaReader, type KafkaReader } from "../../shared/kafka/kafka-reader.ts";
import { progressTopic } from "../../shared/kafka/naming.ts";
import type { ResolvedSource } from "../../shared/manifest/workspace.ts";
import { createLogger } from "../../shared/observability/logger.ts";

const FETCH_BYTES = 4 * 1024 * 1024;

/** What the progress topic of a source says about backfills, and the way to ask something of the source. */
export class ProgressTopic {
  readonly source: ResolvedSource;
  readonly records = new Map<string, BackfillRecord>();
  readonly #commands = new Map<string, BackfillCommand>();
  readonly #topic: string;
  readonly #kafka: Kafka;
  readonly #reader: KafkaReader;
  #nextOffset: bigint | undefined;

  constructor(source: ResolvedSource) {
    this.source = source;
    const { topicPrefix = "" } = source.eventStore;
    this.#topic = progressTopic(topicPrefix, source.manifestSlug, source.dataStoreSlug);
    this.#kafka = createKafka(source.eventStore, {
      clientId: "rejot-backfill",
      logger: createLogger("backfill"),
    });
    this.#reader = createKafkaReader(this.#kafka);
  }

  /** Reads on to where the topic ends now. Throws KAFKA_*, PROGRESS_UNREADABLE when no source ever ran. */
  async refresh(): Promise<void> {
    const [bounds] = await this.#reader.bounds([this.#topic]);
    if (bounds === undefined)
      throw new RejotError("PROGRESS_UNREADABLE", { detail: `${this.#topic} does not exist` });
    let at = this.#nextOffset ?? bounds.start;
    if (at < bounds.start) at = bounds.start;
    while (at < bounds.end) {
      const page = await this.#reader.fetch(bounds, at, FETCH_BYTES);
      for (const { key, value } of page.records) {
        if (key === null || value === null) continue;
        const entry = decodeBackfill(key.toString(), value.toString());
        if (entry?.kind === "state") this.records.set(entry.schema, entry.record);
        else if (entry?.kind === "command") this.#commands.set(entry.schema, entry.command);
      }
      at = page.nextOffset;
    }
    this.#nextOffset = at;
  }

  /** What was asked of the source and not followed yet. */
  unfollowed(name: string): BackfillCommand | undefined {
    return unfollowed(this.#commands.get(name), this.records.get(name));
  }

  /** Resolves when the command is kept, whether a source runs or not. Throws KAFKA_*. */
  async send(name: string, command: BackfillCommand): Promise<void> {
    const producer = this.#kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    try {
      await answered(producer.connect());
      const messages = [encodeBackfillCommand(name, command)];
      await answered(producer.send({ topic: this.#topic, acks: -1, messages }));
    } catch (cause) {
      throw kafkaError(cause, "sending the command");
    } finally {
      await disconnect(producer);
    }
  }

  /** Never throws. */
  async close(): Promise<void> {
    await this.#reader.close();
  }
}
