import pg from "pg";
import type { PostgresServer } from "../../compose/dev-stack/postgres-server.ts";
import {
  ACCOUNTS_TABLE,
  CONTENT_QUERY,
  MARKER_ROWS,
  TEXT_CASTS,
  type Workload,
  WRITE_PROCEDURE,
} from "./accounts.ts";
import type { Content } from "./content.ts";

/** The publication that all sources read. */
export const PUBLICATION = "bench";

/** A database whose accounts have been written, with replication slots from before the first change. */
export interface WrittenDatabase {
  readonly name: string;
  /** Changes in the WAL behind the slots. */
  readonly changes: number;
  readonly content: Content;
  /** Largest id; those of the marker rows are the last ones up to it. */
  readonly maxId: number;
  /** Average of a row at the source, in bytes. */
  readonly rowBytes: number;
}

/** A client for a database of the stack; `await using` ends it. */
export async function connect(
  server: PostgresServer,
  database: string,
): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ connectionString: server.url(database), application_name: "bench" });
  client.on("error", () => {});
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

/** Makes the database, the slots and then the changes, so that every slot has all of them still to come. */
export async function writeWorkload(
  server: PostgresServer,
  name: string,
  workload: Workload,
  changes: number,
  slots: readonly string[],
): Promise<WrittenDatabase> {
  await createAccounts(server, name);
  await using client = await connect(server, name);
  await client.query(WRITE_PROCEDURE);
  await client.query(`CREATE PUBLICATION ${PUBLICATION} FOR TABLE accounts`);
  for (const slot of slots)
    await client.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
  await client.query("SET synchronous_commit = off");
  await client.query("SET jit = off");
  await client.query(`CALL write_accounts(${changes}, ${workload.minRows}, ${workload.maxRows})`);
  const {
    rows: [facts],
  } = await client.query<{ max_id: string; row_bytes: string }>(
    "SELECT max(id) AS max_id, avg(pg_column_size(accounts.*)) AS row_bytes FROM accounts",
  );
  return {
    name,
    changes,
    content: await readContent(client),
    maxId: Number(facts?.max_id),
    rowBytes: Math.round(Number(facts?.row_bytes)),
  };
}

/** Makes a database with an empty accounts table. */
export async function createAccounts(server: PostgresServer, name: string): Promise<void> {
  await using admin = await connect(server, "postgres");
  await admin.query(`CREATE DATABASE ${name}`);
  await using client = await connect(server, name);
  await client.query(ACCOUNTS_TABLE);
  await client.query(TEXT_CASTS);
}

/** Drops a database and its slots, whoever is connected. */
export async function dropDatabase(server: PostgresServer, name: string): Promise<void> {
  await using admin = await connect(server, "postgres");
  const { rows } = await admin.query<{ slot_name: string }>(
    "SELECT slot_name FROM pg_replication_slots WHERE database = $1",
    [name],
  );
  for (const { slot_name } of rows) await dropSlot(server, slot_name);
  await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
}

/** Drops a slot that its reader has left or is about to leave. */
export async function dropSlot(server: PostgresServer, slot: string): Promise<void> {
  await using admin = await connect(server, "postgres");
  await admin.query(
    "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = $1 AND active",
    [slot],
  );
  await admin.query(
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
    [slot],
  );
}

/** What the accounts of a database hold. */
export async function readContent(client: pg.Client): Promise<Content> {
  const { rows } = await client.query<{ rows: string; hash: string }>(CONTENT_QUERY);
  return { rows: Number(rows[0]?.rows), hash: rows[0]?.hash ?? "" };
}

/** How many of the workload's last rows a destination has. */
export async function countMarkers(client: pg.Client, maxId: number): Promise<number> {
  const { rows } = await client.query<{ n: string }>("SELECT count(*) AS n FROM accounts WHERE id > $1", [
    maxId - MARKER_ROWS,
  ]);
  return Number(rows[0]?.n);
}

/** Rows of a destination. */
export async function countRows(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ n: string }>("SELECT count(*) AS n FROM accounts");
  return Number(rows[0]?.n);
}

/** Writes all dirty pages, so that no run pays for what another one wrote. */
export async function checkpoint(server: PostgresServer): Promise<void> {
  await using admin = await connect(server, "postgres");
  await admin.query("CHECKPOINT");
}
