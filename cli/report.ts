import type { Diagnostic } from "../shared/manifest/diagnostic.ts";
import { explanation } from "./report/diagnostic-text.ts";

/** The lines of a diagnostic: severity and code, what was found, where, what to do. */
export function formatDiagnostic(d: Diagnostic): string {
  const lines = [`at: ${d.location}`, ...explanation(d)].map((line) => `  ${line}`);
  return [`${d.severity} ${d.code}: ${d.message}`, ...lines].join("\n");
}

/** Diagnostics in the order errors, warnings, info. */
export function bySeverity(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const rank = { error: 0, warning: 1, info: 2 };
  return diagnostics.toSorted((a, b) => rank[a.severity] - rank[b.severity]);
}

/** "2 errors, 1 warning", or "no errors". */
export function summarize(diagnostics: readonly Diagnostic[]): string {
  const count = (severity: Diagnostic["severity"]) =>
    diagnostics.filter((d) => d.severity === severity).length;
  const errors = count("error");
  const warnings = count("warning");
  const parts = [errors === 0 ? "no errors" : plural(errors, "error")];
  if (warnings > 0) parts.push(plural(warnings, "warning"));
  return parts.join(", ");
}

/** "1 schema", "2 schemas". */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Rows as columns of equal width, each line indented by two spaces. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows
    .map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ")}`.trimEnd())
    .join("\n");
}
