import type { Command } from "commander";
import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import { displayPath, type LoadedManifest } from "../../shared/manifest/load.ts";
import { checkWorkspace } from "../../shared/manifest/workspace.ts";
import { type CliContext, Exit } from "../context.ts";
import { describeManifest } from "../describe.ts";
import { addManifestOption, findManifest } from "../manifest-file.ts";
import { bySeverity, formatDiagnostic, summarize } from "../report.ts";
import { loadSurroundings } from "../workspace-file.ts";

/** `manifest info`: what a manifest holds and what is wrong with it. */
export function addManifestInfo(parent: Command, context: CliContext): void {
  addManifestOption(parent.command("info"))
    .description(
      "show connections, data stores, event stores, schemas and what is wrong; exit code 1 for errors",
    )
    .action(async (options: { manifest?: string }) => {
      const around = await loadSurroundings(await findManifest(options.manifest));
      await showInfo(context, [around.target], around.others, around.diagnostics);
    });
}

/**
 * Prints the manifests, and what is wrong with them and between them and the others of their workspace.
 * Throws Exit(1) when there are errors.
 */
export async function showInfo(
  context: CliContext,
  shown: readonly LoadedManifest[],
  others: readonly LoadedManifest[] = [],
  known: readonly Diagnostic[] = [],
): Promise<void> {
  const { diagnostics, publicSchemas } = await checkWorkspace([...shown, ...others]);
  const keys = new Map(publicSchemas.map((p) => [p.schema, p.keyFields]));
  for (const { manifest, path } of shown) {
    context.print(`${manifest.slug} (${displayPath(path)})`);
    context.print(`${describeManifest(manifest, (schema) => keys.get(schema) ?? [])}\n`);
  }
  const found = [...known, ...diagnostics];
  for (const d of bySeverity(found)) context.print(formatDiagnostic(d));
  context.print(summarize(found));
  if (found.some((d) => d.severity === "error")) throw new Exit(1);
}
