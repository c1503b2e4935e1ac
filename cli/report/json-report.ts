import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import { fileFromRoot } from "./diagnostic-text.ts";
import type { ReportOptions } from "./report-context.ts";

/** A diagnostic in JSON; keys are left out where nothing is known. */
export interface JsonDiagnostic extends Omit<Diagnostic, "sql"> {
  /** The place in the schema's SQL. */
  readonly sql?: { readonly line: number; readonly column: number; readonly text: string };
}

/** `{diagnostics, summary: {errors, warnings, infos}}`. */
export function jsonReport(diagnostics: readonly Diagnostic[], options: ReportOptions): string {
  return JSON.stringify(jsonDiagnostics(diagnostics, options), null, 2);
}

/** The same as a value, for commands whose JSON says more. */
export function jsonDiagnostics(
  diagnostics: readonly Diagnostic[],
  { root }: Pick<ReportOptions, "root">,
): { diagnostics: JsonDiagnostic[]; summary: { errors: number; warnings: number; infos: number } } {
  const count = (severity: Diagnostic["severity"]) =>
    diagnostics.filter((d) => d.severity === severity).length;
  return {
    diagnostics: diagnostics.map(({ code, severity, message, location, file, line, column, sql, hint }) => ({
      code,
      severity,
      message,
      location,
      ...(file === undefined ? {} : { file: fileFromRoot(file, root) ?? file }),
      ...(line === undefined ? {} : { line }),
      ...(column === undefined ? {} : { column }),
      ...(sql === undefined ? {} : { sql }),
      hint,
    })),
    summary: { errors: count("error"), warnings: count("warning"), infos: count("info") },
  };
}
