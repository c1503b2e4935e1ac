import { delay } from "../shared/lifecycle/backoff.ts";
import type { PostgresConnection } from "../shared/manifest/schema.ts";
import { connectPostgres, endPostgres } from "../shared/postgres/client.ts";
import { isUsable, LETTERS_TABLE } from "./applier/postgres-tables.ts";
import { countWaiting, type LetterCount } from "./dead-letter/postgres-letter-book.ts";

const ANSWER_MS = 10_000;

/** What the dead letters of a destination are counted with. */
export interface LetterWatch {
  readonly connection: PostgresConnection;
  readonly group: string;
  readonly everyMs: number;
  readonly signal: AbortSignal;
  readonly onCounts: (counts: readonly LetterCount[]) => void;
}

/**
 * Counts the letters that wait until the signal is aborted, by a connection of its own each time: others replay and
 * discard them. Never throws; a destination that does not answer keeps the last counts.
 */
export async function watchWaitingLetters({
  connection,
  group,
  everyMs,
  signal,
  onCounts,
}: LetterWatch): Promise<void> {
  while (!signal.aborted) {
    const counts = await count(connection, group).catch(() => undefined);
    if (signal.aborted) return;
    if (counts !== undefined) onCounts(counts);
    await delay(everyMs, signal).catch(() => {});
  }
}

async function count(connection: PostgresConnection, group: string): Promise<LetterCount[]> {
  const client = await connectPostgres(connection, {
    applicationName: group,
    queryTimeoutMs: ANSWER_MS,
  });
  try {
    return (await isUsable(client, LETTERS_TABLE)) ? await countWaiting(client, group) : [];
  } finally {
    await endPostgres(client);
  }
}
