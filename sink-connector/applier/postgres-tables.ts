import type pg from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import { sqlState } from "../../shared/postgres/client.ts";

/** A table of ours at a destination. */
export interface SinkTable {
  /** In the schema rejot. */
  readonly name: string;
  readonly createSql: string;
  /** What a table that an earlier version made lacks. */
  readonly added?: { readonly column: string; readonly sql: string };
  readonly privileges: readonly string[];
}

const CREATE_SCHEMA = "CREATE SCHEMA IF NOT EXISTS rejot;";

/** How far each partition is, and who is not: see `PlacesRow`. Updated with every batch: room in each page lets Postgres update rows in place. */
export const PROGRESS_TABLE: SinkTable = {
  name: "progress",
  added: {
    column: "consumers",
    sql: "ALTER TABLE rejot.progress ADD COLUMN IF NOT EXISTS consumers jsonb;",
  },
  privileges: ["SELECT", "INSERT", "UPDATE"],
  createSql: `CREATE TABLE IF NOT EXISTS rejot.progress (
  consumer_group text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  next_offset bigint NOT NULL,
  consumers jsonb,
  position text,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor = 50);`,
};

/**
 * Which events the progress has passed without their being applied, and what became of them: waiting, replayed,
 * superseded or discarded. The events themselves are in Kafka.
 */
export const LETTERS_TABLE: SinkTable = {
  name: "dead_letters",
  privileges: ["SELECT", "INSERT", "UPDATE", "DELETE"],
  createSql: `CREATE TABLE IF NOT EXISTS rejot.dead_letters (
  consumer_group text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  event_offset bigint NOT NULL,
  consumer_schema text NOT NULL,
  key_digest text NOT NULL,
  letter_offset bigint NOT NULL,
  state text NOT NULL DEFAULT 'waiting',
  set_aside_at timestamptz NOT NULL DEFAULT now(),
  settled_at timestamptz,
  error_code text,
  error text,
  PRIMARY KEY (consumer_group, topic, partition, event_offset, consumer_schema)
);
CREATE INDEX IF NOT EXISTS dead_letters_waiting ON rejot.dead_letters
  (consumer_group, topic, partition, key_digest) WHERE state = 'waiting';`,
};

/** Any number: sinks that start at the same moment must not create a table twice. */
const CREATE_LOCK = 7_236_001;

/**
 * Creates a table if it is missing and checks the rights on it.
 * Throws SINK_PROGRESS_DENIED with the SQL that an owner of the database has to run.
 */
export async function ensureTable(client: pg.ClientBase, user: string, table: SinkTable): Promise<void> {
  if (!(await tableExists(client, table))) await change(client, user, table, table.createSql);
  const { added } = table;
  if (added !== undefined && !(await hasColumn(client, table, added.column)))
    await change(client, user, table, added.sql);
  if (!(await mayUse(client, table)))
    throw denied(user, table, `the rights on rejot.${table.name} are missing`);
}

/** Whether the table is there and may be used. */
export async function isUsable(client: pg.ClientBase, table: SinkTable): Promise<boolean> {
  return (await tableExists(client, table)) && (await mayUse(client, table));
}

async function mayUse(client: pg.ClientBase, { name, privileges }: SinkTable): Promise<boolean> {
  const rights = privileges.map((right) => `has_table_privilege('rejot.${name}', '${right}')`);
  const { rows } = await client.query<{ allowed: string }>(
    `SELECT (${["has_schema_privilege('rejot', 'USAGE')", ...rights].join(" AND ")})::text AS allowed`,
  );
  return rows[0]?.allowed === "true";
}

async function tableExists(client: pg.ClientBase, { name }: SinkTable): Promise<boolean> {
  const { rows } = await client.query<{ found: string }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_tables
       WHERE schemaname = 'rejot' AND tablename = '${name}')::text AS found`,
  );
  return rows[0]?.found === "true";
}

async function hasColumn(client: pg.ClientBase, { name }: SinkTable, column: string): Promise<boolean> {
  const { rows } = await client.query<{ found: string }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute
       WHERE attrelid = 'rejot.${name}'::regclass AND attname = '${column}' AND NOT attisdropped)::text AS found`,
  );
  return rows[0]?.found === "true";
}

async function change(client: pg.ClientBase, user: string, table: SinkTable, sql: string): Promise<void> {
  try {
    await client.query(
      `BEGIN; SELECT pg_advisory_xact_lock(${CREATE_LOCK}); ${CREATE_SCHEMA} ${sql} COMMIT;`,
    );
  } catch (cause) {
    await client.query("ROLLBACK").catch(() => {});
    if (sqlState(cause) === "42501") throw denied(user, table, (cause as Error).message, cause);
    throw cause;
  }
}

function denied(user: string, table: SinkTable, detail: string, cause?: unknown): RejotError {
  const role = `"${user.replaceAll('"', '""')}"`;
  return new RejotError("SINK_PROGRESS_DENIED", {
    detail,
    hint: `Have an owner of the database run:\n${CREATE_SCHEMA}\n${table.createSql}\n${table.added === undefined ? "" : `${table.added.sql}\n`}GRANT USAGE ON SCHEMA rejot TO ${role};\nGRANT ${table.privileges.join(", ")} ON rejot.${table.name} TO ${role};`,
    ...(cause === undefined ? {} : { cause }),
  });
}
