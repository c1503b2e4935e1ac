import type { Client } from "pg";

/**
 * Of plain inheritance only: to the stream, partitions are their partitioned table. Temporary tables are one session's
 * own business.
 */
const LINKS =
  "pg_inherits JOIN pg_class c ON c.oid = inhrelid AND NOT c.relispartition AND c.relpersistence <> 't'";

/** The tables that inherit from any of the tables: a query over those reads their rows too. */
export function descendantsOf(client: Client, tables: readonly number[]): Promise<number[]> {
  return closure(client, tables, "inhrelid", "inhparent");
}

/** The tables that a table inherits from, in any generation. */
export function ancestorsOf(client: Client, table: number): Promise<number[]> {
  return closure(client, [table], "inhparent", "inhrelid");
}

async function closure(
  client: Client,
  tables: readonly number[],
  to: string,
  from: string,
): Promise<number[]> {
  const result = await client.query<{ oid: string }>(
    `WITH RECURSIVE links AS (SELECT ${from} AS here, ${to} AS there FROM ${LINKS}),
       found AS (SELECT there FROM links WHERE here = ANY ($1::oid[])
         UNION SELECT links.there FROM found JOIN links ON links.here = found.there)
     SELECT there AS oid FROM found`,
    [tables],
  );
  return result.rows.map((row) => Number(row.oid));
}
