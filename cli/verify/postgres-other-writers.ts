import type { ResolvedConsumer } from "../../shared/manifest/workspace.ts";
import type { PostgresClient } from "../../shared/postgres/client.ts";
import { parseTemplate, type SqlTemplate } from "../../shared/postgres/sql/template.ts";
import { deriveUpsert, type WrittenTable } from "./derive/derive-upsert.ts";
import type { DerivedColumn, DerivedRows } from "./derive/derived-rows.ts";
import { filledTables } from "./derive/filled-tables.ts";
import { renderExpression } from "./derive/inserted-expressions.ts";
import { loadStatementFacts, tableOid } from "./postgres-statement-facts.ts";
import type { TableColumn } from "./row-statement.ts";

/** The rows of one consumer schema, and the columns of their table. */
export interface OwnRows {
  readonly rows: DerivedRows;
  readonly columns: ReadonlyMap<string, TableColumn>;
}

/**
 * Why rows of the table may be another consumer schema's, so that none can be called too much; undefined where none
 * of the others puts rows there, or only such as a constant in the key tells from ours. Throws what the server does.
 */
export async function otherWriter(
  client: PostgresClient,
  own: OwnRows,
  others: readonly ResolvedConsumer[],
): Promise<string | undefined> {
  for (const { consumerSchema } of others) {
    const { sql, deleteSql } = consumerSchema.config;
    for (const text of [sql, ...(deleteSql === undefined ? [] : [deleteSql])]) {
      const reason = await sharesTable(client, own, await parseTemplate(text));
      if (reason !== undefined) return `${consumerSchema.name} ${reason}`;
    }
  }
  return undefined;
}

async function sharesTable(
  client: PostgresClient,
  own: OwnRows,
  template: SqlTemplate,
): Promise<string | undefined> {
  const facts = await loadStatementFacts(client, template, { fields: template.names, keyFields: [] });
  const filled = filledTables(template, facts.functions);
  if (filled.tables === null) return filled.reason;
  for (const table of filled.tables) {
    if (!(await isSame(client, table, own.rows))) continue;
    const theirs = await deriveUpsert(template, facts);
    const isOther =
      filled.tables.length === 1 && theirs.kind === "rows" && (await areApart(client, own, theirs));
    if (!isOther) return `writes to ${own.rows.table.name} too`;
  }
  return undefined;
}

/** A name that this session does not know may be ours in a session of another role. */
async function isSame(client: PostgresClient, named: WrittenTable, own: DerivedRows): Promise<boolean> {
  const oid = await tableOid(client, named);
  return oid === undefined ? named.name === own.table.name : oid === own.table.oid;
}

/** Whether both write different constants into a key column. */
async function areApart(client: PostgresClient, own: OwnRows, theirs: DerivedRows): Promise<boolean> {
  for (const column of own.rows.key.filter(isConstant)) {
    const other = theirs.key.find((each) => each.column === column.column);
    if (other === undefined || !isConstant(other)) continue;
    const type = own.columns.get(column.column)?.type;
    const value = ({ expression }: DerivedColumn) =>
      `(${renderExpression(expression, () => "NULL")})::${type}`;
    const { rows } = await client.query<{ apart: string }>(
      `SELECT ${value(column)} IS DISTINCT FROM ${value(other)} AS apart`,
    );
    if (rows[0]?.apart === "t") return true;
  }
  return false;
}

/** Whether a column is the same for all events. */
export function isConstant({ expression }: DerivedColumn): boolean {
  return expression.parts.every((part) => typeof part === "string");
}
