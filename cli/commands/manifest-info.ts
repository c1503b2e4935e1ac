import type { Command } from "commander";
import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import { displayPath, type LoadedManifest, loadManifests } from "../../shared/manifest/load.ts";
import { checkWorkspace } from "../../shared/manifest/workspace.ts";
import { type CliContext, Exit } from "../context.ts";
import { describeManifest } from "../describe.ts";
import { addManifestOption, findManifest } from "../manifest-file.ts";
import { bySeverity, formatDiagnostic, summarize } from "../report.ts";

/** `manifest info`: what a manifest holds and what is wrong with it. */
export function addManifestInfo(parent: Command, context: CliContext): void {
  addManifestOption(parent.command("info"))
    .description(
      "show connections, data stores, event stores, schemas and what is wrong; exit code 1 for errors",
    )
    .action(async (options: { manifest?: string }) => {
      await showInfo(context, await findManifest(options.manifest), (_, i) => i === 0);
    });
}

/** Prints the manifests that `show` picks, and the diagnostics of all that were loaded. Throws Exit(1) for errors. */
export async function showInfo(
  context: CliContext,
  file: string,
  show: (loaded: LoadedManifest, index: number) => boolean,
): Promise<void> {
  const loaded = await loadManifests([file]);
  const { diagnostics, publicSchemas } = await checkWorkspace(loaded);
  for (const { manifest, path } of loaded.filter(show)) {
    const keys = new Map(publicSchemas.map((p) => [p.schema, p.keyFields]));
    context.print(`${manifest.slug} (${displayPath(path)})`);
    context.print(`${describeManifest(manifest, (schema) => keys.get(schema) ?? [])}\n`);
  }
  printDiagnostics(context, diagnostics);
  if (diagnostics.some((d) => d.severity === "error")) throw new Exit(1);
}

function printDiagnostics(context: CliContext, diagnostics: readonly Diagnostic[]): void {
  for (const d of bySeverity(diagnostics)) context.print(formatDiagnostic(d));
  context.print(summarize(diagnostics));
}
