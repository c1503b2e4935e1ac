import type { Transformation } from "../../shared/manifest/schema.ts";
import {
  columnNames,
  conjuncts,
  outputValue,
  pinnedColumns,
  selectShape,
  type TableReference,
} from "../../shared/postgres/sql/select-shape.ts";
import type { Node, SqlTemplate } from "../../shared/postgres/sql/template.ts";
import type { TableInfo } from "../../shared/postgres/table-info.ts";
import { columnOfPlaceholder } from "./read-mode.ts";

/** A table with the transformation that publishes its rows. */
export interface Candidate {
  readonly table: TableInfo;
  readonly template: SqlTemplate;
  /** Sets of columns that tell the table's rows apart. */
  readonly uniqueKeys: readonly (readonly string[])[];
}

/** The transformation that says what a row as it is now means to its public schema: for updates, else for inserts. */
export function publishing(
  transformations: readonly Transformation[],
  isOfTable: (transformation: Transformation) => boolean,
): Transformation | undefined {
  const own = transformations.filter(isOfTable);
  return own.find((t) => t.operation === "update") ?? own.find((t) => t.operation === "insert");
}

/**
 * The tables whose rows, all put through their transformation, make every object of a public schema.
 *
 * Running the transformations of all tables would always be complete, but would make an order again for each of its
 * lines and again for its customer. One table alone needs no thought. Of several, those drive whose rows and the
 * objects correspond one to one: the WHERE fixes a row, and the key holds a unique key of that same row. Two tables
 * that each drive (a union of customers and suppliers) both do. Another table is left out only if its SELECT shows that
 * it gives objects of a driving table's rows: those come from there anyway. Where it does not show, it is read as well,
 * which makes some objects twice and leaves none out. Empty when no table can be shown to drive.
 */
export function drivingTables(
  candidates: readonly Candidate[],
  keyFields: readonly string[],
): readonly TableInfo[] {
  const [only, other] = candidates;
  if (only !== undefined && other === undefined) return [only.table];
  const driving = candidates.filter((candidate) => isOneToOne(candidate, keyFields));
  if (driving.length === 0) return [];
  const isGiven = (candidate: Candidate) => driving.some((by) => givesObjectsOf(by, candidate, keyFields));
  return candidates
    .filter((candidate) => driving.includes(candidate) || !isGiven(candidate))
    .map(({ table }) => table);
}

/** Whether each object of the transformation has one row of its table for its own. */
export function isOneToOne(
  { table, template, uniqueKeys }: Candidate,
  keyFields: readonly string[],
): boolean {
  const reference = referenceTo(table, template);
  if (reference === undefined) return false;
  const pinned = new Set(
    pinnedColumns(template, reference)
      .filter(({ column, placeholder }) => columnOfPlaceholder(placeholder, table) === column)
      .map(({ column }) => column),
  );
  const isFixed = uniqueKeys.some((key) => key.every((column) => pinned.has(column)));
  const own = (placeholder: string) => columnOfPlaceholder(placeholder, table);
  const keyColumns = new Set(keyFields.map((field) => columnBehind(template, reference, own, field)));
  return isFixed && uniqueKeys.some((key) => key.every((column) => keyColumns.has(column)));
}

/**
 * Whether what a table's transformation gives are objects of rows of the driving table: it reads that table, and each
 * part of the key is the column there that it is for the driving table itself, or the same constant.
 */
function givesObjectsOf(driving: Candidate, { template }: Candidate, keyFields: readonly string[]): boolean {
  const { table } = driving;
  const [theirs, ours] = [referenceTo(table, driving.template), referenceTo(table, template)];
  if (theirs === undefined || ours === undefined || !ours.plain) return false;
  const own = (placeholder: string) => columnOfPlaceholder(placeholder, table);
  const pins = pinnedColumns(template, ours);
  const pinned = (placeholder: string) => pins.find((pin) => pin.placeholder === placeholder)?.column;
  // What a missing row of an outer join gives is no object of that table.
  if (mayBeMissing(template, ours.location) && pins.length === 0) return false;
  return keyFields.every((field) => {
    const there = columnBehind(driving.template, theirs, own, field);
    if (there !== undefined)
      return columnBehind(template, ours, pinned, field) === there || isEqualTo(template, ours, there, field);
    const constant = constantBehind(driving.template, field);
    return constant !== undefined && constantBehind(template, field) === constant;
  });
}

/** Where a plain SELECT reads the table in its own FROM clause. */
function referenceTo(table: TableInfo, template: SqlTemplate): TableReference | undefined {
  const shape = selectShape(template);
  if (!shape.simple || shape.withNames.includes(table.name)) return undefined;
  return shape.tables.find(
    ({ topLevel, name, schema }) =>
      topLevel && name === table.name && (schema === undefined || schema === table.schema),
  );
}

/** Whether a table of the FROM clause stands on a side of an outer join that may be missing. */
function mayBeMissing(template: SqlTemplate, location: number): boolean {
  const isIn = (item: Node): boolean => {
    const join = item.JoinExpr as Node | undefined;
    if (join === undefined) return ((item.RangeVar as Node | undefined)?.location ?? -1) === location;
    return isIn(join.larg as Node) || isIn(join.rarg as Node);
  };
  const isMissing = (item: Node): boolean => {
    const join = item.JoinExpr as Node | undefined;
    if (join === undefined) return false;
    const [left, right] = [join.larg as Node, join.rarg as Node];
    const { jointype } = join;
    if (jointype !== "JOIN_INNER" && jointype !== "JOIN_LEFT" && isIn(left)) return true;
    if (jointype !== "JOIN_INNER" && jointype !== "JOIN_RIGHT" && isIn(right)) return true;
    return isMissing(left) || isMissing(right);
  };
  return ((template.statement.fromClause as Node[] | undefined) ?? []).some(isMissing);
}

/** Whether an output field shows another table's column that a join or the WHERE says to be equal to the table's. */
function isEqualTo(template: SqlTemplate, reference: TableReference, column: string, field: string): boolean {
  const shown = qualifiedName(outputValue(template, field));
  const own = JSON.stringify([reference.alias ?? reference.name, column]);
  return (
    shown !== undefined &&
    holding(template).some((condition) => {
      const { kind, name, lexpr, rexpr } = (condition.A_Expr as Node | undefined) ?? {};
      const operator = ((name as Node[] | undefined)?.[0]?.String as Node | undefined)?.sval;
      const sides = [qualifiedName(lexpr as Node | undefined), qualifiedName(rexpr as Node | undefined)];
      return kind === "AEXPR_OP" && operator === "=" && sides.includes(shown) && sides.includes(own);
    })
  );
}

/** The conditions that hold for every row: of the WHERE, and of inner joins that no outer join may leave out. */
function holding(template: SqlTemplate): Node[] {
  const joined = (item: Node): Node[] => {
    const join = item.JoinExpr as Node | undefined;
    if (join === undefined) return [];
    const { jointype, larg, rarg, quals } = join;
    return [
      ...(jointype === "JOIN_INNER" ? conjuncts(quals as Node | undefined) : []),
      ...(jointype === "JOIN_INNER" || jointype === "JOIN_LEFT" ? joined(larg as Node) : []),
      ...(jointype === "JOIN_INNER" || jointype === "JOIN_RIGHT" ? joined(rarg as Node) : []),
    ];
  };
  const from = (template.statement.fromClause as Node[] | undefined) ?? [];
  return [...conjuncts(template.statement.whereClause as Node | undefined), ...from.flatMap(joined)];
}

function qualifiedName(value: Node | undefined): string | undefined {
  const names = columnNames(value);
  return names.length === 2 ? JSON.stringify(names) : undefined;
}

/** The column of the table that an output field shows unchanged, a cast left aside. */
function columnBehind(
  template: SqlTemplate,
  reference: TableReference,
  columnOf: (placeholder: string) => string | undefined,
  field: string,
): string | undefined {
  const value = outputValue(template, field);
  const parameter = (value?.ParamRef as Node | undefined)?.number as number | undefined;
  if (parameter !== undefined) return columnOf(template.nameOf(parameter));
  const names = columnNames(value);
  const alone = ((template.statement.fromClause as Node[] | undefined) ?? []).length === 1;
  const isOwn = names.length === 1 ? alone : names.at(-2) === (reference.alias ?? reference.name);
  return isOwn ? names.at(-1) : undefined;
}

/** The constant that an output field always is, as a text to compare. */
function constantBehind(template: SqlTemplate, field: string): string | undefined {
  const constant = outputValue(template, field)?.A_Const as Node | undefined;
  return constant === undefined ? undefined : JSON.stringify({ ...constant, location: undefined });
}
