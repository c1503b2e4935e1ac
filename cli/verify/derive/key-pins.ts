import {
  columnNames,
  outputValue,
  pinnedColumns,
  selectShape,
} from "../../../shared/postgres/sql/select-shape.ts";
import type { Node, SqlTemplate } from "../../../shared/postgres/sql/template.ts";
import type { TableInfo } from "../../../shared/postgres/table-info.ts";
import { columnOfPlaceholder } from "../../../source-connector/transformer/read-mode.ts";

/** How it is told whether an object that no row of the source's tables gives is one too much. */
export type ExtraRule = "sure" | "by key" | "unknown";

/**
 * The rows that are read give every object for certain where one of them is each object's own. Else an object may
 * outlive them where a transformation of another table, or of a delete, publishes it: then the SQL has to be run for
 * its key, if some transformation can be.
 */
export function extraRule(facts: {
  readonly isOneToOne: boolean;
  readonly publishedElsewhere: boolean;
  readonly hasKeyPlan: boolean;
}): ExtraRule {
  if (facts.isOneToOne || !facts.publishedElsewhere) return "sure";
  return facts.hasKeyPlan ? "by key" : "unknown";
}

/**
 * The key field whose value each column takes that a transformation's placeholders stand for: run with them, it gives
 * the object of that key. Undefined unless every placeholder's value is in the key, because the WHERE fixes the column
 * that the key field shows to it.
 */
export function keyPins(
  template: SqlTemplate,
  table: TableInfo,
  keyFields: readonly string[],
): ReadonlyMap<string, string> | undefined {
  const { tables, simple } = selectShape(template);
  if (!simple) return undefined;
  const pinned = new Map<string, string>();
  for (const field of keyFields) {
    const value = outputValue(template, field);
    const parameter = (value?.ParamRef as Node | undefined)?.number as number | undefined;
    if (parameter !== undefined) pinned.set(template.nameOf(parameter), field);
    const names = columnNames(value);
    const [qualifier, column] = [names.at(-2), names.at(-1)];
    for (const reference of tables.filter(({ topLevel }) => topLevel)) {
      if (qualifier !== undefined && qualifier !== (reference.alias ?? reference.name)) continue;
      if (qualifier === undefined && tables.length > 1) continue;
      for (const pin of pinnedColumns(template, reference))
        if (pin.column === column) pinned.set(pin.placeholder, field);
    }
  }
  const pins = new Map<string, string>();
  for (const name of template.names) {
    const [column, field] = [columnOfPlaceholder(name, table), pinned.get(name)];
    if (column === undefined || field === undefined) return undefined;
    pins.set(column, field);
  }
  return pins.size === 0 ? undefined : pins;
}
