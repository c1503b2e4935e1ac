import type { Client } from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import { sqlState } from "../../shared/postgres/client.ts";

/** How long a session that prepares waits for a lock on a table: as long as it waits, nothing is published. */
export const LOCK_TIMEOUT_MS = 3_000;
const LOCK_NOT_AVAILABLE = "55P03";

/**
 * Who has, or waits for, a lock that a reader or an ALTER PUBLICATION waits behind. Prepared transactions have no
 * process. What the process runs is left to pg_stat_activity: it may show rows.
 */
const HOLDERS_SQL = `
  SELECT format('%s: %s %s by %s', l.relation::regclass, l.mode, CASE WHEN l.granted THEN 'held' ELSE 'awaited' END,
           CASE WHEN l.pid IS NULL THEN 'a prepared transaction' ELSE concat_ws(' ', 'process', l.pid,
             '(' || concat_ws(', ', nullif(a.application_name, ''), a.usename, a.state, 'since ' || a.xact_start) || ')',
             'behind ' || nullif(array_to_string(pg_blocking_pids(l.pid), ', '), '')) END) AS holder
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation LEFT JOIN pg_stat_activity a ON a.pid = l.pid
   WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND l.pid IS DISTINCT FROM pg_backend_pid()
     AND l.mode = ANY (CASE WHEN $1 THEN '{AccessExclusiveLock}'::text[] ELSE
       '{ShareUpdateExclusiveLock,ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}' END)
   ORDER BY l.granted DESC, c.relname LIMIT 3`;

/** Whether a statement was given up because another session's lock was in its way. */
export function isLockTimeout(error: unknown): boolean {
  return sqlState(error) === LOCK_NOT_AVAILABLE;
}

/**
 * TABLE_LOCKED, with the table and with who locks it, in place of an error that says only that a lock was not to be
 * had; other errors as they are. `reading` asks for the locks that keep readers out, else for those of DDL too.
 * The client must be idle.
 */
export async function namingLocks(
  client: Client,
  cause: unknown,
  waitsFor: "reading" | "defining",
): Promise<unknown> {
  if (!isLockTimeout(cause)) return cause;
  const holders = await client
    .query<{ holder: string }>(HOLDERS_SQL, [waitsFor === "reading"])
    .then(({ rows }) => rows.map(({ holder }) => holder))
    .catch(() => []);
  const detail = holders.length > 0 ? holders.join("; ") : "the lock is gone by now";
  return new RejotError("TABLE_LOCKED", { detail, cause });
}
