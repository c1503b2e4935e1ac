import type pg from "pg";
import { integerArrayLiteral, textArrayLiteral } from "../../shared/postgres/text-array.ts";
import {
  consumersOf,
  type PartitionBounds,
  type PartitionProgress,
  type TopicConsumerSchema,
  type TopicPartition,
} from "../ports.ts";
import { consumerPlaces, consumersText, parseConsumers } from "./consumer-places.ts";

const NONE: ReadonlySet<string> = new Set();

/** Reads the progress of partitions, in their order; makes the rows of those seen for the first time. */
export async function readProgress(
  client: pg.ClientBase,
  group: string,
  consumers: readonly TopicConsumerSchema[],
  partitions: readonly PartitionBounds[],
  heldOf: (topic: string) => Pick<ReadonlySet<string>, "has"> = () => NONE,
): Promise<PartitionProgress[]> {
  const inStep = (partition: PartitionBounds): string =>
    consumersText(Object.fromEntries(consumersOf(consumers, partition.topic).map((name) => [name, null])));
  const values = [
    group,
    textArrayLiteral(partitions.map((p) => p.topic)),
    integerArrayLiteral(partitions.map((p) => p.partition)),
    integerArrayLiteral(partitions.map((p) => p.firstOffset)),
    textArrayLiteral(partitions.map(inStep)),
  ];
  await client.query(
    `INSERT INTO rejot.progress (consumer_group, topic, partition, next_offset, consumers)
     SELECT $1, t, p, o, c::jsonb FROM unnest($2::text[], $3::int[], $4::bigint[], $5::text[]) AS x(t, p, o, c)
     ON CONFLICT DO NOTHING`,
    values,
  );
  // Rows of a version that kept no list: all that the manifest has now are taken to be there.
  await client.query(
    `UPDATE rejot.progress g SET consumers = x.c::jsonb FROM unnest($2::text[], $3::int[], $4::text[]) AS x(t, p, c)
     WHERE g.consumer_group = $1 AND g.topic = x.t AND g.partition = x.p AND g.consumers IS NULL`,
    [...values.slice(0, 3), values[4]],
  );
  const { rows } = await client.query<{
    next_offset: string;
    consumers: string | null;
    position: string | null;
  }>(
    `SELECT g.next_offset, g.consumers::text AS consumers, g.position
     FROM unnest($2::text[], $3::int[]) WITH ORDINALITY AS x(t, p, n)
     JOIN rejot.progress g ON g.consumer_group = $1 AND g.topic = x.t AND g.partition = x.p
     ORDER BY x.n`,
    values.slice(0, 3),
  );
  return rows.map(({ next_offset, consumers: text, position }, i) => {
    const bounds = partitions[i] as PartitionBounds;
    const stored = text === null ? null : parseConsumers(text);
    const row = { nextOffset: Number(next_offset), position, consumers: stored, text };
    const names = consumersOf(consumers, bounds.topic);
    const places = consumerPlaces(row, names, bounds.firstOffset, heldOf(bounds.topic));
    const { topic, partition } = bounds;
    return { topic, partition, nextOffset: places.readFrom.offset, places };
  });
}

/**
 * Where a consumer schema goes on; undefined where nothing of the partition was ever applied. With `lock`, which needs a
 * transaction, no sink can apply anything of the partition until the transaction ends.
 */
export async function readPlace(
  client: pg.ClientBase,
  group: string,
  { topic, partition, consumerName }: TopicPartition & { readonly consumerName: string },
  lock: boolean,
): Promise<number | undefined> {
  const { rows } = await client.query<{ at: string }>(
    `SELECT coalesce(${placeOfConsumer("p", "$4::text")}, 0) AS at FROM rejot.progress p
     WHERE consumer_group = $1 AND topic = $2 AND partition = $3 ${lock ? "FOR UPDATE" : ""}`,
    [group, topic, partition, consumerName],
  );
  return rows[0] === undefined ? undefined : Number(rows[0].at);
}

/** Where a consumer schema goes on, as SQL, by a row of rejot.progress; null for one that never read the partition. */
export function placeOfConsumer(row: string, name: string): string {
  return `CASE WHEN ${row}.consumers IS NULL THEN ${row}.next_offset WHEN ${row}.consumers ? ${name}
    THEN coalesce((${row}.consumers -> ${name} ->> 'offset')::bigint, (${row}.consumers ->> ${name})::bigint, ${row}.next_offset) END`;
}
