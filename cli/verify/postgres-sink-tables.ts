import { type PostgresClient, sqlState } from "../../shared/postgres/client.ts";
import { parseConsumers } from "../../sink-connector/applier/consumer-places.ts";
import { isUsable, LETTERS_TABLE } from "../../sink-connector/applier/postgres-tables.ts";
import { countWaiting } from "../../sink-connector/dead-letter/postgres-letter-book.ts";
import type { SinkProgress, StoredPlaces } from "./destination.ts";

/** A consumer schema as a sink keeps account of it. */
export interface ConsumerInSink {
  readonly group: string;
  /** `manifest/consumer-schema`. */
  readonly name: string;
  readonly topic: string;
}

/** A sink's progress as the client's snapshot shows it; none where no sink ever ran. Throws what the server does. */
export async function sinkProgress(
  client: PostgresClient,
  { group, name, topic }: ConsumerInSink,
): Promise<SinkProgress> {
  const exists = await client.query<{ found: string | null }>(
    "SELECT to_regclass('rejot.progress') AS found",
  );
  const stored = new Map<string, StoredPlaces[]>();
  if (exists.rows[0]?.found == null) return { applied: undefined, stored };
  // Through JSON: an earlier version's table has no column consumers.
  const { rows } = await client.query<{
    topic: string;
    partition: string;
    next: string;
    consumers: string | null;
  }>(
    `SELECT topic, partition, next_offset AS next, nullif(to_jsonb(g) -> 'consumers', 'null')::text AS consumers
     FROM rejot.progress g WHERE consumer_group = $1 ORDER BY topic, partition`,
    [group],
  );
  const applied = new Map<number, bigint>();
  for (const row of rows) {
    const [partition, nextOffset] = [Number(row.partition), BigInt(row.next)];
    const places = row.consumers === null ? null : placesOf(row.consumers, nextOffset);
    stored.set(row.topic, [...(stored.get(row.topic) ?? []), { partition, nextOffset, places }]);
    const at = places === null ? nextOffset : places.get(name);
    if (row.topic === topic && at !== undefined) applied.set(partition, at);
  }
  return { applied: applied.size === 0 ? undefined : applied, stored };
}

function placesOf(consumers: string, nextOffset: bigint): Map<string, bigint> {
  return new Map(
    Object.entries(parseConsumers(consumers)).map(([name, at]) => [
      name,
      at === null ? nextOffset : BigInt(at.offset),
    ]),
  );
}

/** Tells how many events of a consumer schema were set aside, in the client's transaction, which goes on in any case. */
export async function lettersNote(
  client: PostgresClient,
  { group, name, topic }: ConsumerInSink,
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
