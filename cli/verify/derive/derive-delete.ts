import type { Node, SqlTemplate } from "../../../shared/postgres/sql/template.ts";
import { bareField } from "./derive-upsert.ts";
import type { DerivedColumn, DerivedRows, StatementFacts } from "./derived-rows.ts";
import { namesOf, sameTree } from "./tree.ts";

/**
 * Why a `deleteSql` does not delete exactly the row that the event's key finds; undefined when it does. `facts.table` is
 * the table it names.
 */
export function unlikeRow(
  template: SqlTemplate,
  rows: DerivedRows,
  facts: StatementFacts,
): string | undefined {
  const { kind, statement } = template;
  if (kind !== "DeleteStmt") return `deleteSql is no DELETE but ${kind.replace(/Stmt$/, "").toUpperCase()}`;
  if (statement.withClause !== undefined || statement.usingClause !== undefined)
    return "deleteSql reads other tables";
  if (facts.table?.oid !== rows.table.oid) return "deleteSql deletes from another table than sql writes to";
  const conditions = conjuncts(statement.whereClause as Node | undefined);
  const found = conditions.map((condition) => pinned(condition, template, rows.key, facts.keyFields));
  const pins = new Set(found);
  const isKey = !pins.has(undefined) && rows.key.every((column) => pins.has(column.column));
  return isKey ? undefined : "deleteSql does not delete by the key that sql writes by";
}

function conjuncts(where: Node | undefined): Node[] {
  if (where === undefined) return [];
  const bool = where.BoolExpr as Node | undefined;
  return bool?.boolop === "AND_EXPR" ? (bool.args as Node[]).flatMap(conjuncts) : [where];
}

/** The key column that a condition fixes to what `sql` writes there. */
function pinned(
  condition: Node,
  template: SqlTemplate,
  key: readonly DerivedColumn[],
  keyFields: readonly string[],
): string | undefined {
  const comparison = condition.A_Expr as Node | undefined;
  const isEquality =
    comparison?.kind === "AEXPR_NOT_DISTINCT" ||
    (comparison?.kind === "AEXPR_OP" && namesOf(comparison.name)?.at(-1) === "=");
  if (comparison === undefined || !isEquality) return undefined;
  const sides = [comparison.lexpr as Node, comparison.rexpr as Node];
  for (const [columnSide, value] of [sides, sides.toReversed()] as [Node, Node][]) {
    const name = namesOf((columnSide.ColumnRef as Node | undefined)?.fields)?.at(-1);
    const column = key.find((candidate) => candidate.column === name);
    if (column === undefined) continue;
    const field = bareField(template, value, keyFields);
    const isSame =
      column.field === undefined
        ? isConstant(value) && sameTree(value, column.expression.node)
        : column.field === field;
    if (isSame) return column.column;
  }
  return undefined;
}

function isConstant(value: Node): boolean {
  const cast = value.TypeCast as Node | undefined;
  return cast === undefined ? value.A_Const !== undefined : isConstant(cast.arg as Node);
}
