import type { Command } from "commander";
import { consumerName } from "../../shared/contracts/consumers/consumer-usage.ts";
import type { Conflict } from "../../shared/contracts/evolution/verdict.ts";
import { checkConsumers } from "../consumers/check-consumers.ts";
import { type Breakage, describeUse } from "../consumers/whom-it-breaks.ts";
import { type CliContext, Exit } from "../context.ts";
import { withExamples } from "../help.ts";
import { findManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { jsonDiagnostics } from "../report/json-report.ts";
import { repositoryRoot } from "../report/report-option.ts";
import { formatDiagnostic, table } from "../report.ts";
import { type AgainstFlags, addAgainstOptions, openAgainst } from "../schema/against-options.ts";
import { type Difference, differencesTo, type Judgement, judgeSchemas } from "../schema/check-schemas.ts";
import { versionName } from "../schema/own-schemas.ts";

/** `schema diff`: what changed since earlier versions, and what follows from it. */
export function addSchemaDiff(parent: Command, context: CliContext): void {
  const command = addJsonOption(addAgainstOptions(parent.command("diff")))
    .description("show what changed since earlier versions, whom it breaks and which version it needs")
    .action(async (flags: AgainstFlags & JsonFlag) => {
      const opened = await openAgainst(await findManifest(flags.manifest), flags, context);
      const { judgements, diagnostics } = await judgeSchemas(opened.schemas, opened.histories);
      const found = [
        ...opened.diagnostics,
        ...diagnostics,
        ...opened.histories.flatMap((h) => h.diagnostics),
      ];
      for (const each of found) context.warn(formatDiagnostic(each));
      const consumers = await checkConsumers({ ...opened, compared: judgements, env: context.env });
      const entries: SchemaDifference[] = [];
      for (const judgement of judgements) {
        const differences = await differencesTo(judgement.own, opened.histories);
        const { broken = [] } = consumers.breakages.get(judgement.own) ?? {};
        entries.push({ judgement, differences, broken });
      }
      const report = jsonDiagnostics(found, { root: repositoryRoot() });
      const value = { schemas: entries.map(jsonOf), ...report };
      printResult(
        context,
        flags,
        value,
        entries.length === 0 ? "no public schemas" : entries.map(textOf).join("\n"),
      );
      if (found.some(({ severity }) => severity === "error")) throw new Exit(1);
    });
  withExamples(command, "schema diff", "schema diff --against git:main --against registry");
}

interface SchemaDifference {
  readonly judgement: Judgement;
  readonly differences: readonly Difference[];
  /** Consumer schemas that use what changed. */
  readonly broken: Breakage["broken"];
}

/** The version that the changes need: "2.0", "1.3", or null when the declared one will do. */
function needed({ own, conflicts, minor, nextMajor }: Judgement): string | null {
  if (conflicts.length > 0) return `${nextMajor}.0`;
  return minor === undefined ? null : `${own.resolved.schema.version.major}.${minor.minor}`;
}

function jsonOf({ judgement, differences, broken }: SchemaDifference): object {
  const { own, conflicts } = judgement;
  const { manifestSlug, schema } = own.resolved;
  return {
    manifest: manifestSlug,
    schema: schema.name,
    version: schema.version,
    needs: needed(judgement),
    differences: differences.map(({ since, changes }) => ({ since: since.origin, changes })),
    conflicts: conflicts.map(({ change, origins }) => ({ ...change, against: origins })),
    breaks: broken.map(({ consumer: { usage }, use: { use, message } }) => ({
      manifest: usage.manifestSlug,
      consumerSchema: usage.name,
      group: usage.group,
      statement: use.statement,
      placeholder: use.placeholder,
      field: use.field,
      sql: use.at,
      message,
    })),
  };
}

function textOf({ judgement, differences, broken }: SchemaDifference): string {
  const lines: string[] = [versionName(judgement.own)];
  if (differences.length === 0) lines.push("  new: there is no earlier version of this major");
  for (const { since, changes } of differences) {
    lines.push(changes.length === 0 ? `  no change since ${since.origin}` : `  since ${since.origin}:`);
    if (changes.length === 0) continue;
    const rows = changes.map(({ bump, message }) => [bump === "none" ? "-" : bump, message]);
    lines.push(indented(table(rows)));
  }
  const older = judgement.conflicts.filter(({ origins }) => !isShown(origins, differences));
  if (older.length > 0) lines.push("  with older versions:", indented(table(older.map(conflictRow))));
  for (const { consumer, use } of broken) {
    lines.push(`  breaks ${consumerName(consumer.usage)}: ${describeUse(use.use)} (${use.message})`);
  }
  const version = needed(judgement);
  if (version !== null) lines.push(`  needs version ${version}`);
  return lines.join("\n");
}

function isShown(origins: readonly string[], differences: readonly Difference[]): boolean {
  return differences.some(({ since }) => origins.includes(since.origin));
}

function conflictRow({ change, origins }: Conflict): string[] {
  return [change.bump, `${change.message} (against ${origins.join(", ")})`];
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, "  ");
}
