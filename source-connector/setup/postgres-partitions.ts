import type { Client } from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import { sqlState } from "../../shared/postgres/client.ts";
import { loadTableByOid, quoteTable, type TableInfo } from "../../shared/postgres/table-info.ts";

/** The partitions below tables, in any generation. The link that was made last says since when they are in the stream. */
const PARTITIONS_SQL = `
  WITH RECURSIVE tree AS (
    SELECT i.inhrelid AS oid, i.inhparent AS root, i.xmin AS link, i.cmin::text AS command
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition WHERE i.inhparent = ANY ($1::oid[])
    UNION ALL
    SELECT i.inhrelid, tree.root, CASE WHEN age(i.xmin) < age(tree.link) THEN i.xmin ELSE tree.link END,
           CASE WHEN age(i.xmin) < age(tree.link) THEN i.cmin::text ELSE tree.command END
      FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid)
  SELECT tree.oid, root, link, command,
         EXISTS (SELECT FROM pg_attribute a WHERE attrelid = tree.oid AND attname = 'tableoid' AND a.xmin = link) AS made
    FROM tree JOIN pg_class c ON c.oid = tree.oid AND c.relkind = 'r'`;

/** How long a look into a partition may take. */
const LOOK_MS = 2_000;
const INSUFFICIENT_PRIVILEGE = "42501";
const QUERY_CANCELED = "57014";

interface Partition {
  readonly oid: number;
  readonly root: number;
  /** The transaction that attached it, and its command there. */
  readonly link: string;
  readonly command: string;
  /** Whether the same transaction made it ("t"): nobody else can have written to it before. */
  readonly made: string;
}

/**
 * The partitions of published tables. One that is attached with rows in it tells the stream nothing of them; one that is
 * made as a partition, or is attached empty, has no rows that the stream did not bring.
 */
export class Partitions {
  readonly #client: Client;
  readonly #roots: ReadonlyMap<number, TableInfo>;
  #known: ReadonlySet<number>;

  private constructor(client: Client, tables: readonly TableInfo[], known: ReadonlySet<number>) {
    this.#client = client;
    this.#roots = new Map(tables.map((table) => [table.oid, table]));
    this.#known = known;
  }

  /** Those of now are known. */
  static async load(client: Client, tables: readonly TableInfo[]): Promise<Partitions> {
    const present = await partitionsOf(
      client,
      tables.map(({ oid }) => oid),
    );
    return new Partitions(client, tables, new Set(present.map(({ oid }) => oid)));
  }

  /**
   * Looks at those that are new. Throws PARTITION_UNPUBLISHED for one that had rows when it was attached. `onUnknown` gets
   * those whose rows may not be read by this role, or not in time.
   */
  async check(onUnknown: (table: string) => void): Promise<void> {
    const present = await partitionsOf(this.#client, [...this.#roots.keys()]);
    for (const partition of present) {
      if (this.#known.has(partition.oid)) continue;
      const table = quoteTable(await loadTableByOid(this.#client, partition.oid));
      const hadRows = await this.#hadRows(partition);
      const root = this.#roots.get(partition.root);
      if (hadRows === true)
        throw new RejotError("PARTITION_UNPUBLISHED", {
          detail: `${table}${root === undefined ? "" : `, of ${quoteTable(root)}`}`,
        });
      if (hadRows === undefined) onUnknown(table);
    }
    // One that is detached may come back, with rows that were changed meanwhile.
    this.#known = new Set(present.map(({ oid }) => oid));
  }

  /**
   * Whether it has rows from before it was a partition; undefined when that cannot be seen. While it is attached nobody
   * else can write to it, so what is older than the link came before. It is read through its root, by whose rights the
   * role reads it, and within its bounds, so that no other partition is.
   */
  async #hadRows({ oid, root, link, command, made }: Partition): Promise<boolean | undefined> {
    const table = this.#roots.get(root);
    if (table === undefined) return undefined;
    const client = this.#client;
    try {
      const bounds = await client.query<{ bounds: string | null }>(
        "SELECT pg_get_partition_constraintdef($1) AS bounds",
        [oid],
      );
      const isOlder = made === "t" ? "false" : `age(t.xmin) > age('${link}'::xid)`;
      // One message, and so one transaction: others send their own on the same connection.
      const results = (await client.query(
        `SET LOCAL statement_timeout = ${LOOK_MS};
         SELECT FROM ${quoteTable(table)} AS t WHERE tableoid = ${oid} AND (${bounds.rows[0]?.bounds ?? "true"})
            AND (${isOlder} OR t.xmin = '${link}'::xid AND t.cmin::text::bigint < ${command}) LIMIT 1`,
      )) as unknown as { rowCount: number | null }[];
      return results[1]?.rowCount !== 0;
    } catch (error) {
      if (![INSUFFICIENT_PRIVILEGE, QUERY_CANCELED].includes(sqlState(error) ?? "")) throw error;
      return undefined;
    }
  }
}

async function partitionsOf(client: Client, tables: readonly number[]): Promise<Partition[]> {
  const found = await client.query<Record<keyof Partition, string>>(PARTITIONS_SQL, [tables]);
  return found.rows.map(({ oid, root, ...link }) => ({ oid: Number(oid), root: Number(root), ...link }));
}
