import type { SqlTemplate } from "../../shared/postgres/sql/template.ts";
import { quoteIdentifier } from "../../shared/postgres/table-info.ts";
import type { StatementParameters } from "../../sink-connector/applier/postgres-parameters.ts";
import type { DerivedColumn, DerivedRows } from "./derive/derived-rows.ts";
import { type ParameterUse, renderExpression } from "./derive/inserted-expressions.ts";

/** The SELECT that looks the rows of events up. */
export interface RowStatement {
  /**
   * Takes one text[] for each parameter of the consumer schema's statement, and one of any texts, as long, before them.
   * Gives, for each event in order, its number from 1, its row's identity (null when there is none), then t or f for
   * each compared column. An event has several rows where its key is null and nulls are distinct. `identity` leaves the
   * compared columns out: it reads nothing of an event but what finds its row. `mayBeNull` is of all its events.
   */
  text(what: "columns" | "identity", mayBeNull: boolean): string;
  /** Whether a key column may be null for an event: looking for nulls takes time where a table has many of them. */
  mayBeNull(values: readonly (string | null)[]): boolean;
  /** The compared columns, with the fields that each shows. */
  readonly columns: readonly { readonly column: string; readonly fields: readonly string[] }[];
}

/** What tells a row of a table, partitions included, from all others of a snapshot. */
export const IDENTITY = "_rejot_t.tableoid::text || _rejot_t.ctid::text";

/** A column of the table. */
export interface TableColumn {
  /** With its modifier: what an INSERT casts to. */
  readonly type: string;
  readonly notNull: boolean;
}

/**
 * Writes the SELECT. Values are compared as text, after the cast that an INSERT does: every type has one, and values
 * that are equal and not the same (1.0 and 1.00) are told apart. `columns` are the table's.
 */
export function rowStatement(
  template: SqlTemplate,
  { table, key, compared }: DerivedRows,
  { shape, castTypes }: StatementParameters,
  columns: ReadonlyMap<string, TableColumn>,
  fields: readonly string[],
): RowStatement {
  const byUse = shape.names.length !== template.names.length;
  const indexOf = ({ name, use }: ParameterUse): number => (byUse ? use : shape.names.indexOf(name));
  const value = ({ column, expression }: DerivedColumn): string => {
    const text = renderExpression(expression, (use) => {
      const index = indexOf(use);
      return `(_rejot_p._rejot_c${index}::${castTypes[index]})`;
    });
    return `(${text})::${columns.get(column)?.type}`;
  };
  const own = (column: string): string => `_rejot_t.${quoteIdentifier(column)}`;
  const arrays = ["$1::text[]", ...castTypes.map((_, i) => `$${i + 2}::text[]`)].join(", ");
  const names = ["_rejot_n", ...castTypes.map((_, i) => `_rejot_c${i}`), "_rejot_ord"].join(", ");
  const same = compared.map(
    (column) => `${own(column.column)}::text IS NOT DISTINCT FROM (${value(column)})::text`,
  );
  const nullable = key.filter(({ column }) => columns.get(column)?.notNull !== true);
  // IS NOT DISTINCT FROM would not use the key's index.
  const condition = (column: DerivedColumn, mayBeNull: boolean): string => {
    const [stored, wanted] = [own(column.column), value(column)];
    const equal = `${stored} = ${wanted}`;
    if (!mayBeNull || !nullable.includes(column)) return equal;
    return `(${equal} OR (${stored} IS NULL AND ${wanted} IS NULL))`;
  };
  return {
    text: (what, mayBeNull) => {
      const outputs = ["_rejot_p._rejot_ord", IDENTITY, ...(what === "columns" ? same : [])];
      return (
        `SELECT ${outputs.join(",\n")}\nFROM unnest(${arrays}) WITH ORDINALITY AS _rejot_p(${names})\n` +
        `LEFT JOIN ${quoteIdentifier(table.schema)}.${quoteIdentifier(table.name)} AS _rejot_t ` +
        `ON ${key.map((column) => condition(column, mayBeNull)).join(" AND ")}\nORDER BY _rejot_p._rejot_ord`
      );
    },
    mayBeNull: (values) =>
      nullable.some(({ field, expression: { parts } }) => {
        const uses = parts.filter((part) => typeof part !== "string");
        return field === undefined ? uses.length > 0 : uses.some((use) => values[indexOf(use)] === null);
      }),
    columns: compared.map(({ column, expression }) => ({
      column,
      fields: fieldsOf(expression.parts, template, fields),
    })),
  };
}

function fieldsOf(
  parts: readonly (string | ParameterUse)[],
  template: SqlTemplate,
  fields: readonly string[],
): string[] {
  const names = parts.flatMap((part) => (typeof part === "string" ? [] : [part.name]));
  const named = names.map((name) =>
    template.style === "positional" ? (fields[Number(name) - 1] ?? name) : name,
  );
  return [...new Set(named)];
}
