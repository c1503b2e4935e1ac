import type { Client } from "pg";

/** Since 15 a publication may name schemas. */
const PUBLICATION_SQL = `
  SELECT oid, puballtables, pubviaroot, to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL AS "bySchema"
    FROM pg_publication WHERE pubname = $1`;

function publishedSql({ puballtables, pubviaroot, bySchema }: Record<string, string | null>): string {
  const named = [
    puballtables === "t" ? "oid <> 0" : "oid IN (SELECT prrelid FROM pg_publication_rel WHERE prpubid = $1)",
    ...(bySchema === "t"
      ? ["relnamespace IN (SELECT pnnspid FROM pg_publication_namespace WHERE pnpubid = $1)"]
      : []),
  ];
  // Through its root, what is below a published table is published as that one; else only what holds rows is.
  const shown =
    pubviaroot === "t"
      ? "SELECT oid FROM named EXCEPT SELECT oid FROM below"
      : "(SELECT oid FROM named UNION SELECT oid FROM below) INTERSECT SELECT oid FROM pg_class WHERE relkind = 'r'";
  return `
    WITH RECURSIVE
      named AS (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND (${named.join(" OR ")})),
      below AS (
        SELECT c.oid FROM named JOIN pg_inherits ON inhparent = named.oid
          JOIN pg_class c ON c.oid = inhrelid AND c.relispartition
        UNION SELECT c.oid FROM below JOIN pg_inherits ON inhparent = below.oid JOIN pg_class c ON c.oid = inhrelid)
    SELECT oid FROM (${shown}) AS shown WHERE pg_relation_is_publishable(oid)`;
}

/**
 * The tables by whose names a publication brings changes. From the catalogue's own tables: the view
 * pg_publication_tables locks every table that it shows, and would wait for each VACUUM FULL or ALTER TABLE.
 */
export async function publishedOids(client: Client, publication: string): Promise<ReadonlySet<number>> {
  const found = await client.query<Record<string, string | null>>(PUBLICATION_SQL, [publication]);
  const [row] = found.rows;
  if (row === undefined) return new Set();
  const published = await client.query<{ oid: string }>(publishedSql(row), [row.oid]);
  return new Set(published.rows.map(({ oid }) => Number(oid)));
}

/** The first of the tables of which a publication leaves rows out; row filters exist since 15. */
export async function filteredTable(
  client: Client,
  publication: string,
  tables: readonly number[],
): Promise<{ oid: number; filter: string } | undefined> {
  const filtered = await client.query<{ prrelid: string }>(
    `SELECT prrelid FROM pg_publication_rel r JOIN pg_publication p ON p.oid = prpubid
      WHERE pubname = $1 AND prrelid = ANY ($2::oid[]) AND to_jsonb(r) ->> 'prqual' IS NOT NULL LIMIT 1`,
    [publication, tables],
  );
  const [row] = filtered.rows;
  if (row === undefined) return undefined;
  // To write the condition as SQL the server locks its table.
  const condition = await client.query<{ filter: string }>(
    `SELECT pg_get_expr(prqual, prrelid) AS filter FROM pg_publication_rel r JOIN pg_publication p ON p.oid = prpubid
      WHERE pubname = $1 AND prrelid = $2`,
    [publication, row.prrelid],
  );
  return { oid: Number(row.prrelid), filter: condition.rows[0]?.filter ?? "" };
}
