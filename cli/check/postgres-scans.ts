import type { Client } from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import { type Diagnostic, diagnosticOfError, type Place } from "../../shared/manifest/diagnostic.ts";
import { selectShape } from "../../shared/postgres/sql/select-shape.ts";
import type { SqlTemplate } from "../../shared/postgres/sql/template.ts";
import type { BatchStatement } from "../../source-connector/transformer/plan.ts";
import { type PlanNode, type TableScan, tableScans, verdictOf } from "./table-scans.ts";

/**
 * Warns of tables that a transformation reads whole. The plan is that of a batch of one change: for a thousand, a
 * scan of fifty thousand rows is a good plan, index or not. Of tables without statistics, as CI's are, the size is
 * not known; there sequential scans are made dear, so that one that is left has no index to go by, which is said as
 * info.
 */
export async function checkScans(
  client: Client,
  statement: BatchStatement,
  template: SqlTemplate,
  place: (error: unknown) => Place,
): Promise<Diagnostic[]> {
  const [usual, forced] = await plans(client, statement);
  const scans = new Map([...usual, ...forced].map((scan) => [`${scan.schema}.${scan.table}`, scan]));
  const sizes = await tableRows(client, [...scans.values()]);
  const diagnostics: Diagnostic[] = [];
  for (const [name, scan] of scans) {
    const rows = sizes.get(name);
    const verdict = verdictOf(rows);
    const found = (verdict === "large" ? usual : forced).some(
      (s) => s.schema === scan.schema && s.table === scan.table,
    );
    if (verdict === "small" || !found) continue;
    const size = rows === undefined ? "its size here is not known" : `about ${Math.round(rows)} rows`;
    const tried = scan.filter === undefined ? "" : `, to find those with ${readable(scan.filter, statement)}`;
    const error = new RejotError("TRANSFORMATION_SCANS_TABLE", {
      detail: `${scan.table} (${size})${tried}`,
      sql: placeOfTable(template, scan.table),
    });
    const severity = verdict === "large" ? ("warning" as const) : ("info" as const);
    diagnostics.push({ ...diagnosticOfError(error, place(error)), severity });
  }
  return diagnostics;
}

/** A condition with the names of the changed row's columns in place of those that the batch gives them. */
function readable(condition: string, { parameters }: BatchStatement): string {
  return condition.replaceAll(/\(?_rejot_r\._rejot_c(\d+)\)?/g, (_, i) => `:${parameters[Number(i)]}`);
}

async function plans(
  client: Client,
  { text, parameters }: BatchStatement,
): Promise<[TableScan[], TableScan[]]> {
  const explain = async (): Promise<TableScan[]> => {
    const result = await client.query<{ "QUERY PLAN": string }>(
      `EXPLAIN (FORMAT JSON, VERBOSE) ${text}`,
      parameters.map(() => "{NULL}"),
    );
    const [root] = JSON.parse(result.rows[0]?.["QUERY PLAN"] ?? "[]") as { Plan: PlanNode }[];
    return root === undefined ? [] : tableScans(root.Plan);
  };
  await client.query("BEGIN");
  try {
    const usual = await explain();
    await client.query("SET LOCAL enable_seqscan = off");
    return [usual, await explain()];
  } finally {
    await client.query("ROLLBACK");
  }
}

/** Rows by `schema.table`; nothing for tables that were never analyzed or were empty then. */
async function tableRows(client: Client, scans: readonly TableScan[]): Promise<Map<string, number>> {
  if (scans.length === 0) return new Map();
  const result = await client.query<{ name: string; rows: string }>(
    `SELECT n.nspname || '.' || c.relname AS name, c.reltuples::float8 AS rows
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.reltuples > 0 AND c.relname = ANY ($1::text[])`,
    [scans.map((scan) => scan.table)],
  );
  return new Map(result.rows.map((row) => [row.name, Number(row.rows)]));
}

function placeOfTable(template: SqlTemplate, table: string): RejotError["sql"] {
  const reference = selectShape(template).tables.find((t) => t.name === table);
  return reference === undefined ? undefined : template.placeOf(reference.location);
}
