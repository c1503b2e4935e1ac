import type { Node, SqlTemplate } from "../../../shared/postgres/sql/template.ts";
import { namedTable, type WrittenTable } from "./derive-upsert.ts";
import { calledNames, type KnownFunctions } from "./pure-expression.ts";
import { eachNode } from "./tree.ts";

const UNDERSTOOD = new Set(["SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"]);
const FILLING = new Set(["InsertStmt", "MergeStmt"]);

/** The tables that a statement may put rows into, WITH included; or why that is not to be told. */
export function filledTables(
  template: SqlTemplate,
  functions: KnownFunctions,
): { readonly tables: readonly WrittenTable[] } | { readonly tables: null; readonly reason: string } {
  const { kind, statement } = template;
  if (!UNDERSTOOD.has(kind)) return { tables: null, reason: `is a ${kind.replace(/Stmt$/, "")}` };
  const writing = calledNames(statement).find((name) => mayWrite(name, functions));
  if (writing !== undefined) return { tables: null, reason: `calls ${writing}, which may write anywhere` };
  const tables: WrittenTable[] = [];
  const visit = (each: string, node: Node): void => {
    if (FILLING.has(each)) tables.push(namedTable(node.relation as Node));
  };
  visit(kind, statement);
  eachNode(statement, visit);
  return { tables };
}

/** Postgres's own functions write no rows; others may where they are not said to be immutable or stable. */
function mayWrite(name: string, functions: KnownFunctions): boolean {
  const facts = functions.get(name);
  return facts !== undefined && !facts.builtIn && facts.volatility === "volatile";
}
