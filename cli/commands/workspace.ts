import type { Command } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import { displayPath, loadManifests, MANIFEST_FILE } from "../../shared/manifest/load.ts";
import type { CliContext } from "../context.ts";
import { exists, writeManifest } from "../manifest-file.ts";
import { WORKSPACE_FILE } from "../workspace-file.ts";
import { showInfo } from "./manifest-info.ts";
import { manifestSlug } from "./manifest-init.ts";

/** `workspace init|info`. */
export function addWorkspace(parent: Command, context: CliContext): void {
  const group = parent.command("workspace").description("manifests that belong together");

  group
    .command("init")
    .description("make a manifest that lists other manifests")
    .requiredOption("--slug <slug>", "unique name of the workspace")
    .option("--filename <file>", "file to make", `./${WORKSPACE_FILE}`)
    .action(async (options: { slug: string; filename: string }) => {
      const slug = manifestSlug(options.slug);
      if (await exists(options.filename)) {
        throw new RejotError("MANIFEST_EXISTS", { detail: displayPath(options.filename) });
      }
      const workspaces = [`./**/${MANIFEST_FILE}`];
      await writeManifest(options.filename, { slug, manifestVersion: 0, workspaces });
      context.print(
        `made ${displayPath(options.filename)}: all manifests that match ${workspaces.join(", ")}`,
      );
    });

  group
    .command("info")
    .description("show all manifests of the workspace and what is wrong; exit code 1 for errors")
    .option("--filename <file>", "the workspace's file", `./${WORKSPACE_FILE}`)
    .action(async (options: { filename: string }) => {
      await showInfo(context, await loadManifests([options.filename]));
    });
}
