import type { Client } from "pg";
import { maybe, NEVER, type NullFacts, UNKNOWN } from "../../shared/postgres/sql/nullness/nullness.ts";
import { selectShape } from "../../shared/postgres/sql/select-shape.ts";
import type { Node, SqlTemplate } from "../../shared/postgres/sql/template.ts";
import { quoteIdentifier, quoteTable, type TableInfo } from "../../shared/postgres/table-info.ts";
import { columnOfPlaceholder } from "../../source-connector/transformer/read-mode.ts";

// A domain may forbid null where its column does not. A view's columns say nothing of theirs.
const COLUMNS = `
  SELECT n.name, json_object_agg(a.attname, a.attnotnull OR t.typnotnull) AS columns
    FROM unnest($1::text[]) AS n(name)
    JOIN pg_class c ON c.oid = to_regclass(n.name) AND c.relkind IN ('r', 'p')
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
   GROUP BY n.name`;

const FUNCTIONS = `
  SELECT proname AS name, bool_and(proisstrict) AS strict, bool_and(prokind = 'a') AS aggregate
    FROM pg_proc WHERE proname = ANY ($1::text[])
   GROUP BY proname HAVING bool_and(proisstrict) = bool_or(proisstrict) AND bool_and(prokind = 'a') = bool_or(prokind = 'a')`;

/** Asks the catalogue what it knows of the tables and functions of a transformation over `table`. */
export async function loadNullFacts(
  client: Client,
  template: SqlTemplate,
  table: TableInfo,
): Promise<NullFacts> {
  const tables = selectShape(template).tables.map(({ schema, name }) => spelt(schema, name));
  const changed = quoteTable(table);
  const columns = await client.query<{ name: string; columns: string }>(COLUMNS, [
    [...new Set([...tables, changed])],
  ]);
  const byTable = new Map(
    columns.rows.map((row) => [
      row.name,
      new Map(
        Object.entries(JSON.parse(row.columns) as Record<string, boolean>).map(
          ([column, notNull]) => [column, notNull ? "not null" : "nullable"] as const,
        ),
      ),
    ]),
  );
  const functions = await client.query<{ name: string; strict: string; aggregate: string }>(FUNCTIONS, [
    [...new Set(functionNames(template.statement))],
  ]);
  const byFunction = new Map(
    functions.rows.map((f) => [f.name, { strict: f.strict === "t", aggregate: f.aggregate === "t" }]),
  );
  return {
    table: (schema, name) => byTable.get(spelt(schema, name)),
    function: (name) => byFunction.get(name),
    placeholder: (name) => {
      const column = columnOfPlaceholder(name, table) ?? "";
      const is = byTable.get(changed)?.get(column);
      if (is === undefined) return UNKNOWN;
      return is === "not null" ? NEVER : maybe(`${table.name}.${column} has no NOT NULL`);
    },
  };
}

function spelt(schema: string | undefined, name: string): string {
  return schema === undefined ? quoteIdentifier(name) : quoteTable({ schema, name });
}

function functionNames(tree: unknown): string[] {
  if (tree === null || typeof tree !== "object") return [];
  return Object.entries(tree).flatMap(([kind, value]) => {
    const names = kind === "FuncCall" ? ((value as Node).funcname as Node[]) : [];
    const name = (names.at(-1)?.String as Node | undefined)?.sval;
    return [...(typeof name === "string" ? [name] : []), ...functionNames(value)];
  });
}
