import { type Diagnostic, diagnostic, type Place } from "../../shared/manifest/diagnostic.ts";
import type { PublicSchema } from "../../shared/manifest/schema.ts";

/** Compares a transformation's columns with the fields of the output schema. An optional field may be left out. */
export function compareColumns(
  schema: PublicSchema,
  columns: readonly string[],
  place: () => Place,
): Diagnostic[] {
  const { properties, required } = schema.outputSchema as { properties?: object; required?: string[] };
  if (properties === undefined || properties === null) return [];
  const fields = Object.keys(properties);
  const missing = (required ?? []).filter((field) => !columns.includes(field));
  const extra = columns.filter((column) => !fields.includes(column));
  const repeated = columns.filter((column, i) => columns.indexOf(column) < i);
  const found: Diagnostic[] = [];
  if (missing.length > 0) {
    const detail = `${quoted(missing)}; it gives ${quoted(columns) || "no columns"}`;
    found.push(diagnostic("OUTPUT_COLUMN_MISSING", "error", place(), detail));
  }
  if (extra.length > 0) found.push(diagnostic("OUTPUT_COLUMN_EXTRA", "warning", place(), quoted(extra)));
  if (repeated.length > 0)
    found.push(diagnostic("OUTPUT_COLUMN_REPEATED", "error", place(), quoted(repeated)));
  return found;
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}
