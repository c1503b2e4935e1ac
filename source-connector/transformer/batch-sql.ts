import type { SqlPlace } from "../../shared/errors/error.ts";
import { selectShape } from "../../shared/postgres/sql/select-shape.ts";
import { nameRange, type SqlTemplate } from "../../shared/postgres/sql/template.ts";
import { quoteIdentifier, type TableInfo } from "../../shared/postgres/table-info.ts";
import { columnOfPlaceholder, type ReadMode } from "./read-mode.ts";

/** A column of the changed row, with its type's name for a cast. */
export interface TypedColumn {
  readonly name: string;
  /** As format_type gives it, for example `character varying`. */
  readonly typeName: string;
}

/** A team's SELECT turned into one that runs for many changed rows at once. */
export interface BatchSql {
  /**
   * Takes one text[] per entry of `columns`; gives a row number (counted from 1) and the SELECT's own columns,
   * ordered by the row number.
   */
  readonly text: string;
  /** The columns of the changed row that are handed over. */
  readonly columns: readonly string[];
  /** The place in the team's SELECT of a character of `text`, counted from one; undefined for what is wrapped around. */
  placeOf(position: number): SqlPlace | undefined;
}

/**
 * Wraps the SELECT in LATERAL over the changed rows. Values travel as text and are cast where they are used,
 * so that every type, arrays of arrays included, takes the same way.
 */
export async function batchSql(
  template: SqlTemplate,
  table: TableInfo,
  available: readonly TypedColumn[],
  mode: ReadMode,
): Promise<BatchSql> {
  const used = new Set(template.names.map((name) => columnOfPlaceholder(name, table)));
  const imageNames = mode.kind === "row-image" ? selectShape(template).columnNames : new Set<string>();
  const inImage = (column: TypedColumn) => imageNames === undefined || imageNames.has(column.name);
  const needed = available.filter(
    (column) => used.has(column.name) || (mode.kind === "row-image" && inImage(column)),
  );
  const columns = needed.length > 0 ? needed : available.slice(0, 1);
  const value = (column: TypedColumn) => `(_rejot_r._rejot_c${columns.indexOf(column)})::${column.typeName}`;
  const byName = new Map(columns.map((column) => [column.name, column]));
  const edits =
    mode.kind === "row-image"
      ? [await imageEdit(template, mode.reference, columns.filter(inImage), value)]
      : [];
  const inner = template.renderMapped((name) => {
    const column = byName.get(columnOfPlaceholder(name, table) ?? "");
    return column === undefined ? "NULL" : `(${value(column)})`;
  }, edits);
  const arrays = columns.map((_, i) => `$${i + 1}::text[]`).join(", ");
  const names = columns.map((_, i) => `_rejot_c${i}`).join(", ");
  const before =
    `SELECT _rejot_r._rejot_ord, _rejot_q.* FROM unnest(${arrays}) WITH ORDINALITY ` +
    `AS _rejot_r(${names}, _rejot_ord) CROSS JOIN LATERAL (\n`;
  return {
    text: `${before}${inner.text}\n) AS _rejot_q ORDER BY 1`,
    columns: columns.map((column) => column.name),
    placeOf: (position) => {
      const inside = position - before.length;
      return inside < 1 || inside > [...inner.text].length ? undefined : inner.placeOf(inside);
    },
  };
}

async function imageEdit(
  template: SqlTemplate,
  reference: { location: number; alias: string | undefined; name: string },
  columns: readonly TypedColumn[],
  value: (column: TypedColumn) => string,
): Promise<{ start: number; end: number; text: string }> {
  const list = columns.map((column) => `${value(column)} AS ${quoteIdentifier(column.name)}`).join(", ");
  const alias = reference.alias === undefined ? ` AS ${quoteIdentifier(reference.name)}` : "";
  return { ...(await nameRange(template, reference.location)), text: `(SELECT ${list})${alias}` };
}
