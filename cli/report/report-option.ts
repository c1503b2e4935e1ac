import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Command, Option } from "commander";
import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import type { CliContext } from "../context.ts";
import { packageVersion } from "../package-files.ts";
import { formatDiagnostics, REPORT_FORMATS, type ReportFormat } from "./report-format.ts";

/** Adds `--format` to a command that checks. */
export function addFormatOption(command: Command): Command {
  return command.addOption(
    new Option("--format <format>", "how findings are reported; all but text go to stdout")
      .choices(REPORT_FORMATS)
      .default("text"),
  );
}

/**
 * Says what a check found: as text beside the result, on stderr; in the other formats as the result itself, on
 * stdout, also when nothing was found. `title` is the command, `checked` the names of what was looked at.
 */
export function reportDiagnostics(
  context: CliContext,
  diagnostics: readonly Diagnostic[],
  format: ReportFormat,
  about: { title: string; checked?: readonly string[] },
): void {
  const options = { root: repositoryRoot(), version: packageVersion(), ...about };
  const text = formatDiagnostics(diagnostics, format, options);
  if (format !== "text") context.print(text);
  else if (text !== "") context.warn(text);
}

/** The folder that CI names files from: the nearest that holds `.git`, else the working directory. */
export function repositoryRoot(): string {
  const start = process.cwd();
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, ".git"))) return folder;
    if (folder === dirname(folder)) return start;
  }
}
