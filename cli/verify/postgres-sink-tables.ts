import { type PostgresClient, sqlState } from "../../shared/postgres/client.ts";
import { isUsable, LETTERS_TABLE } from "../../sink-connector/applier/postgres-tables.ts";
import { countWaiting } from "../../sink-connector/dead-letter/postgres-letter-book.ts";
import type { SinkProgress } from "./destination.ts";

/** A sink's progress as the client's snapshot shows it; none where no sink ever ran. Throws what the server does. */
export async function sinkProgress(client: PostgresClient, group: string): Promise<SinkProgress> {
  const exists = await client.query<{ found: string | null }>(
    "SELECT to_regclass('rejot.progress') AS found",
  );
  const progress = new Map<string, Map<number, bigint>>();
  if (exists.rows[0]?.found == null) return progress;
  const { rows } = await client.query<{ topic: string; partition: string; next_offset: string }>(
    "SELECT topic, partition, next_offset FROM rejot.progress WHERE consumer_group = $1 ORDER BY topic, partition",
    [group],
  );
  for (const { topic, partition, next_offset: next } of rows) {
    const applied = progress.get(topic) ?? new Map<number, bigint>();
    progress.set(topic, applied.set(Number(partition), BigInt(next)));
  }
  return progress;
}

/** Tells how many events of a consumer schema were set aside, in the client's transaction, which goes on in any case. */
export async function lettersNote(
  client: PostgresClient,
  { group, name, topic }: { readonly group: string; readonly name: string; readonly topic: string },
): Promise<string[]> {
  await client.query("SAVEPOINT _rejot_letters");
  try {
    const counts = (await isUsable(client, LETTERS_TABLE)) ? await countWaiting(client, group) : [];
    await client.query("RELEASE _rejot_letters");
    const waiting = counts
      .filter((each) => each.consumerName === name && each.topic === topic)
      .reduce((sum, each) => sum + each.waiting, 0);
    if (waiting === 0) return [];
    return [`${waiting} of its events were set aside (rejot-kafka dead-letters list): their rows are older`];
  } catch (error) {
    if (sqlState(error) === undefined) throw error;
    await client.query("ROLLBACK TO _rejot_letters");
    return [`whether events were set aside is not known: ${(error as Error).message}`];
  }
}
