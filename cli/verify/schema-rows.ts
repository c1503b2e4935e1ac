import type { ResolvedPublicSchema, ResolvedSource } from "../../shared/manifest/workspace.ts";
import type { PostgresClient } from "../../shared/postgres/client.ts";
import { parseTemplate } from "../../shared/postgres/sql/template.ts";
import { loadTableInfo, quoteTable, type TableInfo } from "../../shared/postgres/table-info.ts";
import type { TypeCatalog } from "../../shared/postgres/type-catalog.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { AvroEncoder } from "../../source-connector/encoder/avro-encoder.ts";
import type { EncodedEvent } from "../../source-connector/ports.ts";
import {
  backfilledSchemas,
  type ChunkSchema,
  ChunkTables,
} from "../../source-connector/transformer/chunk-tables.ts";
import { isOneToOne, publishing } from "../../source-connector/transformer/driving-tables.ts";
import { ChunkPortions } from "../../source-connector/transformer/postgres-chunk-portions.ts";
import { relationOf, TablePlans } from "../../source-connector/transformer/table-plans.ts";
import { type ExtraRule, extraRule, keyPins } from "./derive/key-pins.ts";
import { KeyPlan } from "./key-plan.ts";

const CHUNK_ROWS = 1_000;
const CHUNK_BYTES = 512 * 1024;

/** What a public schema's rows are read with. */
export interface SchemaRowsOptions {
  readonly source: ResolvedSource;
  readonly publicSchema: ResolvedPublicSchema;
  readonly client: PostgresClient;
  readonly catalog: TypeCatalog;
  readonly registry: SchemaRegistry;
  readonly signal: AbortSignal;
}

/** The rows of one public schema as the source would publish them. Errors of the server are thrown as they are. */
export class SchemaRows {
  /** How objects that no row gives are judged. */
  readonly extras: ExtraRule;
  readonly #options: SchemaRowsOptions;
  readonly #encoder: AvroEncoder;
  readonly #chunks: readonly ChunkSchema[];
  readonly #keyPlans: readonly KeyPlan[];
  readonly #portions = new ChunkPortions();

  private constructor(
    options: SchemaRowsOptions,
    encoder: AvroEncoder,
    plan: { chunks: readonly ChunkSchema[]; keyPlans: readonly KeyPlan[]; extras: ExtraRule },
  ) {
    this.#options = options;
    this.#encoder = encoder;
    this.#chunks = plan.chunks;
    this.#keyPlans = plan.keyPlans;
    this.extras = plan.extras;
  }

  /**
   * Finds the schema in the registry and plans its transformations. Throws SCHEMA_NOT_REGISTERED, TABLE_NOT_FOUND,
   * TRANSFORMATION_*, BACKFILL_TABLE_UNCLEAR, BACKFILL_TABLE_UNFIT, REGISTRY_*.
   */
  static async prepare(options: SchemaRowsOptions): Promise<SchemaRows> {
    const { source, publicSchema, client, catalog, registry } = options;
    const encoder = await AvroEncoder.create([publicSchema], registry, catalog, false);
    const plans = new TablePlans(client, catalog, [publicSchema.schema]);
    const alone = backfilledSchemas({ ...source, publicSchemas: [publicSchema] });
    const chunks = await (await ChunkTables.load(client, plans, alone)).of(0);
    const used = await publishedFrom(client, publicSchema, chunks);
    const keyPlans: KeyPlan[] = [];
    if (extraRule({ ...used, hasKeyPlan: true }) === "by key")
      for (const { table, operation, sql } of upserts(publicSchema)) {
        const info = await loadTableInfo(client, table);
        const pins = keyPins(await parseTemplate(sql), info, publicSchema.keyFields);
        const { schemas } = await plans.prepare(relationOf(info));
        const plan = schemas[0]?.[operation];
        if (pins !== undefined && plan !== undefined)
          keyPlans.push(await KeyPlan.create({ client, catalog, registry }, info, plan, pins));
      }
    const extras = extraRule({ ...used, hasKeyPlan: keyPlans.length > 0 });
    return new SchemaRows(options, encoder, { chunks, keyPlans, extras });
  }

  /** All objects, encoded, in the transaction that the client is in. */
  async *read(): AsyncGenerator<readonly EncodedEvent[]> {
    const { client, signal } = this.#options;
    for (const chunk of this.#chunks) {
      let after: readonly (string | null)[] | null = null;
      for (let finished = false; !finished; ) {
        signal.throwIfAborted();
        const limits = { maxRows: CHUNK_ROWS, maxBytes: CHUNK_BYTES };
        const read = await this.#portions.read(client, chunk, { schema: 0, after, where: null, ...limits });
        after = read.last ?? after;
        finished = read.finished;
        yield await this.#encoder.encode(read.events);
      }
    }
  }

  /** What the SQL gives for keys of the topic, run for them alone. */
  async ofKeys(keys: readonly Buffer[]): Promise<readonly EncodedEvent[]> {
    const found: EncodedEvent[] = [];
    for (const plan of this.#keyPlans) found.push(...(await this.#encoder.encode(await plan.run(keys))));
    return found;
  }
}

/** The transformations that publish objects, each SQL of a table once. */
function upserts({ schema }: ResolvedPublicSchema) {
  const publish = schema.config.transformations.filter(
    ({ operation, emit }) => operation !== "delete" || emit === "upsert",
  );
  return new Map(publish.map((each) => [`${each.table} ${each.sql}`, each])).values();
}

/** Whether each object has a row of its own among those that are read, and whether others publish it as well. */
async function publishedFrom(
  client: PostgresClient,
  publicSchema: ResolvedPublicSchema,
  chunks: readonly ChunkSchema[],
): Promise<{ isOneToOne: boolean; publishedElsewhere: boolean }> {
  const { transformations } = publicSchema.schema.config;
  const tables = new Map<string, TableInfo>();
  for (const { table } of transformations) tables.set(table, await loadTableInfo(client, table));
  const driving = new Set(chunks.map(({ table }) => table));
  const nameOf = (table: string): string => quoteTable(tables.get(table) as TableInfo);
  const candidates = chunks.map(async ({ table, keyColumns }) => {
    const own = publishing(transformations, (each) => nameOf(each.table) === table);
    if (own === undefined) return false;
    const template = await parseTemplate(own.sql);
    const info = tables.get(own.table) as TableInfo;
    return isOneToOne({ table: info, template, uniqueKeys: [keyColumns] }, publicSchema.keyFields);
  });
  return {
    isOneToOne: (await Promise.all(candidates)).every(Boolean),
    publishedElsewhere: [...upserts(publicSchema)].some(
      ({ operation, table }) => operation === "delete" || !driving.has(nameOf(table)),
    ),
  };
}
