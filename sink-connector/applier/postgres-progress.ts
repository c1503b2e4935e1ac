import type pg from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import { sqlState } from "../../shared/postgres/client.ts";
import { integerArrayLiteral, textArrayLiteral } from "../../shared/postgres/text-array.ts";
import type { PartitionBounds, PartitionProgress } from "../ports.ts";

/** Rows are updated with every batch: room in each page lets Postgres update them in place. */
const CREATE_SQL = `CREATE SCHEMA IF NOT EXISTS rejot;
CREATE TABLE IF NOT EXISTS rejot.progress (
  consumer_group text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  next_offset bigint NOT NULL,
  position text,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor = 50);`;

/** Any number: sinks that start at the same moment must not create the table twice. */
const CREATE_LOCK = 7_236_001;

/**
 * Creates `rejot.progress` if it is missing and checks the rights on it.
 * Throws SINK_PROGRESS_DENIED with the SQL that an owner of the database has to run.
 */
export async function ensureProgressTable(client: pg.ClientBase, user: string): Promise<void> {
  if (!(await tableExists(client))) await createTable(client, user);
  const { rows } = await client.query<{ allowed: string }>(
    `SELECT (has_schema_privilege('rejot', 'USAGE') AND has_table_privilege('rejot.progress', 'SELECT')
       AND has_table_privilege('rejot.progress', 'INSERT')
       AND has_table_privilege('rejot.progress', 'UPDATE'))::text AS allowed`,
  );
  if (rows[0]?.allowed !== "true") throw denied(user, "the rights on rejot.progress are missing");
}

async function tableExists(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ found: string }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_tables
       WHERE schemaname = 'rejot' AND tablename = 'progress')::text AS found`,
  );
  return rows[0]?.found === "true";
}

async function createTable(client: pg.ClientBase, user: string): Promise<void> {
  try {
    await client.query(`BEGIN; SELECT pg_advisory_xact_lock(${CREATE_LOCK}); ${CREATE_SQL} COMMIT;`);
  } catch (cause) {
    await client.query("ROLLBACK").catch(() => {});
    if (sqlState(cause) === "42501") throw denied(user, (cause as Error).message, cause);
    throw cause;
  }
}

function denied(user: string, detail: string, cause?: unknown): RejotError {
  const role = `"${user.replaceAll('"', '""')}"`;
  return new RejotError("SINK_PROGRESS_DENIED", {
    detail,
    hint: `Have an owner of the database run:\n${CREATE_SQL}\nGRANT USAGE ON SCHEMA rejot TO ${role};\nGRANT SELECT, INSERT, UPDATE ON rejot.progress TO ${role};`,
    ...(cause === undefined ? {} : { cause }),
  });
}

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
