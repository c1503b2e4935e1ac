import type { SqlPlace } from "../../errors/error.ts";
import type { Node, SqlTemplate } from "./template.ts";

/** A reference to a table in a FROM clause. */
export interface TableReference {
  readonly schema: string | undefined;
  readonly name: string;
  readonly alias: string | undefined;
  /** Byte offset in the template's `numbered` text. */
  readonly location: number;
  /** Whether it stands in the FROM clause of the statement itself, not in a subquery. */
  readonly topLevel: boolean;
  /** Neither `FROM ONLY t` nor `FROM t AS a(x, y)`. */
  readonly plain: boolean;
}

/** A condition `column = placeholder` that holds for every row the statement returns. */
export interface Pin {
  readonly column: string;
  /** Name of the placeholder, "1" for `$1`. */
  readonly placeholder: string;
}

/** The parts of a SELECT that decide how it can run in batches. */
export interface SelectShape {
  readonly tables: readonly TableReference[];
  /** Names that WITH gives to queries; a table of the same name is hidden by them. */
  readonly withNames: readonly string[];
  /** Every column name that stands in the statement, or undefined where a star or a whole row is used. */
  readonly columnNames: ReadonlySet<string> | undefined;
  /** A plain SELECT: no UNION, no FOR UPDATE, no TABLESAMPLE. */
  readonly simple: boolean;
}

/** Reads the shape of a SELECT out of its parse tree. */
export function selectShape(template: SqlTemplate): SelectShape {
  const select = template.statement;
  const topLevel = new Set<unknown>();
  for (const item of (select.fromClause as Node[] | undefined) ?? []) collectFromItems(item, topLevel);

  const tables: TableReference[] = [];
  const withNames: string[] = [];
  const columnNames = new Set<string>();
  const bareNames = new Set<string>();
  let star = false;
  let natural = false;
  let sampled = false;
  walk(select, (kind, node) => {
    if (kind === "RangeVar") tables.push(tableReference(node, topLevel.has(node)));
    else if (kind === "CommonTableExpr") withNames.push(String(node.ctename));
    else if (kind === "RangeTableSample") sampled = true;
    else if (kind === "JoinExpr") {
      natural ||= node.isNatural === true;
      for (const column of strings(node.usingClause)) columnNames.add(column);
    } else if (kind === "ColumnRef") {
      const fields = node.fields as Node[];
      star ||= fields.some((field) => "A_Star" in field);
      const names = strings(fields);
      columnNames.add(names.at(-1) ?? "");
      if (names.length === 1) bareNames.add(names[0] ?? "");
    }
  });
  const wholeRow = tables.some((table) => bareNames.has(table.alias ?? table.name));
  return {
    tables,
    withNames,
    columnNames: star || natural || wholeRow ? undefined : columnNames,
    simple: template.kind === "SelectStmt" && isPlain(select) && !sampled,
  };
}

/**
 * The columns of `table` that the statement's WHERE fixes to a placeholder (`a.id = :id`, either way round,
 * casts left aside), joined by AND. An unqualified column counts only where the table is the whole FROM clause:
 * elsewhere the parse tree does not say whose it is.
 */
export function pinnedColumns(
  template: SqlTemplate,
  table: { alias: string | undefined; name: string },
): Pin[] {
  const from = (template.statement.fromClause as Node[] | undefined) ?? [];
  const alone = from.length === 1 && "RangeVar" in (from[0] as Node);
  const qualifier = table.alias ?? table.name;
  const pins: Pin[] = [];
  for (const condition of conjuncts(template.statement.whereClause as Node | undefined)) {
    const expression = condition.A_Expr as Node | undefined;
    if (expression === undefined || expression.kind !== "AEXPR_OP" || strings(expression.name)[0] !== "=")
      continue;
    const sides = [expression.lexpr as Node, expression.rexpr as Node];
    for (const [columnSide, valueSide] of [sides, sides.toReversed()] as [Node, Node][]) {
      const column = columnOf(columnSide, qualifier, alone);
      const parameter = parameterOf(valueSide);
      if (column !== undefined && parameter !== undefined) {
        pins.push({ column, placeholder: template.nameOf(parameter) });
      }
    }
  }
  return pins;
}

/**
 * The names of a SELECT's output columns by Postgres's own rules (FigureColname in parse_target.c);
 * undefined for a star, whose columns only the database knows.
 */
export function outputColumns(template: SqlTemplate): (string | undefined)[] {
  return targetsOf(template).map(outputName);
}

/** Where in the team's statement an output column is made; undefined for one that a star brings. */
export function placeOfOutput(template: SqlTemplate, column: string): SqlPlace | undefined {
  const target = targetsOf(template).find((candidate) => outputName(candidate) === column);
  const location = target?.location;
  return typeof location === "number" ? template.placeOf(location) : undefined;
}

function targetsOf(template: SqlTemplate): Node[] {
  if (template.kind !== "SelectStmt") return [];
  let select = template.statement;
  while (select.larg !== undefined) select = select.larg as Node;
  return ((select.targetList as Node[] | undefined) ?? []).map((target) => target.ResTarget as Node);
}

/** The name of an output column; undefined for a star. */
export function outputName(target: Node): string | undefined {
  if (typeof target.name === "string") return target.name;
  const value = target.val as Node;
  const reference = value.ColumnRef as Node | undefined;
  if ((reference?.fields as Node[] | undefined)?.some((field) => "A_Star" in field)) return undefined;
  return figureName(value) ?? "?column?";
}

const FIXED_NAMES: Record<string, string> = {
  A_ArrayExpr: "array",
  CoalesceExpr: "coalesce",
  RowExpr: "row",
  GroupingFunc: "grouping",
  XmlSerialize: "xmlserialize",
};

function figureName(value: Node): string | undefined {
  const [kind, node] = Object.entries(value)[0] as [string, Node];
  switch (kind) {
    case "ColumnRef":
      return strings(node.fields).at(-1);
    case "FuncCall":
      return strings(node.funcname).at(-1);
    case "A_Indirection":
      return strings(node.indirection).at(-1) ?? figureName(node.arg as Node);
    case "TypeCast":
      return figureName(node.arg as Node) ?? strings((node.typeName as Node).names).at(-1);
    case "CollateClause":
      return figureName(node.arg as Node);
    case "CaseExpr":
      return (node.defresult === undefined ? undefined : figureName(node.defresult as Node)) ?? "case";
    case "MinMaxExpr":
      return node.op === "IS_LEAST" ? "least" : "greatest";
    case "SQLValueFunction":
      return String(node.op)
        .replace(/^SVFOP_/, "")
        .replace(/_N$/, "")
        .toLowerCase();
    case "SubLink":
      return subLinkName(node);
    default:
      return FIXED_NAMES[kind];
  }
}

function subLinkName(node: Node): string | undefined {
  if (node.subLinkType === "EXISTS_SUBLINK") return "exists";
  if (node.subLinkType === "ARRAY_SUBLINK") return "array";
  const target = (
    ((node.subselect as Node).SelectStmt as Node | undefined)?.targetList as Node[] | undefined
  )?.[0];
  const inner = target?.ResTarget as Node | undefined;
  if (node.subLinkType !== "EXPR_SUBLINK" || inner === undefined) return undefined;
  return typeof inner.name === "string" ? inner.name : figureName(inner.val as Node);
}

function collectFromItems(item: Node, into: Set<unknown>): void {
  if (item.RangeVar !== undefined) into.add(item.RangeVar);
  const join = item.JoinExpr as Node | undefined;
  if (join !== undefined) {
    collectFromItems(join.larg as Node, into);
    collectFromItems(join.rarg as Node, into);
  }
}

function tableReference(node: Node, topLevel: boolean): TableReference {
  const alias = node.alias as Node | undefined;
  return {
    schema: node.schemaname as string | undefined,
    name: String(node.relname),
    alias: alias?.aliasname as string | undefined,
    location: (node.location as number | undefined) ?? 0,
    topLevel,
    plain: node.inh === true && alias?.colnames === undefined,
  };
}

function isPlain(select: Node): boolean {
  return (
    (select.op ?? "SETOP_NONE") === "SETOP_NONE" &&
    select.lockingClause === undefined &&
    select.intoClause === undefined
  );
}

/** The parts of a condition that AND joins. */
export function conjuncts(where: Node | undefined): Node[] {
  if (where === undefined) return [];
  const bool = where.BoolExpr as Node | undefined;
  if (bool?.boolop === "AND_EXPR") return (bool.args as Node[]).flatMap(conjuncts);
  return [where];
}

function columnOf(side: Node, qualifier: string, alone: boolean): string | undefined {
  const reference = side.ColumnRef as Node | undefined;
  if (reference === undefined) return undefined;
  const fields = strings(reference.fields);
  if (fields.length === 1 && alone) return fields[0];
  return fields.length === 2 && fields[0] === qualifier ? fields[1] : undefined;
}

function parameterOf(side: Node): number | undefined {
  const cast = side.TypeCast as Node | undefined;
  if (cast !== undefined) return parameterOf(cast.arg as Node);
  return (side.ParamRef as Node | undefined)?.number as number | undefined;
}

/** The values of a list of String nodes; other nodes in it are passed over. */
export function strings(list: unknown): string[] {
  return ((list as Node[] | undefined) ?? []).flatMap((item) => {
    const value = (item.String as Node | undefined)?.sval;
    return typeof value === "string" ? [value] : [];
  });
}

/** Visits every node of a tree. libpg-query leaves the kind out where the grammar knows it (RangeVar in INTO, larg). */
export function walk(tree: unknown, visit: (kind: string, node: Node) => void): void {
  if (Array.isArray(tree)) {
    for (const item of tree) walk(item, visit);
  } else if (tree !== null && typeof tree === "object") {
    for (const [kind, value] of Object.entries(tree)) {
      if (value !== null && typeof value === "object" && !Array.isArray(value)) visit(kind, value as Node);
      walk(value, visit);
    }
  }
}

/** What an output column is made of, casts left aside; undefined where there is no such column. */
export function outputValue(template: SqlTemplate, name: string): Node | undefined {
  const at = outputColumns(template).indexOf(name);
  const target = ((template.statement.targetList as Node[] | undefined) ?? [])[at];
  let value = (target?.ResTarget as Node | undefined)?.val as Node | undefined;
  while (value?.TypeCast !== undefined) value = (value.TypeCast as Node).arg as Node;
  return value;
}

/** The names of a reference to a column, the column's own last; empty for anything else. */
export function columnNames(value: Node | undefined): readonly (string | undefined)[] {
  const fields = ((value?.ColumnRef as Node | undefined)?.fields as Node[] | undefined) ?? [];
  return fields.map((node) => (node.String as Node | undefined)?.sval as string | undefined);
}
