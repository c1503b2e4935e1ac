import type pg from "pg";
import { keyDigest } from "../../shared/kafka/key-digest.ts";
import { integerArrayLiteral, textArrayLiteral } from "../../shared/postgres/text-array.ts";
import type { PartitionBounds, SinkEvent, TopicConsumerSchema } from "../ports.ts";
import { placeOfConsumer } from "./postgres-progress.ts";

/** Notes events that were set aside; part of the transaction in which the progress passes them. */
export async function noteSetAside(
  client: pg.ClientBase,
  group: string,
  consumers: readonly { readonly name: string }[],
  events: readonly SinkEvent[],
): Promise<void> {
  const letters = events.flatMap(({ setAside = [], topic, partition, record }) =>
    setAside.map(({ consumer, letterOffset }) => ({ topic, partition, record, consumer, letterOffset })),
  );
  await client.query(
    `INSERT INTO rejot.dead_letters
       (consumer_group, topic, partition, event_offset, consumer_schema, key_digest, letter_offset)
     SELECT $1, t, p, o, c, k, l
     FROM unnest($2::text[], $3::int[], $4::bigint[], $5::text[], $6::text[], $7::bigint[]) AS x(t, p, o, c, k, l)
     ON CONFLICT (consumer_group, topic, partition, event_offset, consumer_schema) DO UPDATE
     SET letter_offset = excluded.letter_offset, key_digest = excluded.key_digest, state = 'waiting',
         set_aside_at = now(), settled_at = NULL, error_code = NULL, error = NULL`,
    [
      group,
      textArrayLiteral(letters.map(({ topic }) => topic)),
      integerArrayLiteral(letters.map(({ partition }) => partition)),
      integerArrayLiteral(letters.map(({ record }) => record.offset)),
      textArrayLiteral(letters.map(({ consumer }) => consumers[consumer]?.name ?? "?")),
      textArrayLiteral(letters.map(({ record }) => keyDigest(record.key))),
      integerArrayLiteral(letters.map(({ letterOffset }) => letterOffset)),
    ],
  );
}

/**
 * Forgets what was noted of events that consumer schemas have not passed: they were set back, so the events are applied,
 * or set aside, anew. Letters of consumer schemas that do not read the topic here are left alone. The partitions' progress is locked meanwhile, for a sink that believes to own them may note letters.
 */
export async function forgetUnpassed(
  client: pg.ClientBase,
  group: string,
  consumers: readonly TopicConsumerSchema[],
  partitions: readonly PartitionBounds[],
): Promise<void> {
  const where = [
    group,
    textArrayLiteral(partitions.map((p) => p.topic)),
    integerArrayLiteral(partitions.map((p) => p.partition)),
  ];
  const values = [
    ...where,
    textArrayLiteral(consumers.map(({ topic }) => topic)),
    textArrayLiteral(consumers.map(({ name }) => name)),
  ];
  const { rows } = await client.query(`SELECT 1 ${UNPASSED} LIMIT 1`, values);
  if (rows.length === 0) return;
  await client.query("BEGIN");
  try {
    await client.query(
      `SELECT 1 FROM rejot.progress g JOIN unnest($2::text[], $3::int[]) AS x(t, p)
         ON g.topic = x.t AND g.partition = x.p WHERE g.consumer_group = $1 FOR UPDATE OF g`,
      where,
    );
    await client.query(
      `DELETE FROM rejot.dead_letters WHERE (consumer_group, topic, partition, event_offset, consumer_schema) IN
         (SELECT d.consumer_group, d.topic, d.partition, d.event_offset, d.consumer_schema ${UNPASSED})`,
      values,
    );
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

const UNPASSED = `FROM unnest($2::text[], $3::int[]) AS x(t, p)
  JOIN rejot.progress g ON g.consumer_group = $1 AND g.topic = x.t AND g.partition = x.p
  JOIN rejot.dead_letters d ON d.consumer_group = $1 AND d.topic = x.t AND d.partition = x.p
    AND (d.topic, d.consumer_schema) IN (SELECT * FROM unnest($4::text[], $5::text[])) AND d.event_offset >= coalesce(${placeOfConsumer("g", "d.consumer_schema")}, 0)`;
