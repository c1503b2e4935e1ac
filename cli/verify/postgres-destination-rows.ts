import type { PostgresClient } from "../../shared/postgres/client.ts";
import { quoteIdentifier } from "../../shared/postgres/table-info.ts";
import type { DerivedRows } from "./derive/derived-rows.ts";
import { renderExpression } from "./derive/inserted-expressions.ts";
import { isConstant } from "./postgres-other-writers.ts";
import type { RowLedger } from "./row-ledger.ts";
import { IDENTITY } from "./row-statement.ts";

const FETCH_ROWS = 10_000;
/** Counted by one statement, each of which has the time limit to itself. */
const COUNT_ROWS = 1_000_000;
const ROWS_ON_A_PAGE = 100;

/**
 * How many rows a table may hold, its partitions included. A table that was never analyzed says nothing of its rows,
 * and the number of its pages does.
 */
export async function expectedRows(client: PostgresClient, oid: number): Promise<number> {
  const { rows } = await client.query<{ n: string }>(
    `SELECT coalesce(sum(greatest(c.reltuples, $2 * (pg_relation_size(c.oid) / current_setting('block_size')::int))), 0)::bigint AS n
       FROM pg_partition_tree($1) t JOIN pg_class c ON c.oid = t.relid WHERE t.isleaf`,
    [oid, ROWS_ON_A_PAGE],
  );
  return Number(rows[0]?.n);
}

/** Tells the ledger all rows of the consumer schema, unless as many are there as it has noted. */
export async function presentRows(
  client: PostgresClient,
  rows: DerivedRows,
  ledger: RowLedger,
  signal: AbortSignal,
): Promise<void> {
  const { table, key } = rows;
  const name = `${quoteIdentifier(table.schema)}.${quoteIdentifier(table.name)}`;
  const from = `FROM ${name} AS _rejot_t${whereConstant(rows)}`;
  await client.query(`DECLARE _rejot_count NO SCROLL CURSOR FOR SELECT ${from}`);
  let count = 0;
  for (let moved = COUNT_ROWS; moved === COUNT_ROWS; count += moved) {
    signal.throwIfAborted();
    moved = (await client.query(`MOVE FORWARD ${COUNT_ROWS} FROM _rejot_count`)).rowCount ?? 0;
  }
  await client.query("CLOSE _rejot_count");
  if (count === ledger.noted) return;
  const columns = key.map(({ column }) => `_rejot_t.${quoteIdentifier(column)}`).join(", ");
  const shown = `(SELECT row_to_json(_rejot_k) FROM (SELECT ${columns}) AS _rejot_k)::text`;
  await client.query(`DECLARE _rejot_rows NO SCROLL CURSOR FOR SELECT ${IDENTITY}, ${shown} ${from}`);
  for (let more = true; more; ) {
    signal.throwIfAborted();
    const page = await client.query<[string, string]>({
      text: `FETCH ${FETCH_ROWS} FROM _rejot_rows`,
      rowMode: "array",
    });
    for (const [identity, known] of page.rows) ledger.present(identity, known);
    more = page.rows.length > 0;
  }
}

/** Key columns that are the same for all events tell the rows of this consumer schema from those of others. */
function whereConstant({ key }: DerivedRows): string {
  const conditions = key
    .filter(isConstant)
    .map(
      ({ column, expression }) =>
        `_rejot_t.${quoteIdentifier(column)} = (${renderExpression(expression, () => "NULL")})`,
    );
  return conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
}
