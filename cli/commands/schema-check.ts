import type { Command } from "commander";
import { checkConsumers } from "../consumers/check-consumers.ts";
import { type CliContext, Exit } from "../context.ts";
import { withExamples } from "../help.ts";
import { findManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag } from "../output.ts";
import type { ReportFormat } from "../report/report-format.ts";
import { addFormatOption, reportDiagnostics } from "../report/report-option.ts";
import { plural, summarize } from "../report.ts";
import { type AgainstFlags, addAgainstOptions, openAgainst } from "../schema/against-options.ts";
import { checkSchemas, judgeSchemas } from "../schema/check-schemas.ts";
import { versionName } from "../schema/own-schemas.ts";

type CheckFlags = AgainstFlags & JsonFlag & { format: ReportFormat };

/** `schema check`: whether the public schemas may be published after what is known of them. */
export function addSchemaCheck(parent: Command, context: CliContext): void {
  const command = addFormatOption(addJsonOption(addAgainstOptions(parent.command("check"))))
    .description(
      "check that consumers can go on: compare the public schemas with earlier versions; exit code 1 for errors",
    )
    .action((flags: CheckFlags) => check(flags, context));
  withExamples(
    command,
    "schema check",
    "schema check --against git:origin/main --against registry --format github",
  );
}

async function check(flags: CheckFlags, context: CliContext): Promise<void> {
  const opened = await openAgainst(await findManifest(flags.manifest), flags, context);
  const { schemas, histories, diagnostics } = opened;
  const judged = await judgeSchemas(schemas, histories);
  const consumers = await checkConsumers({ ...opened, compared: judged.judgements, env: context.env });
  const found = [
    ...diagnostics,
    ...judged.diagnostics,
    ...checkSchemas(judged.judgements, histories),
    ...consumers.diagnostics,
  ];
  const format = flags.json === true ? "json" : flags.format;
  reportDiagnostics(context, found, format, {
    title: "rejot-kafka schema check",
    checked: schemas.map(versionName),
  });
  const against = histories.map(({ name }) => name).join(", ");
  context.warn(`known consumers: ${consumers.summary}`);
  context.warn(`checked ${plural(schemas.length, "public schema")} against ${against}: ${summarize(found)}`);
  if (found.some(({ severity }) => severity === "error")) throw new Exit(1);
}
