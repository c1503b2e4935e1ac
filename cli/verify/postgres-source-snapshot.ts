import { randomUUID } from "node:crypto";
import pg from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import { delay } from "../../shared/lifecycle/backoff.ts";
import type { PostgresConnection } from "../../shared/manifest/schema.ts";
import { clientConfig, endPostgres, type PostgresClient, sqlState } from "../../shared/postgres/client.ts";
import { type Lsn, parseLsn } from "../../shared/postgres/lsn.ts";
import { serverName } from "../../shared/postgres/servers.ts";
import { parseSnapshot } from "../../source-connector/transformer/snapshot.ts";
import { answerError, answerLimits } from "./postgres-answer.ts";

const LOCK_TIMEOUT = "55P03";
const POLL_MS = 5;

export interface SnapshotOptions {
  readonly server: PostgresConnection;
  readonly applicationName: string;
  /** The session that is to read; it must be idle. */
  readonly reading: PostgresClient;
  /** Any other session of the same server. */
  readonly other: PostgresClient;
  /** How long transactions that are writing now may take to end. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Begins a read-only transaction whose snapshot stands at an exact place in the WAL: it shows every transaction whose
 * commit record begins below the LSN given back, and none of the others. The place is the consistent point of a
 * temporary replication slot, which is gone again when this resolves.
 * Throws SLOTS_EXHAUSTED, ROLE_WITHOUT_REPLICATION, VERIFY_*, POSTGRES_*.
 */
export async function beginAtPosition(options: SnapshotOptions): Promise<Lsn> {
  const { server, applicationName, reading, timeoutMs, signal } = options;
  // Creating a slot waits for the transactions that are writing, and knows of no limit on the server but lock_timeout.
  const config = clientConfig(server, { applicationName, ...answerLimits(timeoutMs) });
  const exporting = new pg.Client({ ...config, replication: "database" } as pg.ClientConfig);
  exporting.on("error", () => {});
  const breakOff = () => void endPostgres(exporting);
  signal.addEventListener("abort", breakOff, { once: true });
  try {
    await exporting.connect();
    // The words that all versions since 10 know.
    const created = await exporting.query<{ consistent_point: string; snapshot_name: string }>(
      `CREATE_REPLICATION_SLOT "rejot_verify_${randomUUID().slice(0, 8)}" TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT`,
    );
    const { consistent_point: point = "", snapshot_name: name = "" } = created.rows[0] ?? {};
    // It can be taken over while the connection that exported it is there and idle; from then on it is the reader's.
    await reading.query(
      `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '${name}'`,
    );
    await awaitVisible(options);
    return parseLsn(point);
  } catch (cause) {
    signal.throwIfAborted();
    throw snapshotError(cause, server);
  } finally {
    signal.removeEventListener("abort", breakOff);
    await endPostgres(exporting);
  }
}

/**
 * The snapshot was made from the WAL, which tells of a commit a moment before the server's own tables of transactions
 * do. Until they do, rows would be judged as those of a transaction that was rolled back.
 */
async function awaitVisible({ server, reading, other, timeoutMs, signal }: SnapshotOptions): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  const sql = "SELECT pg_current_snapshot()::text AS snapshot";
  const taken = parseSnapshot((await reading.query<{ snapshot: string }>(sql)).rows[0]?.snapshot ?? "");
  for (;;) {
    const now = parseSnapshot((await other.query<{ snapshot: string }>(sql)).rows[0]?.snapshot ?? "");
    const ending = [...now.inProgress].filter((xid) => xid < taken.xmax && !taken.inProgress.has(xid));
    if (ending.length === 0) return;
    if (performance.now() > deadlineMs)
      throw new RejotError("VERIFY_SNAPSHOT_LATE", { detail: serverName(server) });
    await delay(POLL_MS, signal);
  }
}

function snapshotError(cause: unknown, server: PostgresConnection): unknown {
  if (cause instanceof RejotError) return cause;
  const state = sqlState(cause);
  const detail = cause instanceof Error ? cause.message : String(cause);
  if (state === "53400") return new RejotError("SLOTS_EXHAUSTED", { detail, cause });
  if (state === "42501") return new RejotError("ROLE_WITHOUT_REPLICATION", { detail: server.user, cause });
  if (state === LOCK_TIMEOUT)
    return new RejotError("VERIFY_SNAPSHOT_LATE", { detail: serverName(server), cause });
  return answerError(cause, serverName(server));
}
