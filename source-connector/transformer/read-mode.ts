import {
  pinnedColumns,
  type SelectShape,
  selectShape,
  type TableReference,
} from "../../shared/postgres/sql/select-shape.ts";
import type { SqlTemplate } from "../../shared/postgres/sql/template.ts";
import type { TableInfo } from "../../shared/postgres/table-info.ts";

/** Where a transformation finds the changed row: in the WAL, or in the table as it is when the batch runs. */
export type ReadMode =
  | { readonly kind: "row-image"; readonly reference: TableReference }
  | { readonly kind: "table"; readonly reason: string };

/**
 * Decides whether the changed table can be replaced by the row image of the WAL: the statement must read it
 * once, in its own FROM clause, and its WHERE must fix every column of the replica identity to the changed
 * row's own value, so that the image is exactly the row that the table would have given.
 */
export function readModeOf(template: SqlTemplate, table: TableInfo): ReadMode {
  const shape = selectShape(template);
  const references = shape.tables.filter((reference) => refersTo(reference, table));
  const [reference] = references;
  if (reference === undefined) return { kind: "table", reason: doesNotRead(table) };
  if (references.length > 1) return { kind: "table", reason: `it reads ${table.name} more than once` };
  const reason = obstacle(template, shape, reference, table);
  return reason === undefined ? { kind: "row-image", reference } : { kind: "table", reason };
}

/** The reason why the table is read where the SQL reads other tables only, or none. */
export function doesNotRead(table: TableInfo): string {
  return `it does not read ${table.name} itself`;
}

function obstacle(
  template: SqlTemplate,
  shape: SelectShape,
  reference: TableReference,
  table: TableInfo,
): string | undefined {
  if (!shape.simple) return "it is not a plain SELECT";
  if (shape.withNames.includes(table.name)) return `WITH gives the name ${table.name} to something else`;
  if (!reference.topLevel || !reference.plain)
    return `${table.name} does not stand plainly in its FROM clause`;
  if (table.identityColumns.length === 0) return `${table.name} has no primary key or identity index`;
  const pins = pinnedColumns(template, reference);
  const open = table.identityColumns.find(
    (column) =>
      !pins.some((pin) => pin.column === column && columnOfPlaceholder(pin.placeholder, table) === column),
  );
  return open === undefined ? undefined : `its WHERE does not say ${open} = :${open}`;
}

/** The column whose value a placeholder stands for: `:name`, or `$n` counted over the table's definition. */
export function columnOfPlaceholder(placeholder: string, table: TableInfo): string | undefined {
  if (/^\d+$/.test(placeholder)) return table.columns[Number(placeholder) - 1]?.name;
  return table.columns.find((column) => column.name === placeholder)?.name;
}

function refersTo(reference: TableReference, table: TableInfo): boolean {
  return (
    reference.name === table.name && (reference.schema === undefined || reference.schema === table.schema)
  );
}
