import { existsSync } from "node:fs";
import { sep } from "node:path";
import type { Command } from "commander";
import { describeError, RejotError } from "../../shared/errors/error.ts";
import { ERRORS } from "../../shared/errors/table.ts";
import { type Diagnostic, diagnostic } from "../../shared/manifest/diagnostic.ts";
import { displayPath, type LoadedManifest } from "../../shared/manifest/load.ts";
import { consumerSchemaName, manifestPlace, publicSchemaName } from "../../shared/manifest/schema-place.ts";
import { checkManifest } from "../check/check-manifest.ts";
import { type MergedManifest, mergeSchemas } from "../collect-merge.ts";
import { type CliContext, Exit } from "../context.ts";
import { withExamples } from "../help.ts";
import { addManifestOption, findManifest, manifestText, writeManifest } from "../manifest-file.ts";
import { jsonDiagnostics } from "../report/json-report.ts";
import type { ReportFormat } from "../report/report-format.ts";
import { addFormatOption, reportDiagnostics, repositoryRoot } from "../report/report-option.ts";
import { bySeverity, formatDiagnostic, plural, summarize } from "../report.ts";
import { type CollectedSchemas, expandFiles, runSchemaFiles, type SchemaFiles } from "../schema-files.ts";
import { loadSurroundings, type Surroundings } from "../workspace-file.ts";

interface CollectFlags {
  manifest?: string;
  check?: boolean;
  database?: string[] | false;
  requireDatabase?: boolean;
  print?: boolean;
  write?: boolean;
  json?: boolean;
  format: ReportFormat;
}

/** `collect`: takes the schemas that code defines into the manifest. */
export function addCollect(parent: Command, context: CliContext): void {
  const command = addManifestOption(parent.command("collect"))
    .argument("<files...>", "schema files, folders or globs")
    .description("run schema files (or those in folders and globs) and take their schemas into the manifest")
    .option("--check", "check the schemas; with errors the exit code is 1 and nothing is written")
    .option(
      "--database <url>",
      "check on this database instead of the data stores' own; <data store>=<url> for one of them, repeatable",
      (url: string, earlier: string[] | false | undefined) => [...(earlier || []), url],
    )
    .option("--no-database", "check the text of the schemas only")
    .option("--require-database", "check, and fail where a data store's own database cannot be asked")
    .option("--print", "print the collected schemas as JSON")
    .option("--write", "write the schemas into the manifest")
    .option("--json", "print schemas, findings and what was done as one JSON document");
  withExamples(
    command,
    "collect --check --print ./schemas.ts",
    "collect --check --write src/schemas",
    "collect --check --database postgres://ci@localhost/after_migrations --format github src",
    "collect --check --no-database --json './src/**/*.schema.ts'",
  );
  addFormatOption(command).action((files: string[], flags: CollectFlags) => collect(files, flags, context));
}

async function collect(args: string[], flags: CollectFlags, context: CliContext): Promise<void> {
  refuseTwoResults(flags);
  const around = await loadSurroundings(await findManifest(flags.manifest));
  const files = await expandFiles(args);
  const collected = await runSchemaFiles(files, (d) => context.warn(formatDiagnostic(d)));
  const merged = merge(around.target, collected, files);
  const problems = await findProblems(args, flags, context, around, collected, files, merged);
  const failed = problems.some((d) => d.severity === "error");
  const isNew = manifestText(merged.manifest) !== manifestText(around.target.manifest);
  if (flags.write && isNew && !failed) await writeManifest(around.target.path, merged.manifest);

  const written = flags.write === true && isNew && !failed;
  report(context, flags, around.target, merged, problems, written);
  context.warn(summary(merged, isChecked(flags), problems));
  if (failed) {
    if (flags.write)
      context.warn(describeError(new RejotError("CHECK_FAILED", { detail: "nothing was written" })));
    throw new Exit(exitCodeOf(problems));
  }
  const file = displayPath(around.target.path);
  if (flags.write) context.warn(written ? `wrote ${file}` : `${file} is up to date`);
  else if (!flags.print && !flags.json && !isChecked(flags)) context.warn("nothing was written: add --write");
}

/** stdout takes one document. */
function refuseTwoResults({ print, json, format }: CollectFlags): void {
  const report = format !== "text" && !(json && format === "json");
  const results = [print && "--print", json && "--json", report && `--format ${format}`];
  const asked = results.filter((result) => typeof result === "string");
  if (asked.length < 2) return;
  throw new RejotError("USAGE", {
    detail: `${asked.join(" and ")} would both be printed on stdout`,
    hint: "--json holds the schemas and what was found; else run the command twice.",
  });
}

function isChecked({ check, database, requireDatabase }: CollectFlags): boolean {
  return check === true || database !== undefined || requireDatabase === true;
}

/** A file that is gone from a folder that was named says that its schemas are gone, too. */
function merge(
  target: LoadedManifest,
  collected: CollectedSchemas,
  { folders }: SchemaFiles,
): MergedManifest {
  const isCollected = (file: string) =>
    collected.files.has(file) ||
    (folders.some((folder) => file.startsWith(folder + sep)) && !existsSync(file));
  return mergeSchemas(target.manifest, target.path, collected, isCollected);
}

async function findProblems(
  args: readonly string[],
  flags: CollectFlags,
  { env }: CliContext,
  { target, others, diagnostics }: Surroundings,
  collected: CollectedSchemas,
  files: SchemaFiles,
  merged: MergedManifest,
): Promise<Diagnostic[]> {
  const failures = [...files.diagnostics, ...collected.diagnostics];
  // Schemas of a file that failed are missing: whatever else would be said would follow from that.
  if (failures.some((d) => d.severity === "error")) return failures;
  if (collected.schemas.length === 0 && merged.removed.length === 0) {
    const place = manifestPlace(target, [], "manifest");
    return [diagnostic("NO_SCHEMAS_FOUND", "error", place, args.join(", "))];
  }
  const problems = [...failures, ...diagnostics, ...merged.diagnostics];
  if (!isChecked(flags)) return problems;
  const { manifest, places } = merged;
  const { database: databases = [], requireDatabase = false } = flags;
  const options = { env, databases, requireDatabase };
  problems.push(...(await checkManifest({ path: target.path, manifest, places }, others, options)));
  return problems;
}

function report(
  context: CliContext,
  flags: CollectFlags,
  target: LoadedManifest,
  merged: MergedManifest,
  problems: readonly Diagnostic[],
  written: boolean,
): void {
  const { publicSchemas, consumerSchemas, removed } = merged;
  if (flags.json) {
    const found = jsonDiagnostics(bySeverity(problems), { root: repositoryRoot() });
    const manifest = displayPath(target.path);
    const document = { manifest, publicSchemas, consumerSchemas, removed, written, ...found };
    context.print(JSON.stringify(document, null, 2));
    return;
  }
  if (flags.print) context.print(JSON.stringify({ publicSchemas, consumerSchemas }, null, 2));
  const checked = [...publicSchemas.map(publicSchemaName), ...consumerSchemas.map(consumerSchemaName)];
  reportDiagnostics(context, problems, flags.format, { title: "rejot-kafka collect", checked });
}

/** 3 where all that is wrong is that a server was not reached: no schema was found to be wrong. */
function exitCodeOf(problems: readonly Diagnostic[]): number {
  const errors = problems.filter((d) => d.severity === "error");
  return errors.every((d) => ERRORS[d.code].exitCode === 3) ? 3 : 1;
}

function summary(merged: MergedManifest, checked: boolean, problems: readonly Diagnostic[]): string {
  const counts = [
    plural(merged.publicSchemas.length, "public schema"),
    plural(merged.consumerSchemas.length, "consumer schema"),
  ].join(", ");
  const removed = merged.removed.length === 0 ? "" : `; no longer defined: ${merged.removed.join(", ")}`;
  return `collected ${counts}${removed}${checked ? `; checked: ${summarize(problems)}` : ""}`;
}
