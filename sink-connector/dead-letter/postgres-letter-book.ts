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
  readonly state?: LetterState;
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
  const values: (string | number | null)[] = [group];
  const value = (given: string | number): string => `$${values.push(given)}`;
  const conditions = ["consumer_group = $1"];
  const { state, consumerNames, setAsideSince, events } = filter;
  if (state !== undefined) conditions.push(`state = ${value(state)}`);
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
