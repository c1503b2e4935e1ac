import type { Command } from "commander";
import { describeError, RejotError } from "../../shared/errors/error.ts";
import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import { displayPath, type LoadedManifest } from "../../shared/manifest/load.ts";
import { checkManifest } from "../check/check-manifest.ts";
import { type MergedManifest, mergeSchemas } from "../collect-merge.ts";
import { type CliContext, Exit } from "../context.ts";
import { addManifestOption, findManifest, manifestText, writeManifest } from "../manifest-file.ts";
import { bySeverity, formatDiagnostic, plural, summarize } from "../report.ts";
import { expandFiles, runSchemaFiles } from "../schema-files.ts";
import { loadSurroundings } from "../workspace-file.ts";

interface CollectFlags {
  manifest?: string;
  check?: boolean;
  database?: string[];
  print?: boolean;
  write?: boolean;
}

/** `collect`: takes the schemas that code defines into the manifest. */
export function addCollect(parent: Command, context: CliContext): void {
  addManifestOption(parent.command("collect <files...>"))
    .description("run schema files (or those in folders and globs) and take their schemas into the manifest")
    .option("--check", "check the schemas; with errors the exit code is 1 and nothing is written")
    .option(
      "--database <url>",
      "with --check: prepare the statements on this database instead of the data stores' own; <data store>=<url> for one of them, repeatable",
      (url: string, earlier: string[] = []) => [...earlier, url],
    )
    .option("--print", "print the collected schemas as JSON")
    .option("--write", "write the schemas into the manifest")
    .action((files: string[], flags: CollectFlags) => collect(files, flags, context));
}

async function collect(args: string[], flags: CollectFlags, context: CliContext): Promise<void> {
  const manifestFile = await findManifest(flags.manifest);
  const { target, others, diagnostics } = await loadSurroundings(manifestFile);
  const collected = await runSchemaFiles(await expandFiles(args));
  // Schemas of a file that failed are missing: whatever else would be said would follow from that.
  if (collected.diagnostics.length > 0) {
    for (const d of collected.diagnostics) context.warn(formatDiagnostic(d));
    throw new Exit(1);
  }
  if (collected.schemas.length === 0) throw new RejotError("NO_SCHEMAS_FOUND", { detail: args.join(", ") });
  const merged = mergeSchemas(target.manifest, target.path, collected);
  const problems = [...diagnostics, ...merged.diagnostics];
  if (flags.check) {
    const checked = { path: target.path, manifest: merged.manifest };
    const options = { env: context.env, databases: flags.database ?? [] };
    problems.push(...(await checkManifest(checked, others, options)));
  }

  if (flags.print) context.print(JSON.stringify(pick(merged), null, 2));
  for (const d of bySeverity(problems)) context.warn(formatDiagnostic(d));
  context.warn(summary(merged, flags.check === true, problems));
  if (problems.some((d) => d.severity === "error")) {
    if (flags.write)
      context.warn(describeError(new RejotError("CHECK_FAILED", { detail: "nothing was written" })));
    throw new Exit(1);
  }
  if (flags.write) await write(merged, target, context);
  else if (!flags.print && !flags.check) context.warn("nothing was written: add --write");
}

function pick({ publicSchemas, consumerSchemas }: MergedManifest): object {
  return { publicSchemas, consumerSchemas };
}

async function write(merged: MergedManifest, target: LoadedManifest, context: CliContext): Promise<void> {
  const file = displayPath(target.path);
  if (manifestText(merged.manifest) === manifestText(target.manifest)) {
    context.warn(`${file} is up to date`);
    return;
  }
  await writeManifest(target.path, merged.manifest);
  context.warn(`wrote ${file}`);
}

function summary(merged: MergedManifest, checked: boolean, problems: readonly Diagnostic[]): string {
  const counts = [
    plural(merged.publicSchemas.length, "public schema"),
    plural(merged.consumerSchemas.length, "consumer schema"),
  ].join(", ");
  const removed = merged.removed.length === 0 ? "" : `; no longer defined: ${merged.removed.join(", ")}`;
  return `collected ${counts}${removed}${checked ? `; checked: ${summarize(problems)}` : ""}`;
}
