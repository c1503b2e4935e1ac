import type { Client } from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import { parseConnectionString } from "../../shared/manifest/connection-string.ts";
import { type Diagnostic, diagnostic, diagnosticOfError } from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import type { PostgresConnection } from "../../shared/manifest/schema.ts";
import { dataStorePlace } from "../../shared/manifest/schema-place.ts";
import type { Environment } from "../../shared/manifest/secrets.ts";
import { postgresConnection } from "../../shared/manifest/workspace.ts";
import { connectPostgres } from "../../shared/postgres/client.ts";
import { type DataStoreUse, lostDepth } from "./depth.ts";

/** Long enough for a database far away, short enough for a check that can do without. */
const CONNECT_TIMEOUT_MS = 3_000;

/** Which databases a check uses. */
export interface DatabaseChoice {
  /** Secrets of the data stores' own connections. */
  readonly env: Environment;
  /** Values of `--database`: `URL` for all data stores, `<data store>=URL` for one. */
  readonly named: readonly string[];
  /** A data store whose own database cannot be reached is an error, not a warning. */
  readonly required: boolean;
}

/**
 * The databases that `collect --check` prepares statements on: those named with `--database`, else the data
 * stores' own. One session each, read only, ended by `await using`.
 */
export class CheckDatabases implements AsyncDisposable {
  readonly #loaded: LoadedManifest;
  readonly #choice: DatabaseChoice;
  readonly #named: ReadonlyMap<string, PostgresConnection>;
  readonly #sessions = new Map<string, Promise<Client | undefined>>();
  /** Data stores whose database could not be used. */
  readonly diagnostics: Diagnostic[] = [];

  constructor(loaded: LoadedManifest, choice: DatabaseChoice) {
    this.#loaded = loaded;
    this.#choice = choice;
    this.#named = new Map(choice.named.map(parseNamed));
    for (const slug of this.#named.keys()) this.#requireDataStore(slug);
  }

  /** A session with the data store's database; undefined when there is none, which is a diagnostic. */
  readonly open = (use: DataStoreUse): Promise<Client | undefined> => {
    let session = this.#sessions.get(use.slug);
    session ??= this.#connect(use);
    this.#sessions.set(use.slug, session);
    return session;
  };

  async [Symbol.asyncDispose](): Promise<void> {
    const sessions = await Promise.allSettled(this.#sessions.values());
    for (const session of sessions)
      if (session.status === "fulfilled") await session.value?.end().catch(() => {});
  }

  async #connect(use: DataStoreUse): Promise<Client | undefined> {
    const { slug } = use;
    const named = this.#named.get(slug) ?? this.#named.get("");
    try {
      return await connect(named ?? postgresConnection(this.#loaded.manifest, slug, this.#choice.env));
    } catch (error) {
      if (!(error instanceof RejotError)) throw error;
      // That the manifest lacks the connection is reported already.
      if (/^CONNECTION_(NOT_FOUND|TYPE_MISMATCH)$/.test(error.code)) return undefined;
      const place = dataStorePlace(this.#loaded, slug);
      const detail = `${error.message}. Not looked at: ${lostDepth(use)}`;
      this.diagnostics.push(
        named !== undefined || this.#choice.required
          ? diagnosticOfError(error, place)
          : diagnostic("DATABASE_NOT_CHECKED", "warning", place, detail),
      );
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
