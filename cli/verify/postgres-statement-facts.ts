import type { PostgresClient } from "../../shared/postgres/client.ts";
import type { SqlTemplate } from "../../shared/postgres/sql/template.ts";
import { quoteIdentifier } from "../../shared/postgres/table-info.ts";
import { type WrittenTable, writtenTable } from "./derive/derive-upsert.ts";
import type { StatementFacts, TableFacts } from "./derive/derived-rows.ts";
import { calledNames, type FunctionFacts, type KnownFunctions } from "./derive/pure-expression.ts";
import type { TableColumn } from "./row-statement.ts";

const CALLED_SQL = `
  SELECT p.provolatile, n.nspname = 'pg_catalog' AS built_in, p.proretset OR p.prokind <> 'f' AS special
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
   WHERE p.proname = $2 AND CASE WHEN $1::text IS NULL THEN pg_function_is_visible(p.oid) ELSE n.nspname = $1 END
  UNION ALL
  SELECT p.provolatile, n.nspname = 'pg_catalog', p.proretset
    FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace JOIN pg_proc p ON p.oid = o.oprcode
   WHERE o.oprname = $2 AND CASE WHEN $1::text IS NULL THEN pg_operator_is_visible(o.oid) ELSE n.nspname = $1 END`;

const COLUMNS_SQL = `
  SELECT attname AS name FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum`;

const CONSTRAINTS_SQL = `
  SELECT c.conname AS name, c.contype = 'p' AS is_primary,
         (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, n)
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum)::text AS columns
    FROM pg_constraint c WHERE c.conrelid = $1 AND c.contype IN ('p', 'u')`;

const CHANGEABLE = { i: "immutable", s: "stable", v: "volatile" } as const;

/** What the destination's catalogue says of a consumer schema's statement. Throws what the server does. */
export async function loadStatementFacts(
  client: PostgresClient,
  template: SqlTemplate,
  event: Pick<StatementFacts, "fields" | "keyFields">,
): Promise<StatementFacts> {
  const functions = new Map<string, FunctionFacts>();
  for (const name of new Set(calledNames(template.statement))) {
    const facts = await functionFacts(client, name);
    if (facts !== undefined) functions.set(name, facts);
  }
  return { ...event, table: await tableFacts(client, template), functions: functions as KnownFunctions };
}

/** The oid of a table as a statement names it; undefined where there is no table of that name. */
export async function tableOid(
  client: PostgresClient,
  { schema, name }: WrittenTable,
): Promise<number | undefined> {
  const parts = [schema, name].filter((part) => part !== undefined).map(quoteIdentifier);
  const { rows } = await client.query<{ oid: string }>(
    "SELECT oid FROM pg_class WHERE oid = to_regclass($1) AND relkind IN ('r', 'p')",
    [parts.join(".")],
  );
  return rows[0] === undefined ? undefined : Number(rows[0].oid);
}

async function tableFacts(client: PostgresClient, template: SqlTemplate): Promise<TableFacts | undefined> {
  const written = writtenTable(template);
  const oid = written === undefined ? undefined : await tableOid(client, written);
  if (oid === undefined) return undefined;
  const named = await client.query<{ schema: string; name: string }>(
    "SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
    [oid],
  );
  const columns = await client.query<{ name: string }>(COLUMNS_SQL, [oid]);
  const constraints = await client.query<{ name: string; is_primary: string; columns: string }>(
    CONSTRAINTS_SQL,
    [oid],
  );
  const keys = constraints.rows.map((row) => ({ ...row, columns: JSON.parse(row.columns) as string[] }));
  return {
    oid,
    schema: named.rows[0]?.schema ?? "",
    name: named.rows[0]?.name ?? "",
    columns: columns.rows.map(({ name }) => name),
    primaryKey: keys.find(({ is_primary: isPrimary }) => isPrimary === "t")?.columns ?? [],
    constraints: new Map(keys.map(({ name, columns: of }) => [name, of])),
  };
}

/** The columns of a table by name. */
export async function tableColumns(
  client: PostgresClient,
  oid: number,
): Promise<ReadonlyMap<string, TableColumn>> {
  const { rows } = await client.query<{ name: string; type: string; not_null: string }>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS not_null
       FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped`,
    [oid],
  );
  return new Map(rows.map(({ name, type, not_null }) => [name, { type, notNull: not_null === "t" }]));
}

async function functionFacts(client: PostgresClient, name: string): Promise<FunctionFacts | undefined> {
  const parts = name.split(".");
  const { rows } = await client.query<{ provolatile: string; built_in: string; special: string }>(
    CALLED_SQL,
    [parts.length > 1 ? parts.at(-2) : null, parts.at(-1)],
  );
  if (rows.length === 0) return undefined;
  const most = ["v", "s", "i"].find((kind) => rows.some((row) => row.provolatile === kind)) ?? "v";
  return {
    volatility: CHANGEABLE[most as keyof typeof CHANGEABLE],
    builtIn: rows.every((row) => row.built_in === "t"),
    special: rows.some((row) => row.special === "t"),
  };
}
