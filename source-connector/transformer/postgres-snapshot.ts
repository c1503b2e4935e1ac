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
