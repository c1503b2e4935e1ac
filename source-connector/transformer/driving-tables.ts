import type { Transformation } from "../../shared/manifest/schema.ts";
import { outputColumns, pinnedColumns, selectShape } from "../../shared/postgres/sql/select-shape.ts";
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
 * objects correspond one to one: the WHERE fixes a row, and the key holds a unique key of that same row. An object
 * then has its row in such a table, so the other tables can only give it again. Two tables that each drive (a union of
 * customers and suppliers) both do. Empty when none of several can be shown to.
 */
export function drivingTables(
  candidates: readonly Candidate[],
  keyFields: readonly string[],
): readonly TableInfo[] {
  const [only, other] = candidates;
  if (only !== undefined && other === undefined) return [only.table];
  return candidates.filter((candidate) => isOneToOne(candidate, keyFields)).map(({ table }) => table);
}

/** Whether each object of the transformation has one row of its table for its own. */
export function isOneToOne(
  { table, template, uniqueKeys }: Candidate,
  keyFields: readonly string[],
): boolean {
  const shape = selectShape(template);
  const reference = shape.tables.find(
    ({ topLevel, name, schema }) =>
      topLevel && name === table.name && (schema === undefined || schema === table.schema),
  );
  if (!shape.simple || reference === undefined) return false;
  const pinned = new Set(
    pinnedColumns(template, reference)
      .filter(({ column, placeholder }) => columnOfPlaceholder(placeholder, table) === column)
      .map(({ column }) => column),
  );
  const isFixed = uniqueKeys.some((key) => key.every((column) => pinned.has(column)));
  const keyColumns = new Set(keyFields.map((field) => columnBehind(template, reference, table, field)));
  return isFixed && uniqueKeys.some((key) => key.every((column) => keyColumns.has(column)));
}

/** The column of the table that an output field shows unchanged, a cast left aside. */
function columnBehind(
  template: SqlTemplate,
  reference: { alias: string | undefined; name: string },
  table: TableInfo,
  field: string,
): string | undefined {
  const at = outputColumns(template).indexOf(field);
  const target = ((template.statement.targetList as Node[] | undefined) ?? [])[at];
  let value = (target?.ResTarget as Node | undefined)?.val as Node | undefined;
  while (value?.TypeCast !== undefined) value = (value.TypeCast as Node).arg as Node;
  const parameter = (value?.ParamRef as Node | undefined)?.number as number | undefined;
  if (parameter !== undefined) return columnOfPlaceholder(template.nameOf(parameter), table);
  const fields = ((value?.ColumnRef as Node | undefined)?.fields as Node[] | undefined) ?? [];
  const names = fields.map((node) => (node.String as Node | undefined)?.sval);
  const alone = ((template.statement.fromClause as Node[] | undefined) ?? []).length === 1;
  const isOwn = names.length === 1 ? alone : names.at(-2) === (reference.alias ?? reference.name);
  return isOwn ? (names.at(-1) as string | undefined) : undefined;
}
