import type pg from "pg";
import { integerArrayLiteral, textArrayLiteral } from "../../shared/postgres/text-array.ts";
import type { TopicPartition } from "../ports.ts";

/** What became of an event that was set aside. */
export type LetterState = "waiting" | "replayed" | "superseded" | "discarded";

/** An event that one consumer schema did not apply. */
export interface NotedLetter extends TopicPartition {
  readonly offset: number;
  /** `manifest/consumer-schema`. */
  readonly consumerName: string;
  readonly keyDigest: string;
  readonly letterOffset: number;
  readonly state: LetterState;
  readonly setAsideAt: Date;
  readonly settledAt: Date | undefined;
  /** Why it could not be replayed, the last time that somebody tried. */
  readonly replayError: { readonly code: string; readonly message: string } | undefined;
}

/** An event by its place in Kafka. */
export interface EventPlace extends TopicPartition {
  readonly offset: number;
}

/** Which letters are meant. */
export interface LetterFilter {
  /** Default: all states. */
  readonly states?: readonly LetterState[] | undefined;
  /** `manifest/consumer-schema`; default: all, also those that no manifest has any more. */
  readonly consumerNames?: readonly string[] | undefined;
  readonly setAsideSince?: Date | undefined;
  /** Events; default: all. */
  readonly events?: readonly EventPlace[] | undefined;
}

/** How many letters of a topic wait for a consumer schema. */
export interface LetterCount {
  readonly topic: string;
  readonly consumerName: string;
  readonly waiting: number;
}

const ORDER = "topic, partition, event_offset, consumer_schema";
const TIME = `YYYY-MM-DD"T"HH24:MI:SS.US"Z"`;
const COLUMNS = `topic, partition, event_offset, consumer_schema, key_digest, letter_offset, state, error_code, error,
  to_char(set_aside_at AT TIME ZONE 'UTC', '${TIME}') AS set_aside_at,
  to_char(settled_at AT TIME ZONE 'UTC', '${TIME}') AS settled_at`;

/** Letters that wait, by topic and consumer schema. */
export async function countWaiting(client: pg.ClientBase, group: string): Promise<LetterCount[]> {
  const { rows } = await client.query<Record<string, string>>(
    `SELECT topic, consumer_schema, count(*) AS waiting FROM rejot.dead_letters
     WHERE consumer_group = $1 AND state = 'waiting' GROUP BY 1, 2 ORDER BY 1, 2`,
    [group],
  );
  return rows.map((row) => ({
    topic: row.topic ?? "",
    consumerName: row.consumer_schema ?? "",
    waiting: Number(row.waiting),
  }));
}

/** Letters in the order of their events, those behind `after` where that is given. */
export async function selectLetters(
  client: pg.ClientBase,
  group: string,
  filter: LetterFilter,
  { after, limit }: { readonly after?: NotedLetter | undefined; readonly limit: number },
): Promise<NotedLetter[]> {
  const values: (string | number)[] = [group];
  const value = (given: string | number): string => `$${values.push(given)}`;
  const conditions = [conditionsOf(filter, values)];
  if (after !== undefined) {
    const place = [after.topic, after.partition, after.offset, after.consumerName].map(value);
    conditions.push(
      `(${ORDER}) > (${place[0]}::text, ${place[1]}::int, ${place[2]}::bigint, ${place[3]}::text)`,
    );
  }
  const { rows } = await client.query<Record<string, string | null>>(
    `SELECT ${COLUMNS} FROM rejot.dead_letters WHERE ${conditions.join(" AND ")} ORDER BY ${ORDER}
     LIMIT ${value(limit)}`,
    values,
  );
  return rows.map(noted);
}

/** Which events were set aside and not replayed, and by whom. */
export async function selectUnapplied(
  client: pg.ClientBase,
  group: string,
  { topic, partition }: TopicPartition,
  offsets: readonly number[],
): Promise<Map<number, Set<string>>> {
  const { rows } = await client.query<Record<string, string>>(
    `SELECT event_offset, consumer_schema FROM rejot.dead_letters
     WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND event_offset = ANY ($4::bigint[])
       AND state <> 'replayed'`,
    [group, topic, partition, integerArrayLiteral(offsets)],
  );
  const unapplied = new Map<number, Set<string>>();
  for (const { event_offset, consumer_schema = "" } of rows) {
    const offset = Number(event_offset);
    unapplied.set(offset, (unapplied.get(offset) ?? new Set()).add(consumer_schema));
  }
  return unapplied;
}

/** A letter at one moment. */
export interface LetterNow {
  readonly state: LetterState;
  /** The last letter before this one of the same key and consumer schema that waits. */
  readonly earlierWaiting: number | undefined;
}

/**
 * Looks at a letter. With `lock`, which needs a transaction, nobody can settle it until the transaction ends. Undefined
 * when it was forgotten meanwhile.
 */
export async function lookAt(
  client: pg.ClientBase,
  group: string,
  letter: NotedLetter,
  lock: boolean,
): Promise<LetterNow | undefined> {
  const { rows } = await client.query<{ state: LetterState; earlier: string | null }>(
    `SELECT d.state, (SELECT max(e.event_offset) FROM rejot.dead_letters e
       WHERE e.consumer_group = $1 AND e.topic = $2 AND e.partition = $3 AND e.key_digest = $6 AND $6 <> ''
         AND e.state = 'waiting' AND e.consumer_schema = $5 AND e.event_offset < $4) AS earlier
     FROM rejot.dead_letters d WHERE ${THE_LETTER} ${lock ? "FOR UPDATE OF d" : ""}`,
    [...identity(group, letter), letter.keyDigest],
  );
  const [found] = rows;
  if (found === undefined) return undefined;
  return {
    state: found.state,
    earlierWaiting: found.earlier === null ? undefined : Number(found.earlier),
  };
}

/** Says what became of a letter. */
export async function settle(
  client: pg.ClientBase,
  group: string,
  letter: NotedLetter,
  state: LetterState,
): Promise<void> {
  await client.query(
    `UPDATE rejot.dead_letters SET state = $6, settled_at = now(), error_code = NULL, error = NULL
     WHERE ${THE_LETTER}`,
    [...identity(group, letter), state],
  );
}

/** Keeps the reason for which a letter could not be replayed. */
export async function noteFailure(
  client: pg.ClientBase,
  group: string,
  letter: NotedLetter,
  { code, message }: { readonly code: string; readonly message: string },
): Promise<void> {
  await client.query(
    `UPDATE rejot.dead_letters SET error_code = $6, error = $7 WHERE ${THE_LETTER} AND state = 'waiting'`,
    [...identity(group, letter), code, message],
  );
}

/** Settles letters that are not wanted; gives how many waited. */
export async function discard(client: pg.ClientBase, group: string, filter: LetterFilter): Promise<number> {
  const values: (string | number)[] = [group];
  const conditions = conditionsOf({ ...filter, states: ["waiting"] }, values);
  const { rowCount } = await client.query(
    `UPDATE rejot.dead_letters SET state = 'discarded', settled_at = now() WHERE ${conditions}`,
    values,
  );
  return rowCount ?? 0;
}

/** Pushes what the condition compares with; the first value is the group. */
function conditionsOf(filter: LetterFilter, values: (string | number)[]): string {
  const value = (given: string | number): string => `$${values.push(given)}`;
  const conditions = ["consumer_group = $1"];
  const { states, consumerNames, setAsideSince, events } = filter;
  if (states !== undefined) conditions.push(`state = ANY (${value(textArrayLiteral(states))}::text[])`);
  if (consumerNames !== undefined)
    conditions.push(`consumer_schema = ANY (${value(textArrayLiteral(consumerNames))}::text[])`);
  if (setAsideSince !== undefined)
    conditions.push(`set_aside_at >= ${value(setAsideSince.toISOString())}::timestamptz`);
  if (events !== undefined) {
    const topics = value(textArrayLiteral(events.map((event) => event.topic)));
    const partitions = value(integerArrayLiteral(events.map((event) => event.partition)));
    const offsets = value(integerArrayLiteral(events.map((event) => event.offset)));
    conditions.push(
      `(topic, partition, event_offset) IN
         (SELECT * FROM unnest(${topics}::text[], ${partitions}::int[], ${offsets}::bigint[]))`,
    );
  }
  return conditions.join(" AND ");
}

const THE_LETTER = `consumer_group = $1 AND topic = $2 AND partition = $3 AND event_offset = $4
  AND consumer_schema = $5`;

function identity(group: string, { topic, partition, offset, consumerName }: NotedLetter) {
  return [group, topic, partition, offset, consumerName];
}

function noted(row: Record<string, string | null>): NotedLetter {
  return {
    topic: row.topic ?? "",
    partition: Number(row.partition),
    offset: Number(row.event_offset),
    consumerName: row.consumer_schema ?? "",
    keyDigest: row.key_digest ?? "",
    letterOffset: Number(row.letter_offset),
    state: row.state as LetterState,
    setAsideAt: new Date(row.set_aside_at ?? ""),
    settledAt: row.settled_at == null ? undefined : new Date(row.settled_at),
    replayError: row.error_code == null ? undefined : { code: row.error_code, message: row.error ?? "" },
  };
}
