import type { Client } from "pg";
import { RejotError } from "../errors/error.ts";

/** A column as the catalogue describes it. */
export interface ColumnInfo {
  readonly name: string;
  readonly typeOid: number;
  /** Generated columns are not in the replication stream. */
  readonly generated: boolean;
}

/** A table as the catalogue describes it. */
export interface TableInfo {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** In the order of the table's definition: positional placeholders count these. */
  readonly columns: readonly ColumnInfo[];
  /** d default, n nothing, f full, i index. */
  readonly replicaIdentity: "d" | "n" | "f" | "i";
  /**
   * Columns whose values identify one row: the primary key, or the replica identity's index. Empty without either,
   * and where the primary key is deferrable: Postgres then refuses updates and deletes of a published table.
   */
  readonly identityColumns: readonly string[];
  readonly hasPrimaryKey: boolean;
}

const TABLE_SQL = `
  SELECT c.oid, n.nspname, c.relname, c.relreplident, c.relkind,
    EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AS has_primary_key,
    (SELECT json_agg(json_build_array(a.attname, a.atttypid::int8, a.attgenerated <> '') ORDER BY a.attnum)
       FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    (SELECT json_agg(a.attname ORDER BY k.ord)
       FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, ord), pg_attribute a
      WHERE i.indrelid = c.oid AND a.attrelid = c.oid AND a.attnum = k.attnum AND k.ord <= i.indnkeyatts
        AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'f' THEN i.indisprimary
              ELSE i.indisprimary AND i.indimmediate END) AS identity
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = to_regclass($1)`;

/**
 * Looks a table up as the connection's search_path resolves the name ("table" or "schema.table", unquoted or
 * quoted as in SQL). Throws TABLE_NOT_FOUND.
 */
export async function loadTableInfo(client: Client, table: string): Promise<TableInfo> {
  const result = await client.query<Record<string, string | null>>(TABLE_SQL, [table]);
  const row = result.rows[0];
  if (row === undefined || !["r", "p"].includes(row.relkind ?? "")) {
    throw new RejotError("TABLE_NOT_FOUND", {
      detail: row === undefined ? table : `${table} is not a table`,
    });
  }
  const columns = JSON.parse(row.columns ?? "[]") as [string, number, boolean][];
  return {
    oid: Number(row.oid),
    schema: row.nspname ?? "",
    name: row.relname ?? "",
    columns: columns.map(([name, typeOid, generated]) => ({ name, typeOid, generated })),
    replicaIdentity: row.relreplident as TableInfo["replicaIdentity"],
    identityColumns: JSON.parse(row.identity ?? "[]") as string[],
    hasPrimaryKey: row.has_primary_key === "t",
  };
}

/** Looks a table up that the catalogue speaks of. Throws TABLE_NOT_FOUND. */
export async function loadTableByOid(client: Client, oid: number): Promise<TableInfo> {
  const result = await client.query<{ name: string }>("SELECT $1::oid::regclass::text AS name", [oid]);
  return loadTableInfo(client, result.rows[0]?.name ?? "");
}

/** The names of the columns that the stream tells of a row before its update or delete. */
export function beforeColumns(table: TableInfo): readonly string[] {
  if (table.replicaIdentity === "f") return table.columns.filter((c) => !c.generated).map((c) => c.name);
  return table.replicaIdentity === "n" ? [] : table.identityColumns;
}

/** A name as it is written in SQL. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A qualified name as it is written in SQL. */
export function quoteTable(table: { schema: string; name: string }): string {
  return `${quoteIdentifier(table.schema)}.${quoteIdentifier(table.name)}`;
}
