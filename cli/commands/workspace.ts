import type { Command } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import { displayPath, loadManifests, MANIFEST_FILE } from "../../shared/manifest/load.ts";
import type { CliContext } from "../context.ts";
import { PROGRAM, withExamples } from "../help.ts";
import { exists, writeManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { addFormatOption } from "../report/report-option.ts";
import { findWorkspace, WORKSPACE_FILE } from "../workspace-file.ts";
import { type InfoFlags, showInfo } from "./manifest-info.ts";
import { manifestSlug } from "./manifest-init.ts";

/** `workspace init|info`. */
export function addWorkspace(parent: Command, context: CliContext): void {
  const group = parent.command("workspace").description("manifests that belong together");
  withExamples(group, "workspace init --slug @shop/workspace", "workspace info");
  addInit(group, context);
  addInfo(group, context);
}

function addInit(group: Command, context: CliContext): void {
  const command = addJsonOption(group.command("init"))
    .description("make a manifest that lists other manifests; an existing file is not touched")
    .requiredOption("--slug <slug>", "unique name of the workspace, for example @org/workspace")
    .option("--filename <file>", "file to make", `./${WORKSPACE_FILE}`)
    .action(async (flags: JsonFlag & { slug: string; filename: string }) => {
      const slug = manifestSlug(flags.slug);
      const manifest = displayPath(flags.filename);
      if (await exists(flags.filename)) throw new RejotError("MANIFEST_EXISTS", { detail: manifest });
      const workspaces = [`./**/${MANIFEST_FILE}`];
      await writeManifest(flags.filename, { slug, manifestVersion: 0, workspaces });
      const text = `made ${manifest}: all manifests that match ${workspaces.join(", ")}`;
      printResult(context, flags, { manifest, slug, workspaces }, text);
      if (!flags.json) context.warn(`next: ${PROGRAM} workspace info`);
    });
  withExamples(command, "workspace init --slug @shop/workspace");
}

function addInfo(group: Command, context: CliContext): void {
  const command = addJsonOption(addFormatOption(group.command("info")))
    .description("show all manifests of the workspace and what is wrong; exit code 1 for errors")
    .option(
      "--filename <file>",
      `the workspace's file (default: ./${WORKSPACE_FILE} or a manifest with workspaces, or the nearest in a folder above)`,
    )
    .action(async (flags: InfoFlags & { filename?: string }) => {
      const file = flags.filename ?? (await findWorkspace(process.cwd()));
      if (file === undefined) {
        throw new RejotError("MANIFEST_NOT_FOUND", {
          detail: `there is no ${WORKSPACE_FILE}, and no manifest with workspaces, in ${process.cwd()} or any folder above it`,
          hint: `Make one with \`${PROGRAM} workspace init --slug <name>\`, or name it with --filename.`,
        });
      }
      await showInfo(context, flags, { title: "workspace info", manifests: await loadManifests([file]) });
    });
  withExamples(command, "workspace info", "workspace info --filename rejot-workspace.json --json");
}
