import { isRetryable, RejotError } from "../shared/errors/error.ts";
import { createKafka } from "../shared/kafka/kafka-client.ts";
import { createKafkaReader, type KafkaReader } from "../shared/kafka/kafka-reader.ts";
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
  discard,
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
  /** For reading; what is changed is changed by sessions. */
  readonly client: PostgresClient;
  readonly reader: KafkaReader;
  readonly registry: SchemaRegistry;
  readonly contents: KafkaLetters;

  private constructor(destination: ResolvedDestination, client: PostgresClient) {
    const { eventStore, manifestSlug, dataStoreSlug } = destination;
    this.destination = destination;
    this.group = consumerGroup(eventStore.topicPrefix ?? "", manifestSlug, dataStoreSlug);
    this.client = client;
    const kafka = createKafka(eventStore, {
      clientId: "rejot-dead-letters",
      logger: createLogger("letters"),
    });
    this.reader = createKafkaReader(kafka);
    this.contents = new KafkaLetters(this.reader, this.group);
    const { url, auth } = eventStore.schemaRegistry;
    this.registry = createSchemaRegistry(auth === undefined ? { url } : { url, auth });
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
    await this.reader.close();
    await endPostgres(this.client);
  }

  /** How many wait. A destination that never set anything aside has no table of them. */
  async counts(): Promise<LetterCount[]> {
    return this.query(async () =>
      (await isUsable(this.client, LETTERS_TABLE)) ? countWaiting(this.client, this.group) : [],
    );
  }

  /** The first letters in the order of their events. */
  async list(filter: LetterFilter, limit: number): Promise<ReadableLetter[]> {
    const noted = await this.select(filter, { limit });
    const readable: ReadableLetter[] = [];
    for (const letter of noted) {
      const content = await this.contents.read(letter);
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

  /** What is noted of letters, in the order of their events, a portion at a time. */
  async select(
    filter: LetterFilter,
    portion: { readonly after?: NotedLetter | undefined; readonly limit: number },
  ): Promise<NotedLetter[]> {
    return this.query(async () =>
      (await isUsable(this.client, LETTERS_TABLE))
        ? selectLetters(this.client, this.group, filter, portion)
        : [],
    );
  }

  /** Settles letters that are not wanted; gives how many waited. */
  async discard(filter: LetterFilter): Promise<number> {
    return this.query(async () =>
      (await isUsable(this.client, LETTERS_TABLE)) ? discard(this.client, this.group, filter) : 0,
    );
  }

  async #readable(bytes: Buffer | null): Promise<unknown> {
    if (bytes === null) return null;
    try {
      return await decodeToJson(this.registry, bytes);
    } catch (error) {
      if (isRetryable(error) || (error instanceof RejotError && error.code === "REGISTRY_REFUSED"))
        throw error;
      return `0x${bytes.toString("hex")}`;
    }
  }

  /** Gives an error of the destination's server its code. */
  async query<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof RejotError || !isTransientPostgresError(error)) throw error;
      throw this.lostConnection(error);
    }
  }

  lostConnection(cause: unknown): RejotError {
    const { host, port, database } = this.destination.connection;
    return postgresError(cause, `${host}:${port ?? 5432}/${database}`);
  }
}
