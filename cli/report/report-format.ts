import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import { bySeverity, formatDiagnostic } from "../report.ts";
import { githubReport } from "./github-report.ts";
import { jsonReport } from "./json-report.ts";
import { junitReport } from "./junit-report.ts";
import type { ReportOptions } from "./report-context.ts";
import { sarifReport } from "./sarif-report.ts";

/** The forms that every check command can report in. */
export const REPORT_FORMATS = ["text", "json", "github", "junit", "sarif"] as const;

export type ReportFormat = (typeof REPORT_FORMATS)[number];

/**
 * A check's findings as text for a program or a person, errors first; no line break at the end.
 * All formats say the same: code, severity, message, file and line, place in the SQL, hint. Pure.
 */
export function formatDiagnostics(
  diagnostics: readonly Diagnostic[],
  format: ReportFormat,
  options: ReportOptions,
): string {
  const sorted = bySeverity(diagnostics);
  switch (format) {
    case "text":
      return sorted.map(formatDiagnostic).join("\n");
    case "json":
      return jsonReport(sorted, options);
    case "github":
      return githubReport(sorted, options);
    case "junit":
      return junitReport(sorted, options);
    case "sarif":
      return sarifReport(sorted, options);
  }
}
