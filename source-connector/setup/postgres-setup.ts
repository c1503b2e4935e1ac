import type { Client } from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import type { PostgresDataStore } from "../../shared/manifest/schema.ts";
import { postgresError, sqlState } from "../../shared/postgres/client.ts";
import { descendantsOf } from "../../shared/postgres/inheritance.ts";
import { formatLsn, type Lsn, parseLsn } from "../../shared/postgres/lsn.ts";
import {
  loadTableByOid,
  loadTableInfo,
  quoteIdentifier,
  quoteTable,
  type TableInfo,
} from "../../shared/postgres/table-info.ts";
import { isLockTimeout, namingLocks } from "./postgres-locks.ts";
import { filteredTable, publishedOids } from "./postgres-published.ts";

/** A replication slot as the server describes it. */
export interface SlotState {
  readonly confirmedLsn: Lsn;
  /** Why it cannot be read any more; null while it can. */
  readonly lost: string | null;
}

/** Logical messages in the stream, which heartbeats need, exist since 14. */
const OLDEST_VERSION = 140_000;
const DUPLICATE_OBJECT = "42710";
const UNDEFINED_OBJECT = "42704";
const OBJECT_IN_USE = "55006";

/** Checks the server. Throws POSTGRES_TOO_OLD, WAL_LEVEL_NOT_LOGICAL. */
export async function checkServer(client: Client): Promise<void> {
  const result = await client.query<{ version: string; wal_level: string }>(
    "SELECT current_setting('server_version_num') AS version, current_setting('wal_level') AS wal_level",
  );
  const { version = "0", wal_level: level = "" } = result.rows[0] ?? {};
  if (Number(version) < OLDEST_VERSION)
    throw new RejotError("POSTGRES_TOO_OLD", { detail: `server_version_num is ${version}` });
  if (level !== "logical") throw new RejotError("WAL_LEVEL_NOT_LOGICAL", { detail: `wal_level is ${level}` });
}

/**
 * Looks the tables up, and those that inherit from them, and checks that their changes are in the WAL and can be told
 * apart. Throws TABLE_NOT_FOUND, TABLE_UNLOGGED, TABLE_WITHOUT_IDENTITY.
 */
export async function loadPublishedTables(client: Client, names: Iterable<string>): Promise<TableInfo[]> {
  const tables = new Map<number, TableInfo>();
  const add = (table: TableInfo): void => {
    const identified =
      table.replicaIdentity === "f" || (table.replicaIdentity !== "n" && table.identityColumns.length > 0);
    if (!identified)
      throw new RejotError("TABLE_WITHOUT_IDENTITY", { detail: `${table.schema}.${table.name}` });
    tables.set(table.oid, table);
  };
  for (const name of names) {
    const table = await loadTableInfo(client, name);
    add(table);
    for (const oid of await descendantsOf(client, [table.oid])) add(await loadTableByOid(client, oid));
  }
  await refuseUnlogged(client, [...tables.values()]);
  return [...tables.values()];
}

async function refuseUnlogged(client: Client, tables: readonly TableInfo[]): Promise<void> {
  const unlogged = await client.query<{ oid: string }>(
    "SELECT oid FROM pg_class WHERE oid = ANY ($1::oid[]) AND relpersistence <> 'p'",
    [tables.map((table) => table.oid)],
  );
  const table = tables.find(({ oid }) => oid === Number(unlogged.rows[0]?.oid));
  if (table !== undefined)
    throw new RejotError("TABLE_UNLOGGED", { detail: `${table.schema}.${table.name}` });
}

/**
 * Checks, while a source runs, that the stream still has what it had at the start: a table that was dropped and made
 * anew, swapped for another, or taken out of the publication changes unseen. Takes no lock on any table. Throws
 * TABLE_LEFT_STREAM.
 */
export async function checkStillPublished(
  client: Client,
  publication: string,
  tables: readonly TableInfo[],
): Promise<void> {
  const current = await client.query<{ oid: string | null }>(
    "SELECT to_regclass(name)::oid AS oid FROM unnest($1::text[]) WITH ORDINALITY AS t(name, ord) ORDER BY ord",
    [tables.map(quoteTable)],
  );
  const published = await publishedOids(client, publication);
  for (const [i, table] of tables.entries()) {
    const oid = current.rows[i]?.oid;
    if (oid === null)
      throw new RejotError("TABLE_LEFT_STREAM", { detail: `${quoteTable(table)} was dropped or renamed` });
    if (published.has(Number(oid))) continue;
    const what = Number(oid) === table.oid ? "is" : "is another table of that name now, which is";
    throw new RejotError("TABLE_LEFT_STREAM", {
      detail: `${quoteTable(table)} ${what} not in ${publication}`,
    });
  }
  const oids = tables.map((table) => table.oid);
  const child = (await descendantsOf(client, oids)).find((oid) => !published.has(oid));
  if (child === undefined) return;
  const { schema, name } = await loadTableByOid(client, child);
  throw new RejotError("TABLE_LEFT_STREAM", {
    detail: `${quoteTable({ schema, name })} inherits from a published table and is not in ${publication}`,
  });
}

/**
 * Creates the publication, or adds the tables it lacks and tells which those are. Another source process may do the
 * same at the same time.
 * Throws PUBLICATION_INCOMPLETE with the statement to run when the role may not, or when a publication made by
 * others leaves changes out; TABLE_LOCKED.
 */
export async function ensurePublication(
  client: Client,
  config: PostgresDataStore,
  tables: readonly TableInfo[],
  needsTruncate: boolean,
): Promise<readonly TableInfo[]> {
  const name = quoteIdentifier(config.publicationName);
  const exists = await client.query("SELECT FROM pg_publication WHERE pubname = $1", [
    config.publicationName,
  ]);
  if (exists.rowCount === 0) {
    const what =
      config.allTables === true
        ? "FOR ALL TABLES"
        : tables.length > 0
          ? `FOR TABLE ${tables.map(quoteTable).join(", ")}`
          : "";
    await define(client, `CREATE PUBLICATION ${name} ${what} WITH (publish_via_partition_root = true)`);
  }
  const present = await publishedOids(client, config.publicationName);
  const missing = tables.filter((table) => !present.has(table.oid));
  for (const table of missing)
    await define(client, `ALTER PUBLICATION ${name} ADD TABLE ${quoteTable(table)}`);
  await checkOperations(client, config.publicationName, needsTruncate);
  await checkAdded(client, config.publicationName, missing);
  await checkRowFilters(client, config.publicationName, tables);
  return missing;
}

/** What a publication leaves out is silently missing from the stream. */
async function checkOperations(client: Client, publication: string, needsTruncate: boolean): Promise<void> {
  const complete = await client.query<{ all: string }>(
    `SELECT pubinsert AND pubupdate AND pubdelete AND (pubtruncate OR NOT $2) AS "all" FROM pg_publication WHERE pubname = $1`,
    [publication, needsTruncate],
  );
  if (complete.rows[0]?.all === "t") return;
  const operations = needsTruncate
    ? "inserts, updates, deletes and TRUNCATE"
    : "inserts, updates and deletes";
  throw new RejotError("PUBLICATION_INCOMPLETE", {
    detail: `${publication} does not publish ${operations}`,
    hint: `Run this as its owner: ALTER PUBLICATION ${quoteIdentifier(publication)} SET (publish = 'insert, update, delete, truncate')`,
  });
}

/** `added` are tables that the publication did not have before. */
async function checkAdded(client: Client, publication: string, added: readonly TableInfo[]): Promise<void> {
  if (added.length === 0) return;
  const present = await publishedOids(client, publication);
  const hidden = added.find((table) => !present.has(table.oid));
  if (hidden === undefined) return;
  throw new RejotError("PUBLICATION_INCOMPLETE", {
    detail: `${publication} publishes the partitions of ${quoteTable(hidden)} under their own names`,
    hint: `Run this as its owner: ALTER PUBLICATION ${quoteIdentifier(publication)} SET (publish_via_partition_root = true)`,
  });
}

async function checkRowFilters(
  client: Client,
  publication: string,
  tables: readonly TableInfo[],
): Promise<void> {
  const oids = tables.map(({ oid }) => oid);
  const filtered = await filteredTable(client, publication, oids);
  const found = tables.find(({ oid }) => oid === filtered?.oid);
  if (filtered === undefined || found === undefined) return;
  const table = quoteTable(found);
  const name = quoteIdentifier(publication);
  throw new RejotError("PUBLICATION_INCOMPLETE", {
    detail: `${publication} leaves out rows of ${table}: WHERE ${filtered.filter}`,
    hint: `Filter in the public schema's SQL instead, and run this as its owner: ALTER PUBLICATION ${name} DROP TABLE ${table}; ALTER PUBLICATION ${name} ADD TABLE ${table}`,
  });
}

async function define(client: Client, sql: string): Promise<void> {
  try {
    await client.query(sql);
  } catch (cause) {
    const state = sqlState(cause);
    if (state === DUPLICATE_OBJECT) return;
    if (isLockTimeout(cause)) throw await namingLocks(client, cause, "defining");
    if (state === undefined || !state.startsWith("42"))
      throw postgresError(cause, "defining the publication");
    throw new RejotError("PUBLICATION_INCOMPLETE", {
      detail: (cause as Error).message,
      hint: `Run this as the owner of the tables and of the publication: ${sql}`,
      cause,
    });
  }
}

/**
 * The slot, or undefined when there is none. Its LSN is 0 while another process creates it, which waits for running
 * transactions. Throws SLOT_NOT_OURS.
 */
export async function readSlot(client: Client, slotName: string): Promise<SlotState | undefined> {
  const result = await client.query<Record<string, string | null>>(
    `SELECT confirmed_flush_lsn, wal_status, plugin, database = current_database() AS here,
            to_jsonb(s) ->> 'invalidation_reason' AS reason
       FROM pg_replication_slots s WHERE slot_name = $1`,
    [slotName],
  );
  const row = result.rows[0];
  if (row === undefined) return undefined;
  if (row.plugin !== "pgoutput" || row.here !== "t") {
    throw new RejotError("SLOT_NOT_OURS", { detail: `${slotName}: plugin ${row.plugin}` });
  }
  // Servers before 17 do not tell why.
  const why = row.reason == null ? "" : ` (${row.reason})`;
  return {
    confirmedLsn: parseLsn(row.confirmed_flush_lsn ?? "0/0"),
    lost: row.wal_status === "lost" ? `${slotName} is invalidated${why}` : null,
  };
}

/** Standbys copy slots from 17 on. */
const FAILOVER_VERSION = 170_000;

/**
 * Creates the slot, with a mark that standbys shall keep a copy of it where the server knows that. Waits for
 * transactions that are running now. Throws SLOTS_EXHAUSTED, POSTGRES_*.
 */
export async function createSlot(client: Client, slotName: string): Promise<void> {
  try {
    const version = await client.query<{ v: string }>("SELECT current_setting('server_version_num') AS v");
    const failover = Number(version.rows[0]?.v) >= FAILOVER_VERSION ? ", failover => true" : "";
    // To the server, waiting for a transaction is waiting for a lock.
    await client.query("SET lock_timeout = 0");
    await client.query(`SELECT pg_create_logical_replication_slot($1, 'pgoutput'${failover})`, [slotName]);
    await client.query("RESET lock_timeout");
  } catch (cause) {
    if (sqlState(cause) === DUPLICATE_OBJECT) return;
    if (sqlState(cause) === "53400")
      throw new RejotError("SLOTS_EXHAUSTED", { detail: (cause as Error).message, cause });
    if (sqlState(cause) === "42501")
      throw new RejotError("ROLE_WITHOUT_REPLICATION", { detail: (cause as Error).message, cause });
    throw postgresError(cause, `creating the slot ${slotName}`);
  }
}

/**
 * Drops a slot that is of no use any more: it was invalidated, or it begins before `behindLsn`, in a history that was
 * left. One that another process has made meanwhile, or reads, stays. Throws POSTGRES_*.
 */
export async function dropUselessSlot(client: Client, slotName: string, behindLsn: Lsn): Promise<void> {
  try {
    await client.query(
      `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
        WHERE slot_name = $1 AND plugin = 'pgoutput' AND database = current_database()
          AND (wal_status = 'lost' OR confirmed_flush_lsn < $2::pg_lsn)`,
      [slotName, formatLsn(behindLsn)],
    );
  } catch (cause) {
    if (sqlState(cause) === OBJECT_IN_USE || sqlState(cause) === UNDEFINED_OBJECT) return;
    throw postgresError(cause, `dropping the slot ${slotName}`);
  }
}

/** Where the server's WAL ends: nothing that was ever committed there lies behind it. */
export async function readWalEnd(client: Client): Promise<Lsn> {
  const result = await client.query<{ lsn: string }>("SELECT pg_current_wal_flush_lsn() AS lsn");
  return parseLsn(result.rows[0]?.lsn ?? "");
}

/**
 * Ends the connection that holds the slot, if it is another source's of the same data store: that one has given no
 * sign of life for too long. Any other program that reads the slot is left alone. Tells whether one was ended.
 */
export async function endSlotHolder(
  client: Client,
  slotName: string,
  applicationName: string,
): Promise<boolean> {
  const result = await client.query(
    `SELECT pg_terminate_backend(s.active_pid)
       FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid
      WHERE s.slot_name = $1 AND a.application_name = left($2, 63) AND s.confirmed_flush_lsn IS NOT NULL`,
    [slotName, applicationName],
  );
  return (result.rowCount ?? 0) > 0;
}
