import { delay } from "../../shared/lifecycle/backoff.ts";
import type { PostgresClient } from "../../shared/postgres/client.ts";
import { contains, parseSnapshot, type Snapshot } from "./snapshot.ts";

const BEGIN =
  "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_current_snapshot()::text AS snapshot";
const LONGEST_WAIT_MS = 50;
const LONGEST_QUIESCE_WAIT_MS = 500;

/**
 * Begins a read-only transaction whose snapshot contains every one of the committed transactions, named by the 32 bits
 * of the wire. Postgres sends a commit to the WAL stream before it takes the transaction off the list of running ones
 * (and with a synchronous standby, long before), so a query run at once can miss the very change it is run for.
 */
export async function beginContaining(
  client: PostgresClient,
  xids: ReadonlySet<number>,
  signal: AbortSignal,
): Promise<void> {
  for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    const results = (await client.query(BEGIN)) as unknown as { rows: { snapshot: string }[] }[];
    const snapshot = parseSnapshot(results[1]?.rows[0]?.snapshot ?? "");
    if ([...xids].every((xid) => contains(snapshot, xid))) return;
    await client.query("ROLLBACK");
    await delay(waitMs, signal);
  }
}

/**
 * Relations that this transaction has locked, which it does before it reads them, and that were made or rewritten after
 * its snapshot. To the snapshot a table that ALTER TABLE has rewritten is empty, and an index of another collation shows
 * that rows are sorted in another way than the snapshot's catalogue says.
 */
const REWRITTEN_SQL = `
  SELECT FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation
   WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'
     AND (c.oid IS NULL OR c.relfilenode <> 0 AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid))
   LIMIT 1`;

/** Whether the transaction's snapshot is from before a table that it has read was rewritten: that is to be read again. */
export async function isOutdated(client: PostgresClient): Promise<boolean> {
  const rewritten = await client.query(REWRITTEN_SQL);
  return rewritten.rowCount !== 0;
}

/** Tells the same, and ends the transaction in the same message. */
export async function endOutdated(client: PostgresClient): Promise<boolean> {
  const [rewritten] = (await client.query(`${REWRITTEN_SQL}; COMMIT`)) as unknown as { rowCount: number }[];
  return rewritten?.rowCount !== 0;
}

/** Resolves when every transaction that was running at the call, and had written, has ended. */
export async function awaitRunning(client: PostgresClient, signal: AbortSignal): Promise<void> {
  const { xmax } = await currentSnapshot(client);
  for (let waitMs = 10; ; waitMs = Math.min(waitMs * 2, LONGEST_QUIESCE_WAIT_MS)) {
    if ((await currentSnapshot(client)).xmin >= xmax) return;
    await delay(waitMs, signal);
  }
}

async function currentSnapshot(client: PostgresClient): Promise<Snapshot> {
  const result = await client.query<{ snapshot: string }>("SELECT pg_current_snapshot()::text AS snapshot");
  return parseSnapshot(result.rows[0]?.snapshot ?? "");
}
