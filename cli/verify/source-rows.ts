import type { ResolvedPublicSchema, ResolvedSource } from "../../shared/manifest/workspace.ts";
import {
  connectPostgres,
  endPostgres,
  type PostgresClient,
  writableServer,
} from "../../shared/postgres/client.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import { loadTypeCatalog, type TypeCatalog } from "../../shared/postgres/type-catalog.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import type { SourceConfig } from "../../source-connector/config.ts";
import type { EncodedEvent } from "../../source-connector/ports.ts";
import { identifySystem } from "../../source-connector/setup/postgres-identity.ts";
import { checkServer, readWalEnd } from "../../source-connector/setup/postgres-setup.ts";
import type { KnownSource } from "../../source-connector/setup/starting-point.ts";
import {
  takeTransformationRole,
  transformationConnection,
} from "../../source-connector/transformation-connection.ts";
import { chunkError } from "../../source-connector/transformer/postgres-chunk-portions.ts";
import { FailedRun } from "../../source-connector/transformer/statement-runs.ts";
import { answerError, answerLimits } from "./postgres-answer.ts";
import { beginAtPosition } from "./postgres-source-snapshot.ts";
import { SchemaRows } from "./schema-rows.ts";

export interface SourceRowsOptions {
  readonly source: ResolvedSource;
  readonly config: SourceConfig;
  readonly registry: SchemaRegistry;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

interface Sessions {
  readonly server: ResolvedSource["connection"];
  readonly reading: PostgresClient;
  readonly other: PostgresClient;
  readonly catalog: TypeCatalog;
}

/** The rows of a source's public schemas as the source would publish them, at an exact position. */
export class SourceRows implements AsyncDisposable {
  readonly #options: SourceRowsOptions;
  readonly #sessions: Sessions;

  private constructor(options: SourceRowsOptions, sessions: Sessions) {
    this.#options = options;
    this.#sessions = sessions;
    options.signal.addEventListener("abort", this.#breakOff, { once: true });
  }

  /** Connects as the source does. Throws what a source's start throws. */
  static async open(options: SourceRowsOptions): Promise<SourceRows> {
    const { source, config, timeoutMs } = options;
    await using cleanup = new AsyncDisposableStack();
    const connect = async (more: Omit<Parameters<typeof connectPostgres>[1], "applicationName">) => {
      const client = await connectPostgres(server, { applicationName, ...more });
      cleanup.defer(() => endPostgres(client));
      return client;
    };
    const limits = answerLimits(timeoutMs);
    const applicationName = nameOf(source);
    const server = await writableServer(source.connection, { applicationName, ...limits });
    try {
      const other = await connect(limits);
      await checkServer(other);
      const reading = await connect(readingLimits(config, timeoutMs));
      // Servers before 17 do not have it.
      await reading.query(
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'",
      );
      await takeTransformationRole(reading, config);
      const catalog = await loadTypeCatalog(reading);
      cleanup.move();
      return new SourceRows(options, { server, reading, other, catalog });
    } catch (error) {
      throw answerError(error, nameOf(source));
    }
  }

  /** Which cluster this is, and where its WAL ends. */
  async identity(): Promise<Omit<KnownSource, "progress">> {
    const system = await identifySystem(this.#sessions.server, nameOf(this.#options.source));
    return { ...system, walEndLsn: await this.#asked(() => readWalEnd(this.#sessions.other)) };
  }

  /** How the rows of a public schema are read. Throws as SchemaRows.prepare. */
  schema(publicSchema: ResolvedPublicSchema): Promise<SchemaRows> {
    const { source, registry, signal } = this.#options;
    const { reading: client, catalog } = this.#sessions;
    return this.#asked(() => SchemaRows.prepare({ source, publicSchema, client, catalog, registry, signal }));
  }

  /** Begins reading; gives the LSN below which every commit is seen, and no other. Throws as beginAtPosition. */
  async begin(): Promise<Lsn> {
    const { source, timeoutMs, signal } = this.#options;
    const { server, reading, other } = this.#sessions;
    const applicationName = nameOf(source);
    const lsn = await beginAtPosition({ server, applicationName, reading, other, timeoutMs, signal });
    // Lets an idle source's progress pass the position at once, not only at its next heartbeat.
    await this.#asked(() => other.query("SELECT pg_logical_emit_message(true, 'rejot.verify', '')"));
    return lsn;
  }

  /** All objects of a public schema, encoded. Throws what a backfill meets. */
  async *read(rows: SchemaRows): AsyncGenerator<readonly EncodedEvent[]> {
    const events = rows.read();
    for (;;) {
      const next = await this.#asked(() => events.next());
      if (next.done === true) return;
      yield next.value;
    }
  }

  /** What the SQL gives for keys alone. Throws what a backfill meets. */
  ofKeys(rows: SchemaRows, keys: readonly Buffer[]): Promise<readonly EncodedEvent[]> {
    return this.#asked(() => rows.ofKeys(keys));
  }

  /** Ends reading, however it went: nothing holds back the server's vacuum any more. */
  async end(): Promise<void> {
    await this.#sessions.reading.query("ROLLBACK").catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#options.signal.removeEventListener("abort", this.#breakOff);
    await this.#close();
  }

  readonly #breakOff = (): void => void this.#close();

  async #close(): Promise<void> {
    await Promise.all([endPostgres(this.#sessions.reading), endPostgres(this.#sessions.other)]);
  }

  async #asked<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#options.signal.throwIfAborted();
      if (error instanceof FailedRun) throw await chunkError(this.#sessions.reading, error);
      throw answerError(error, "reading the source");
    }
  }
}

/** A statement has the source's own time limit where it has one. */
function readingLimits(config: SourceConfig, timeoutMs: number) {
  const limits = answerLimits(timeoutMs);
  const own = transformationConnection(config);
  const isLimited = own.queryTimeoutMs !== undefined;
  return {
    queryTimeoutMs: own.queryTimeoutMs ?? limits.queryTimeoutMs,
    settings: {
      ...limits.settings,
      ...own.settings,
      ...(isLimited ? {} : limits.settings),
      // Between two chunks the topic is read.
      idle_in_transaction_session_timeout: "0",
    },
  };
}

function nameOf({ manifestSlug, dataStoreSlug }: ResolvedSource): string {
  return `rejot-verify ${manifestSlug} ${dataStoreSlug}`;
}
