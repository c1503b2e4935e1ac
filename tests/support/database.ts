import type pg from "pg";
import { inject } from "vitest";
import type { PostgresConnection } from "../../shared/manifest/schema.ts";
import { connectPostgres } from "../../shared/postgres/client.ts";
import type { StackAddresses } from "./global-stack.ts";
import { randomName } from "./names.ts";
import { waitFor } from "./wait-for.ts";

/** A row as the server's text. */
export type TextRow = Record<string, string | null>;

/** A database of its own; `await using` drops it, its slots and the sessions in it. */
export interface TestDatabase extends AsyncDisposable {
  readonly name: string;
  /** For a manifest. */
  readonly connection: PostgresConnection;
  /** postgresql:// URL. */
  readonly url: string;
  /** Runs SQL in one session that is kept; without parameters, several statements. Values come back as text. */
  query(sql: string, params?: unknown[]): Promise<TextRow[]>;
  /** A session of its own, ended with the database. */
  connect(): Promise<pg.Client>;
}

export interface DatabaseOptions {
  /** Default: a random name. */
  name?: string;
  /** Default: the server of the run. */
  server?: StackAddresses["postgres"];
  /** SQL to run in the new database. */
  sql?: string;
  /** A database to copy; nobody may be connected to it. */
  template?: string;
}

/** Creates a database. */
export async function createDatabase(options: DatabaseOptions = {}): Promise<TestDatabase> {
  const server = options.server ?? inject("stack").postgres;
  const name = options.name ?? randomName("test");
  const from = options.template === undefined ? "" : ` TEMPLATE "${options.template}" STRATEGY FILE_COPY`;
  await administer(server, (client) => client.query(`CREATE DATABASE "${name}"${from}`));
  const connection: PostgresConnection = { connectionType: "postgres", ...server, database: name };
  const sessions: pg.Client[] = [];
  const connect = async (): Promise<pg.Client> => {
    const client = await connectPostgres(connection, { applicationName: "test" });
    sessions.push(client);
    return client;
  };
  let kept: Promise<pg.Client> | undefined;
  const database: TestDatabase = {
    name,
    connection,
    url: `postgresql://${server.user}:${encodeURIComponent(server.password)}@${server.host}:${server.port}/${name}`,
    connect,
    query: async (sql, params) => {
      // A session that a server's restart has ended is replaced, as the next statement would fail for ever.
      if (kept !== undefined && isEnded(await kept)) kept = undefined;
      kept ??= connect();
      const client = await kept.catch((error: unknown) => {
        kept = undefined;
        throw error;
      });
      const result = await client.query<TextRow>(sql, params);
      // Several statements give several results, though the type does not say so.
      return Array.isArray(result) ? ((result.at(-1) as pg.QueryResult<TextRow>)?.rows ?? []) : result.rows;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(sessions.map((session) => session.end().catch(() => {})));
      await dropDatabase(server, name);
    },
  };
  if (options.sql !== undefined) await database.query(options.sql);
  return database;
}

const templates = new Map<string, Promise<string>>();

/**
 * A database prepared once per test file by the SQL, and copied: much faster than running the SQL each time.
 * The copies are dropped by `await using`, the template with the server.
 */
export async function cloneDatabase(sql: string): Promise<TestDatabase> {
  let template = templates.get(sql);
  if (template === undefined) {
    template = createTemplate(sql);
    templates.set(sql, template);
  }
  return createDatabase({ template: await template });
}

async function createTemplate(sql: string): Promise<string> {
  const server = inject("stack").postgres;
  const name = randomName("template");
  await administer(server, (client) => client.query(`CREATE DATABASE "${name}"`));
  await administer({ ...server, database: name }, (client) => client.query(sql));
  return name;
}

async function dropDatabase(server: StackAddresses["postgres"], name: string): Promise<void> {
  await administer(server, async (client) => {
    await waitFor(
      async () => {
        await client.query(
          `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
           WHERE database = $1 AND active_pid IS NOT NULL`,
          [name],
        );
        await client.query(
          `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
           WHERE database = $1 AND active_pid IS NULL`,
          [name],
        );
        const left = await client.query("SELECT 1 FROM pg_replication_slots WHERE database = $1", [name]);
        return left.rowCount === 0;
      },
      { describe: `the replication slots of ${name} to be dropped` },
    );
    await client.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
  });
}

async function administer(
  server: StackAddresses["postgres"] & { database?: string },
  work: (client: pg.Client) => Promise<unknown>,
): Promise<void> {
  const connection: PostgresConnection = { connectionType: "postgres", database: "postgres", ...server };
  const client = await connectPostgres(connection, { applicationName: "test administration" });
  try {
    await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

function isEnded(client: pg.Client): boolean {
  // node-pg has no public word for it.
  const { _ending, _ended, _queryable } = client as unknown as Record<string, boolean>;
  return _ending === true || _ended === true || _queryable === false;
}
