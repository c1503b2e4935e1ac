import { isRetryable, RejotError } from "../shared/errors/error.ts";
import { createKafka } from "../shared/kafka/kafka-client.ts";
import { createKafkaReader } from "../shared/kafka/kafka-reader.ts";
import { consumerGroup } from "../shared/kafka/naming.ts";
import type { ResolvedDestination } from "../shared/manifest/workspace.ts";
import { createLogger } from "../shared/observability/logger.ts";
import {
  connectPostgres,
  endPostgres,
  isTransientPostgresError,
  type PostgresClient,
  postgresError,
} from "../shared/postgres/client.ts";
import { createSchemaRegistry, type SchemaRegistry } from "../shared/registry/schema-registry.ts";
import { isUsable, LETTERS_TABLE } from "./applier/postgres-tables.ts";
import { KafkaLetters } from "./dead-letter/kafka-letters.ts";
import type { LetterContent } from "./dead-letter/letter.ts";
import {
  countWaiting,
  type LetterCount,
  type LetterFilter,
  type NotedLetter,
  selectLetters,
} from "./dead-letter/postgres-letter-book.ts";
import { decodeToJson } from "./decoder/event-decoder.ts";

const ANSWER_MS = 60_000;

/** A dead letter for a person to read. */
export interface ReadableLetter {
  readonly noted: NotedLetter;
  /** Undefined when its record is gone from the dead letters' topic. */
  readonly content: LetterContent | undefined;
  /** Decoded; bytes that cannot be decoded as hexadecimal; null is null. */
  readonly key: unknown;
  /** The same. Null is a tombstone. */
  readonly value: unknown;
}

/** The dead letters of one destination, to be looked at. All methods throw POSTGRES_*, KAFKA_* and REGISTRY_*. */
export class DestinationLetters {
  readonly destination: ResolvedDestination;
  readonly group: string;
  readonly #client: PostgresClient;
  readonly #letters: KafkaLetters;
  readonly #registry: SchemaRegistry;
  readonly #closeReader: () => Promise<void>;

  private constructor(destination: ResolvedDestination, client: PostgresClient) {
    const { eventStore, manifestSlug, dataStoreSlug } = destination;
    this.destination = destination;
    this.group = consumerGroup(eventStore.topicPrefix ?? "", manifestSlug, dataStoreSlug);
    this.#client = client;
    const kafka = createKafka(eventStore, {
      clientId: "rejot-dead-letters",
      logger: createLogger("letters"),
    });
    const reader = createKafkaReader(kafka);
    this.#letters = new KafkaLetters(reader, this.group);
    this.#closeReader = () => reader.close();
    const { url, auth } = eventStore.schemaRegistry;
    this.#registry = createSchemaRegistry(auth === undefined ? { url } : { url, auth });
  }

  /** Connects to the destination's database. */
  static async open(destination: ResolvedDestination): Promise<DestinationLetters> {
    const client = await connectPostgres(destination.connection, {
      applicationName: "rejot-dead-letters",
      queryTimeoutMs: ANSWER_MS,
    });
    return new DestinationLetters(destination, client);
  }

  /** Never throws. */
  async close(): Promise<void> {
    await this.#closeReader();
    await endPostgres(this.#client);
  }

  /** How many wait. A destination that never set anything aside has no table of them. */
  async counts(): Promise<LetterCount[]> {
    return this.#query(async () =>
      (await isUsable(this.#client, LETTERS_TABLE)) ? countWaiting(this.#client, this.group) : [],
    );
  }

  /** The first letters in the order of their events. */
  async list(filter: LetterFilter, limit: number): Promise<ReadableLetter[]> {
    const noted = await this.#query(async () =>
      (await isUsable(this.#client, LETTERS_TABLE))
        ? selectLetters(this.#client, this.group, filter, { limit })
        : [],
    );
    const readable: ReadableLetter[] = [];
    for (const letter of noted) {
      const content = await this.#letters.read(letter);
      const { key = null, value = null } = content?.record ?? {};
      readable.push({
        noted: letter,
        content,
        key: await this.#readable(key),
        value: await this.#readable(value),
      });
    }
    return readable;
  }

  async #readable(bytes: Buffer | null): Promise<unknown> {
    if (bytes === null) return null;
    try {
      return await decodeToJson(this.#registry, bytes);
    } catch (error) {
      if (isRetryable(error) || (error instanceof RejotError && error.code === "REGISTRY_REFUSED"))
        throw error;
      return `0x${bytes.toString("hex")}`;
    }
  }

  async #query<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof RejotError || !isTransientPostgresError(error)) throw error;
      const { host, port, database } = this.destination.connection;
      throw postgresError(error, `${host}:${port ?? 5432}/${database}`);
    }
  }
}
