import type { Client } from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import { parseConnectionString } from "../../shared/manifest/connection-string.ts";
import { type Diagnostic, diagnostic } from "../../shared/manifest/diagnostic.ts";
import { displayPath, type LoadedManifest } from "../../shared/manifest/load.ts";
import type { PostgresConnection } from "../../shared/manifest/schema.ts";
import type { Environment } from "../../shared/manifest/secrets.ts";
import { postgresConnection } from "../../shared/manifest/workspace.ts";
import { connectPostgres } from "../../shared/postgres/client.ts";

/** Long enough for a database far away, short enough for a check that can do without. */
const CONNECT_TIMEOUT_MS = 3_000;

/**
 * The databases that `collect --check` prepares statements on: those named with `--database`, else the data
 * stores' own. One session each, read only, ended by `await using`.
 */
export class CheckDatabases implements AsyncDisposable {
  readonly #loaded: LoadedManifest;
  readonly #env: Environment;
  readonly #named: ReadonlyMap<string, PostgresConnection>;
  readonly #sessions = new Map<string, Promise<Client | undefined>>();
  /** Data stores that could not be reached. */
  readonly diagnostics: Diagnostic[] = [];

  /** `named`: values of `--database`, `URL` for all data stores or `<data store>=URL` for one. */
  constructor(loaded: LoadedManifest, env: Environment, named: readonly string[]) {
    this.#loaded = loaded;
    this.#env = env;
    this.#named = new Map(named.map(parseNamed));
    for (const slug of this.#named.keys()) this.#requireDataStore(slug);
  }

  /**
   * A session with the data store's database; undefined when its own database cannot be reached, which is a
   * diagnostic. Throws POSTGRES_* when a database named with `--database` cannot be reached.
   */
  readonly open = (dataStoreSlug: string): Promise<Client | undefined> => {
    let session = this.#sessions.get(dataStoreSlug);
    session ??= this.#connect(dataStoreSlug);
    this.#sessions.set(dataStoreSlug, session);
    return session;
  };

  async [Symbol.asyncDispose](): Promise<void> {
    const sessions = await Promise.allSettled(this.#sessions.values());
    for (const session of sessions)
      if (session.status === "fulfilled") await session.value?.end().catch(() => {});
  }

  async #connect(dataStoreSlug: string): Promise<Client | undefined> {
    const named = this.#named.get(dataStoreSlug) ?? this.#named.get("");
    if (named !== undefined) return connect(named);
    try {
      return await connect(postgresConnection(this.#loaded.manifest, dataStoreSlug, this.#env));
    } catch (error) {
      if (!(error instanceof RejotError)) throw error;
      const place = `${displayPath(this.#loaded.path)}: data store "${dataStoreSlug}"`;
      this.diagnostics.push(diagnostic("DATABASE_NOT_CHECKED", "warning", place, error.message));
      return undefined;
    }
  }

  #requireDataStore(slug: string): void {
    const known = (this.#loaded.manifest.dataStores ?? []).map((d) => d.connectionSlug);
    if (slug === "" || known.includes(slug)) return;
    throw new RejotError("DATA_STORE_NOT_FOUND", {
      detail: `"${slug}" of --database; there is ${known.join(", ")}`,
    });
  }
}

function connect(connection: PostgresConnection): Promise<Client> {
  return connectPostgres(connection, {
    applicationName: "rejot-kafka collect",
    settings: { default_transaction_read_only: "on", statement_timeout: "30s" },
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
  });
}

function parseNamed(value: string): [slug: string, connection: PostgresConnection] {
  const match = /^(?:([^=:/]+)=)?(.*)$/s.exec(value);
  return [match?.[1] ?? "", parseConnectionString(match?.[2] ?? "").connection];
}
