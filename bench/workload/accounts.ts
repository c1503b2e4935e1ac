/**
 * The table that is written, published and copied. Rows are about 275 bytes. Text, a number of exact digits and a
 * time, in forms that every participant carries without loss.
 */
export const ACCOUNT_COLUMNS = [
  "id",
  "email",
  "first_name",
  "last_name",
  "balance",
  "created_at",
  "note",
] as const;

/** One account, each value as text; null only in `note`. */
export type Account = Readonly<Record<(typeof ACCOUNT_COLUMNS)[number], string | null>>;

/** DDL of the table, at the source and at every destination. */
export const ACCOUNTS_TABLE = `
  CREATE TABLE accounts (
    id bigint PRIMARY KEY,
    email text NOT NULL,
    first_name text NOT NULL,
    last_name text NOT NULL,
    balance numeric(12, 2) NOT NULL,
    created_at timestamptz NOT NULL,
    note text
  )`;

/**
 * The topics have exact numbers and times as text. Debezium's sink, when it writes by UNNEST, leaves the conversion to
 * the server, which makes it by itself only with these casts.
 */
export const TEXT_CASTS = `
  CREATE CAST (text AS numeric) WITH INOUT AS ASSIGNMENT;
  CREATE CAST (text AS timestamptz) WITH INOUT AS ASSIGNMENT`;

/**
 * The last changes of every workload insert these many rows, which nothing changes any more: when all of them have
 * arrived, so has (partition by partition) everything before. With 64 keys on 6 partitions none is left out but once
 * in 20,000 workloads.
 */
export const MARKER_ROWS = 64;

/** How the changes of a workload are cut into transactions. */
export interface Workload {
  readonly name: "small" | "large";
  readonly title: string;
  readonly minRows: number;
  readonly maxRows: number;
}

export const WORKLOADS: readonly Workload[] = [
  { name: "small", title: "transactions of 1 to 3 rows", minRows: 1, maxRows: 3 },
  { name: "large", title: "transactions of 1,000 rows", minRows: 1_000, maxRows: 1_000 },
];

/**
 * A procedure that commits as it goes: `CALL write_accounts(changes, min_rows, max_rows)` writes exactly that many
 * changes, 60 % inserts, 30 % updates and 10 % deletes of any living row. The same arguments give the same changes.
 */
export const WRITE_PROCEDURE = `
  CREATE PROCEDURE write_accounts(changes int, min_rows int, max_rows int) LANGUAGE plpgsql AS $$
  DECLARE
    alive bigint[] := '{}';
    living int := 0;
    next_id bigint := 0;
    written int := 0;
    rows_left int;
    choice double precision;
    i int;
  BEGIN
    PERFORM setseed(0.42);
    WHILE written < changes - ${MARKER_ROWS} LOOP
      rows_left := least(min_rows + floor(random() * (max_rows - min_rows + 1))::int,
                         changes - ${MARKER_ROWS} - written);
      written := written + rows_left;
      WHILE rows_left > 0 LOOP
        rows_left := rows_left - 1;
        choice := random();
        IF choice < 0.6 OR living = 0 THEN
          next_id := next_id + 1;
          living := living + 1;
          alive[living] := next_id;
          INSERT INTO accounts VALUES (${newRow("next_id")});
        ELSE
          i := 1 + floor(random() * living)::int;
          IF choice < 0.9 THEN
            UPDATE accounts SET balance = round((random() * 1000000)::numeric, 2), note = md5(choice::text) || note
            WHERE id = alive[i];
          ELSE
            DELETE FROM accounts WHERE id = alive[i];
            alive[i] := alive[living];
            living := living - 1;
          END IF;
        END IF;
      END LOOP;
      COMMIT;
    END LOOP;
    FOR i IN 1..${MARKER_ROWS} LOOP
      next_id := next_id + 1;
      INSERT INTO accounts VALUES (${newRow("next_id")});
    END LOOP;
    COMMIT;
  END $$`;

function newRow(id: string): string {
  return [
    id,
    `'account.' || ${id} || '@customers.of.shopjot.example'`,
    `'First' || ${id} % 5000`,
    `'Last' || ${id} % 90000`,
    "round((random() * 1000000)::numeric, 2)",
    `timestamptz '2026-01-01 00:00:00+00' + ${id} * interval '1 second'`,
    `CASE WHEN ${id} % 10 = 0 THEN NULL ELSE repeat(md5(${id}::text), 5) END`,
  ].join(", ");
}

/** Number of rows and a hash of all their values, the same as `contentOf` gives for the same rows. */
export const CONTENT_QUERY = `
  SELECT count(*) AS rows, coalesce(md5(string_agg(md5(line), '' ORDER BY id)), '') AS hash
  FROM (
    SELECT id, concat_ws('|', id, email, first_name, last_name, balance,
                         extract(epoch FROM created_at)::bigint, coalesce(note, '~')) AS line
    FROM accounts
  ) AS lines`;
