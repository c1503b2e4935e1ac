import type { AvroRecord } from "../../shared/contracts/avro-types.ts";
import { compileRowDecoder, type RowDecoder, toJsonValue } from "../../shared/contracts/row-decoder.ts";
import { isRetryable, RejotError } from "../../shared/errors/error.ts";
import { subjects } from "../../shared/kafka/naming.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { unframe } from "../../shared/registry/wire-format.ts";
import type { EventFailure, KafkaRecord, SinkEvent, StatementCall, TopicPartition } from "../ports.ts";
import { type BindableStatement, type Binder, compileBinder } from "./binding.ts";
import { UNKNOWN_SCHEMA_MS, UnknownSchemas } from "./unknown-schemas.ts";

/** What one consumer schema does with the events of a topic. */
export interface TopicConsumer {
  /** Index into the destination's consumer schemas. */
  readonly consumer: number;
  readonly sql: BindableStatement;
  readonly deleteSql: BindableStatement | undefined;
  /** Whether tombstones are left out on purpose. */
  readonly ignoresDeletes: boolean;
}

/** Everything compiled for one writer's schema. */
interface Reader {
  readonly decode: RowDecoder;
  /** One per consumer of the topic; undefined where it has no statement for such records. */
  readonly binders: readonly (Binder | RejotError | undefined)[];
}

type Side = "key" | "value";

type DecoderRegistry = Pick<SchemaRegistry, "schemaById" | "latest">;

/** Decodes the records of a destination's topics and binds them to its statements. */
export class EventDecoder {
  readonly #registry: DecoderRegistry;
  readonly #topics: ReadonlyMap<string, readonly TopicConsumer[]>;
  readonly #unknown: UnknownSchemas;
  readonly #readers = new Map<string, Reader>();

  /** `unknownSchemaMs` is how long a schema that the registry does not have is asked for again. */
  constructor(
    registry: DecoderRegistry,
    topics: ReadonlyMap<string, readonly TopicConsumer[]>,
    { unknownSchemaMs = UNKNOWN_SCHEMA_MS, now }: { unknownSchemaMs?: number; now?: () => number } = {},
  ) {
    this.#registry = registry;
    this.#topics = topics;
    this.#unknown = new UnknownSchemas(registry, unknownSchemaMs, now);
  }

  /**
   * Decodes records of one partition, one event each, in order. What is wrong with a record is noted in its event;
   * throws only what no record is to blame for: REGISTRY_UNREACHABLE, REGISTRY_REFUSED, and SCHEMA_NOT_FOUND while the
   * registry may not know the schema yet.
   */
  async decode(partition: TopicPartition, records: readonly KafkaRecord[]): Promise<SinkEvent[]> {
    const consumers = this.#topics.get(partition.topic) ?? [];
    const unreadable = await this.#prepare(partition.topic, consumers, records);
    return records.map((record) => {
      const { topic, partition: number } = partition;
      return { topic, partition: number, record, ...this.#bind(topic, consumers, record, unreadable) };
    });
  }

  /** The event's key as JSON, or its bytes in hexadecimal when it cannot be decoded. Never throws. */
  async describeKey({ record }: SinkEvent): Promise<string> {
    if (record.key === null) return "null";
    try {
      return JSON.stringify(await decodeToJson(this.#registry, record.key));
    } catch {
      return `0x${record.key.toString("hex")}`;
    }
  }

  #bind(
    topic: string,
    consumers: readonly TopicConsumer[],
    record: KafkaRecord,
    unreadable: ReadonlyMap<number, RejotError>,
  ): { calls: StatementCall[]; failures: EventFailure[] } {
    const side: Side = record.value === null ? "key" : "value";
    const calls: StatementCall[] = [];
    const failures: EventFailure[] = [];
    if (side === "key" && consumers.every((c) => c.ignoresDeletes)) return { calls, failures };
    let reader: Reader;
    let row: Record<string, unknown>;
    try {
      ({ reader, row } = this.#read(topic, side, record, unreadable));
    } catch (cause) {
      const error = unreadableError(cause);
      return { calls, failures: consumers.map(({ consumer }) => ({ consumer, error })) };
    }
    for (const [i, { consumer, sql, deleteSql, ignoresDeletes }] of consumers.entries()) {
      const statement = side === "value" ? sql : deleteSql;
      if (statement === undefined) {
        if (!ignoresDeletes) failures.push({ consumer, error: new RejotError("SINK_DELETE_SQL_MISSING") });
        continue;
      }
      try {
        const binder = reader.binders[i];
        if (binder === undefined || binder instanceof RejotError) throw binder;
        calls.push({ statement: statement.statement, values: binder(row) });
      } catch (cause) {
        failures.push({ consumer, error: unreadableError(cause) });
      }
    }
    return { calls, failures };
  }

  #read(
    topic: string,
    side: Side,
    record: KafkaRecord,
    unreadable: ReadonlyMap<number, RejotError>,
  ): { reader: Reader; row: Record<string, unknown> } {
    const bytes = side === "key" ? record.key : record.value;
    if (bytes === null) throw new RejotError("RECORD_UNREADABLE", { detail: "a tombstone without a key" });
    const { schemaId, avro } = unframe(bytes);
    const reader = this.#readers.get(readerName(topic, side, schemaId));
    if (reader === undefined) throw unreadable.get(schemaId) ?? new RejotError("RECORD_UNREADABLE");
    return { reader, row: reader.decode(avro) };
  }

  /**
   * Compiles readers for the schemas that are met for the first time; returns those that cannot be had. All are asked
   * for before one that is not known yet is thrown: their times run side by side.
   */
  async #prepare(
    topic: string,
    consumers: readonly TopicConsumer[],
    records: readonly KafkaRecord[],
  ): Promise<Map<number, RejotError>> {
    const unreadable = new Map<number, RejotError>();
    let early: RejotError | undefined;
    for (const { key, value } of records) {
      const side: Side = value === null ? "key" : "value";
      const bytes = value ?? key;
      if (bytes === null || bytes.length < 5 || bytes[0] !== 0) continue;
      const schemaId = bytes.readUInt32BE(1);
      const name = readerName(topic, side, schemaId);
      if (this.#readers.has(name) || unreadable.has(schemaId)) continue;
      try {
        const schema = await this.#registry.schemaById(schemaId);
        const decode = compileRowDecoder(schema);
        const binders = consumers.map((c) => compile(side === "value" ? c.sql : c.deleteSql, schema));
        this.#readers.set(name, { decode, binders });
      } catch (error) {
        if (isRetryable(error) || isRefusal(error)) throw error;
        const reason = unreadableError(error);
        unreadable.set(schemaId, reason);
        if (reason.code !== "SCHEMA_NOT_FOUND") continue;
        if (!(await this.#unknown.isForeign(subjects(topic)[side], schemaId))) early ??= reason;
      }
    }
    if (early !== undefined) throw early;
    return unreadable;
  }
}

/**
 * A key or a value as JSON, for a person to read.
 * Throws REGISTRY_*, and whatever bytes without their schema's form lead to.
 */
export async function decodeToJson(
  registry: Pick<SchemaRegistry, "schemaById">,
  bytes: Buffer,
): Promise<unknown> {
  const { schemaId, avro } = unframe(bytes);
  const schema = await registry.schemaById(schemaId);
  return toJsonValue(schema, compileRowDecoder(schema)(avro));
}

function compile(
  statement: BindableStatement | undefined,
  schema: AvroRecord,
): Binder | RejotError | undefined {
  if (statement === undefined) return undefined;
  try {
    return compileBinder(statement, schema);
  } catch (error) {
    return unreadableError(error);
  }
}

/** The registry's refusal is nothing that the event is to blame for. */
function isRefusal(error: unknown): boolean {
  return error instanceof RejotError && error.code === "REGISTRY_REFUSED";
}

function readerName(topic: string, side: Side, schemaId: number): string {
  return `${side}:${schemaId}:${topic}`;
}

function unreadableError(cause: unknown): RejotError {
  if (cause instanceof RejotError) return cause;
  const detail = cause instanceof Error ? cause.message : String(cause);
  return new RejotError("RECORD_UNREADABLE", { detail, cause });
}
