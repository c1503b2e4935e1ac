import type { ResolvedSource } from "../../shared/manifest/workspace.ts";
import {
  connectPostgres,
  endPostgres,
  type PostgresClient,
  writableServer,
} from "../../shared/postgres/client.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import { loadTypeCatalog } from "../../shared/postgres/type-catalog.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import type { SourceConfig } from "../../source-connector/config.ts";
import { AvroEncoder } from "../../source-connector/encoder/avro-encoder.ts";
import type { EncodedEvent } from "../../source-connector/ports.ts";
import { identifySystem } from "../../source-connector/setup/postgres-identity.ts";
import { checkServer, readWalEnd } from "../../source-connector/setup/postgres-setup.ts";
import type { KnownSource } from "../../source-connector/setup/starting-point.ts";
import {
  takeTransformationRole,
  transformationConnection,
} from "../../source-connector/transformation-connection.ts";
import {
  backfilledSchemas,
  type ChunkSchema,
  ChunkTables,
} from "../../source-connector/transformer/chunk-tables.ts";
import { ChunkPortions, chunkError } from "../../source-connector/transformer/postgres-chunk-portions.ts";
import { TablePlans } from "../../source-connector/transformer/table-plans.ts";
import { beginAtPosition } from "./postgres-source-snapshot.ts";

const CHUNK_ROWS = 1_000;
const CHUNK_BYTES = 512 * 1024;

export interface SourceRowsOptions {
  readonly source: ResolvedSource;
  readonly config: SourceConfig;
  readonly registry: SchemaRegistry;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The rows of a source's public schemas as the source would publish them, at an exact position. */
export class SourceRows implements AsyncDisposable {
  readonly #options: SourceRowsOptions;
  readonly #server: ResolvedSource["connection"];
  readonly #reading: PostgresClient;
  readonly #other: PostgresClient;
  readonly #encoder: AvroEncoder;
  readonly #tables: ChunkTables;
  readonly #portions = new ChunkPortions();

  private constructor(
    options: SourceRowsOptions,
    server: ResolvedSource["connection"],
    clients: { readonly reading: PostgresClient; readonly other: PostgresClient },
    encoder: AvroEncoder,
    tables: ChunkTables,
  ) {
    this.#options = options;
    this.#server = server;
    this.#reading = clients.reading;
    this.#other = clients.other;
    this.#encoder = encoder;
    this.#tables = tables;
  }

  /**
   * Connects as the source does, plans its transformations and finds its schemas in the registry.
   * Throws what a source's start throws.
   */
  static async open(options: SourceRowsOptions): Promise<SourceRows> {
    const { source, config, registry } = options;
    await using cleanup = new AsyncDisposableStack();
    const connect = async (more: Parameters<typeof connectPostgres>[1]) => {
      const client = await connectPostgres(server, more);
      cleanup.defer(() => endPostgres(client));
      return client;
    };
    const applicationName = nameOf(source);
    const server = await writableServer(source.connection, { applicationName });
    const other = await connect({ applicationName });
    await checkServer(other);
    const { settings = {}, ...limits } = transformationConnection(config);
    const reading = await connect({
      applicationName,
      ...limits,
      // Between two chunks the topic is read.
      settings: { ...settings, idle_in_transaction_session_timeout: "0" },
    });
    // Servers before 17 do not have it.
    await reading.query(
      "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'",
    );
    await takeTransformationRole(reading, config);
    const catalog = await loadTypeCatalog(reading);
    const encoder = await AvroEncoder.create(source.publicSchemas, registry, catalog, false);
    const schemas = source.publicSchemas.map(({ schema }) => schema);
    const plans = new TablePlans(reading, catalog, schemas);
    const tables = await ChunkTables.load(reading, plans, backfilledSchemas(source));
    cleanup.move();
    return new SourceRows(options, server, { reading, other }, encoder, tables);
  }

  /** Which cluster this is, and where its WAL ends. */
  async identity(): Promise<Omit<KnownSource, "progress">> {
    const system = await identifySystem(this.#server, nameOf(this.#options.source));
    return { ...system, walEndLsn: await readWalEnd(this.#other) };
  }

  /** How the rows of a public schema are read. Throws BACKFILL_TABLE_UNCLEAR, BACKFILL_TABLE_UNFIT. */
  chunks(schema: number): Promise<readonly ChunkSchema[]> {
    return this.#tables.of(schema);
  }

  /** Begins reading; gives the LSN below which every commit is seen, and no other. Throws as beginAtPosition. */
  async begin(): Promise<Lsn> {
    const { source, timeoutMs, signal } = this.#options;
    const lsn = await beginAtPosition({
      server: this.#server,
      applicationName: nameOf(source),
      reading: this.#reading,
      other: this.#other,
      timeoutMs,
      signal,
    });
    // Lets an idle source's progress pass the position at once, not only at its next heartbeat.
    await this.#other.query("SELECT pg_logical_emit_message(true, 'rejot.verify', '')");
    return lsn;
  }

  /** All objects of a public schema, encoded. Throws what a backfill meets. */
  async *read(schema: number, chunks: readonly ChunkSchema[]): AsyncGenerator<readonly EncodedEvent[]> {
    const { signal } = this.#options;
    try {
      for (const chunk of chunks) {
        let after: readonly (string | null)[] | null = null;
        for (let finished = false; !finished; ) {
          signal.throwIfAborted();
          const limits = { maxRows: CHUNK_ROWS, maxBytes: CHUNK_BYTES };
          const request = { schema, after, where: null, ...limits };
          const read = await this.#portions.read(this.#reading, chunk, request);
          after = read.last ?? after;
          finished = read.finished;
          yield await this.#encoder.encode(read.events);
        }
      }
    } catch (error) {
      throw signal.aborted ? error : await chunkError(this.#reading, error);
    }
  }

  /** Ends reading, however it went: nothing holds back the server's vacuum any more. */
  async end(): Promise<void> {
    await this.#reading.query("ROLLBACK").catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([endPostgres(this.#reading), endPostgres(this.#other)]);
  }
}

function nameOf({ manifestSlug, dataStoreSlug }: ResolvedSource): string {
  return `rejot-verify ${manifestSlug} ${dataStoreSlug}`;
}
