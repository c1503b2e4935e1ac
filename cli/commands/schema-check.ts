import type { Command } from "commander";
import { type CliContext, Exit } from "../context.ts";
import { findManifest } from "../manifest-file.ts";
import type { ReportFormat } from "../report/report-format.ts";
import { addFormatOption, reportDiagnostics } from "../report/report-option.ts";
import { plural, summarize } from "../report.ts";
import { type AgainstFlags, addAgainstOptions, openAgainst } from "../schema/against-options.ts";
import { checkSchemas, judgeSchemas } from "../schema/check-schemas.ts";
import { versionName } from "../schema/own-schemas.ts";

/** `schema check`: whether the public schemas may be published after what is known of them. */
export function addSchemaCheck(parent: Command, context: CliContext): void {
  addFormatOption(addAgainstOptions(parent.command("check")))
    .description(
      "check that consumers can go on: compare the public schemas with earlier versions; exit code 1 for errors",
    )
    .option("--json", "the same as --format json")
    .action((flags: AgainstFlags & { format: ReportFormat; json?: boolean }) => check(flags, context));
}

async function check(
  flags: AgainstFlags & { format: ReportFormat; json?: boolean },
  context: CliContext,
): Promise<void> {
  const { schemas, histories, diagnostics } = await openAgainst(
    await findManifest(flags.manifest),
    flags,
    context,
  );
  const judged = await judgeSchemas(schemas, histories);
  const found = [
    ...diagnostics,
    ...judged.diagnostics,
    ...checkSchemas(judged.judgements, schemas, histories),
  ];
  const format = flags.json === true ? "json" : flags.format;
  reportDiagnostics(context, found, format, {
    title: "rejot-kafka schema check",
    checked: schemas.map(versionName),
  });
  const against = histories.map(({ name }) => name).join(", ");
  context.warn(`checked ${plural(schemas.length, "public schema")} against ${against}: ${summarize(found)}`);
  if (found.some(({ severity }) => severity === "error")) throw new Exit(1);
}
