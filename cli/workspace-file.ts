import { realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { RejotError } from "../shared/errors/error.ts";
import { type Diagnostic, diagnostic } from "../shared/manifest/diagnostic.ts";
import {
  displayPath,
  type LoadedManifest,
  loadManifests,
  MANIFEST_FILE,
  readManifest,
} from "../shared/manifest/load.ts";
import { exists } from "./manifest-file.ts";

/** The file that `workspace init` makes. */
export const WORKSPACE_FILE = "rejot-workspace.json";

/** A manifest with those it can be checked against. */
export interface Surroundings {
  readonly target: LoadedManifest;
  /** The other manifests of its workspace. */
  readonly others: readonly LoadedManifest[];
  /** What kept the workspace from being read; the manifest itself is fine. */
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Loads a manifest, and the workspace it belongs to: the manifests it names itself, and those of the nearest
 * workspace (see findWorkspace) that leads to it. Throws as loadManifests, for the manifest only.
 */
export async function loadSurroundings(file: string): Promise<Surroundings> {
  const own = await loadManifests([file]);
  const target = own[0] as LoadedManifest;
  const alone = { target, others: own.slice(1), diagnostics: [] };
  const targetPath = await realpath(target.path);
  for await (const workspace of workspacesFrom(dirname(target.path))) {
    if (workspace === target.path) continue;
    try {
      const around = await loadManifests([workspace]);
      const paths = await Promise.all(around.map((m) => realpath(m.path)));
      if (!paths.includes(targetPath)) continue;
      const all = await loadManifests([target.path, workspace]);
      return { target, others: all.slice(1), diagnostics: [] };
    } catch (error) {
      if (!(error instanceof RejotError)) throw error;
      const location = displayPath(workspace);
      return {
        ...alone,
        diagnostics: [diagnostic("WORKSPACE_NOT_READ", "warning", location, error.message)],
      };
    }
  }
  return alone;
}

/**
 * The file of the nearest workspace, here or in a folder above: `rejot-workspace.json`, or a `rejot-manifest.json`
 * that has `workspaces` itself, as ReJot makes it. Undefined when there is none.
 */
export async function findWorkspace(folder: string): Promise<string | undefined> {
  for await (const workspace of workspacesFrom(folder)) return workspace;
  return undefined;
}

async function* workspacesFrom(start: string): AsyncGenerator<string> {
  for (let folder = start; ; folder = dirname(folder)) {
    const file = join(folder, WORKSPACE_FILE);
    if (await exists(file)) yield file;
    const manifest = join(folder, MANIFEST_FILE);
    if (await listsOthers(manifest)) yield manifest;
    if (folder === dirname(folder)) return;
  }
}

/** A file that cannot be read is not a workspace; whoever names it hears why. */
async function listsOthers(file: string): Promise<boolean> {
  if (!(await exists(file))) return false;
  const manifest = await readManifest(file).catch(() => undefined);
  return manifest?.workspaces !== undefined;
}
