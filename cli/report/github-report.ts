import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import { explanation, fileFromRoot } from "./diagnostic-text.ts";
import type { ReportOptions } from "./report-context.ts";

const COMMANDS = { error: "error", warning: "warning", info: "notice" } as const;

/**
 * Workflow commands of GitHub Actions, one line a finding, which the runner shows as annotations on the lines of
 * the pull request. Escaped as actions/toolkit does (packages/core/src/command.ts): an unescaped line break would
 * end the command, an unescaped comma or colon the property.
 */
export function githubReport(diagnostics: readonly Diagnostic[], { root }: ReportOptions): string {
  return diagnostics.map((d) => command(d, root)).join("\n");
}

function command(d: Diagnostic, root: string): string {
  const file = d.file === undefined ? undefined : fileFromRoot(d.file, root);
  const properties = Object.entries({
    file: file ?? d.file,
    line: d.line,
    col: d.column,
    title: d.code,
  }).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${escapeProperty(String(value))}`]));
  const message = [d.message, `at: ${d.location}`, ...explanation(d)].join("\n");
  return `::${COMMANDS[d.severity]} ${properties.join(",")}::${escapeData(message)}`;
}

function escapeData(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
