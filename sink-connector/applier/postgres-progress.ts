import type pg from "pg";
import { integerArrayLiteral, textArrayLiteral } from "../../shared/postgres/text-array.ts";
import type { PartitionBounds, PartitionProgress } from "../ports.ts";

/** Reads the progress of partitions, in their order; makes the rows of those seen for the first time. */
export async function readProgress(
  client: pg.ClientBase,
  group: string,
  partitions: readonly PartitionBounds[],
): Promise<PartitionProgress[]> {
  const values = [
    group,
    textArrayLiteral(partitions.map((p) => p.topic)),
    integerArrayLiteral(partitions.map((p) => p.partition)),
    integerArrayLiteral(partitions.map((p) => p.firstOffset)),
  ];
  await client.query(
    `INSERT INTO rejot.progress (consumer_group, topic, partition, next_offset)
     SELECT $1, t, p, o FROM unnest($2::text[], $3::int[], $4::bigint[]) AS x(t, p, o)
     ON CONFLICT DO NOTHING`,
    values,
  );
  const { rows } = await client.query<{ next_offset: string; position: string | null }>(
    `SELECT g.next_offset, g.position
     FROM unnest($2::text[], $3::int[]) WITH ORDINALITY AS x(t, p, n)
     JOIN rejot.progress g ON g.consumer_group = $1 AND g.topic = x.t AND g.partition = x.p
     ORDER BY x.n`,
    values.slice(0, 3),
  );
  return rows.map((row, i) => {
    const { topic, partition } = partitions[i] as PartitionBounds;
    return { topic, partition, nextOffset: Number(row.next_offset), position: row.position };
  });
}
