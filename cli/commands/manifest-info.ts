import type { Command } from "commander";
import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import { displayPath, type LoadedManifest } from "../../shared/manifest/load.ts";
import { checkWorkspace } from "../../shared/manifest/workspace.ts";
import { type CliContext, Exit } from "../context.ts";
import { describeManifest, manifestJson } from "../describe.ts";
import { withExamples } from "../help.ts";
import { addManifestOption, findManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag } from "../output.ts";
import { jsonDiagnostics } from "../report/json-report.ts";
import type { ReportFormat } from "../report/report-format.ts";
import { addFormatOption, reportDiagnostics, repositoryRoot } from "../report/report-option.ts";
import { bySeverity, formatDiagnostic, summarize } from "../report.ts";
import { loadSurroundings } from "../workspace-file.ts";

/** How `manifest info` and `workspace info` say what they found. */
export interface InfoFlags extends JsonFlag {
  readonly format: ReportFormat;
}

/** What is shown, and what it is checked against. */
export interface Shown {
  /** The command, for reports: "manifest info". */
  readonly title: string;
  readonly manifests: readonly LoadedManifest[];
  /** Other manifests of the workspace. */
  readonly others?: readonly LoadedManifest[];
  /** What was found before. */
  readonly known?: readonly Diagnostic[];
}

/** `manifest info`: what a manifest holds and what is wrong with it. */
export function addManifestInfo(parent: Command, context: CliContext): void {
  const command = addJsonOption(addFormatOption(addManifestOption(parent.command("info"))))
    .description(
      "show connections, data stores, event stores, schemas and what is wrong; exit code 1 for errors",
    )
    .action(async (flags: InfoFlags & { manifest?: string }) => {
      const { target, others, diagnostics } = await loadSurroundings(await findManifest(flags.manifest));
      await showInfo(context, flags, {
        title: "manifest info",
        manifests: [target],
        others,
        known: diagnostics,
      });
    });
  withExamples(command, "manifest info", "manifest info --manifest services/accounts --json");
}

/**
 * Prints the manifests, and what is wrong with them and between them and the others of their workspace.
 * Throws Exit(1) when there are errors.
 */
export async function showInfo(
  context: CliContext,
  { json, format }: InfoFlags,
  { title, manifests, others = [], known = [] }: Shown,
): Promise<void> {
  const { diagnostics, publicSchemas } = await checkWorkspace([...manifests, ...others]);
  const found = [...known, ...diagnostics];
  const resolved = new Map(publicSchemas.map((p) => [p.schema, p]));
  if (json || format === "json") {
    const described = manifests.map(({ manifest, path }) =>
      manifestJson(manifest, displayPath(path), (s) => resolved.get(s) ?? { keyFields: [], topic: "" }),
    );
    const report = jsonDiagnostics(bySeverity(found), { root: repositoryRoot() });
    context.print(JSON.stringify({ manifests: described, ...report }, null, 2));
  } else if (format === "text") {
    for (const { manifest, path } of manifests) {
      const keyOf = (schema: (typeof publicSchemas)[number]["schema"]) =>
        resolved.get(schema)?.keyFields ?? [];
      context.print(`${manifest.slug} (${displayPath(path)})`);
      context.print(`${describeManifest(manifest, keyOf)}\n`);
    }
    for (const d of bySeverity(found)) context.print(formatDiagnostic(d));
    context.print(summarize(found));
  } else {
    reportDiagnostics(context, found, format, {
      title: `rejot-kafka ${title}`,
      checked: manifests.map((m) => m.manifest.slug),
    });
  }
  if (found.some((d) => d.severity === "error")) throw new Exit(1);
}
