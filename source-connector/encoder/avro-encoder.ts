import { compileRowEncoder, type RowEncoder } from "../../shared/contracts/row-encoder.ts";
import { RejotError } from "../../shared/errors/error.ts";
import { formatChange } from "../../shared/kafka/position.ts";
import type { ResolvedPublicSchema } from "../../shared/manifest/workspace.ts";
import type { TypeCatalog } from "../../shared/postgres/type-catalog.ts";
import { type PublishedSchemas, publishSchemas } from "../../shared/registry/published-schemas.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { wirePrefix } from "../../shared/registry/wire-format.ts";
import type { EncodedEvent, Encoder, ResultColumns, TextEvent } from "../ports.ts";

interface Registered extends Pick<PublishedSchemas, "key" | "value"> {
  readonly publicSchema: ResolvedPublicSchema;
  readonly keyPrefix: Buffer;
  readonly valuePrefix: Buffer;
  /** Compiled per result shape: insert, update and delete transformations may give different columns. */
  readonly encoders: Map<ResultColumns, { key: RowEncoder; value: RowEncoder | undefined }>;
}

/** Encodes with schemas that are in the registry before the first record that needs them. */
export class AvroEncoder implements Encoder {
  readonly #schemas: readonly Registered[];
  readonly #catalog: TypeCatalog;

  private constructor(schemas: readonly Registered[], catalog: TypeCatalog) {
    this.#schemas = schemas;
    this.#catalog = catalog;
  }

  /**
   * Finds the schemas in the registry, or registers them there if it may.
   * Throws TYPE_* for what cannot be mapped, SCHEMA_INCOMPATIBLE, SCHEMA_NOT_REGISTERED, REGISTRY_*.
   */
  static async create(
    publicSchemas: readonly ResolvedPublicSchema[],
    registry: SchemaRegistry,
    catalog: TypeCatalog,
    register: boolean,
  ): Promise<AvroEncoder> {
    const schemas: Registered[] = [];
    for (const publicSchema of publicSchemas) {
      const { key, value, keyId, valueId } = await publishSchemas(publicSchema, registry, {
        register,
        siblings: publicSchemas,
      });
      const prefixes = { keyPrefix: wirePrefix(keyId), valuePrefix: wirePrefix(valueId) };
      schemas.push({ publicSchema, key, value, ...prefixes, encoders: new Map() });
    }
    return new AvroEncoder(schemas, catalog);
  }

  /**
   * Compiles the encoder of a transformation's result ahead of its first row, so that a column that is missing or
   * of the wrong type stops the start and not the stream. `tombstone`: only the key is needed.
   */
  async check(schema: number, columns: ResultColumns, tombstone: boolean): Promise<void> {
    await this.#catalog.require(columns.list.map((column) => column.typeOid));
    this.#compiled(schema, columns, tombstone);
  }

  async encode(events: readonly TextEvent[]): Promise<EncodedEvent[]> {
    // A batch has thousands of events and a handful of result shapes.
    const shapes = [...new Set(events.map((event) => event.columns))];
    await this.#catalog.require(shapes.flatMap(({ list }) => list.map((column) => column.typeOid)));
    return events.map((event) => this.#encodeOne(event));
  }

  keyPrefix(schema: number): Buffer {
    return this.#registered(schema).keyPrefix;
  }

  #encodeOne(event: TextEvent): EncodedEvent {
    const registered = this.#registered(event.schema);
    const { key, value } = this.#compiled(event.schema, event.columns, event.row === null);
    const change = formatChange(event.op, event.position);
    try {
      return {
        topic: registered.publicSchema.topic,
        key: key(event.keyRow),
        value: event.row === null || value === undefined ? null : value(event.row),
        change,
        position: event.position,
        timestampMs: event.commitTimeMs,
      };
    } catch (error) {
      throw located(error, registered, event, change);
    }
  }

  #compiled(
    schema: number,
    columns: ResultColumns,
    tombstone: boolean,
  ): { key: RowEncoder; value: RowEncoder | undefined } {
    const registered = this.#registered(schema);
    const known = registered.encoders.get(columns);
    if (known !== undefined && (tombstone || known.value !== undefined)) return known;
    const compiled = {
      key: compileRowEncoder(registered.key, columns.list, this.#catalog, { prefix: registered.keyPrefix }),
      value: tombstone
        ? undefined
        : compileRowEncoder(registered.value, columns.list, this.#catalog, {
            prefix: registered.valuePrefix,
          }),
    };
    registered.encoders.set(columns, compiled);
    return compiled;
  }

  #registered(schema: number): Registered {
    const registered = this.#schemas[schema];
    if (registered === undefined)
      throw new RejotError("INTERNAL_ERROR", { detail: `no public schema ${schema}` });
    return registered;
  }
}

function located(error: unknown, { publicSchema }: Registered, event: TextEvent, change: string): unknown {
  if (!(error instanceof RejotError)) return error;
  const keys = publicSchema.keyFields.map((field) => {
    const column = event.columns.list.findIndex((c) => c.name === field);
    return `${field}=${event.keyRow[column] ?? "NULL"}`;
  });
  return new RejotError(error.code, {
    detail: `${publicSchema.schema.name} v${publicSchema.schema.version.major}, key ${keys.join(", ")}, change ${change}: ${error.detail}`,
    hint: error.hint,
    cause: error.cause,
    context: error.context,
  });
}
