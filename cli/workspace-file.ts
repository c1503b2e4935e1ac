import { realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { RejotError } from "../shared/errors/error.ts";
import { type Diagnostic, diagnostic } from "../shared/manifest/diagnostic.ts";
import { displayPath, type LoadedManifest, loadManifests } from "../shared/manifest/load.ts";
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
 * `rejot-workspace.json` in a folder above that leads to it. Throws as loadManifests, for the manifest only.
 */
export async function loadSurroundings(file: string): Promise<Surroundings> {
  const own = await loadManifests([file]);
  const target = own[0] as LoadedManifest;
  const workspace = await findWorkspace(dirname(target.path));
  if (workspace === undefined) return { target, others: own.slice(1), diagnostics: [] };
  try {
    const targetPath = await realpath(target.path);
    const around = await loadManifests([workspace]);
    const paths = await Promise.all(around.map((m) => realpath(m.path)));
    if (!paths.includes(targetPath)) return { target, others: own.slice(1), diagnostics: [] };
    const all = await loadManifests([target.path, workspace]);
    return { target, others: all.slice(1), diagnostics: [] };
  } catch (error) {
    if (!(error instanceof RejotError)) throw error;
    const location = displayPath(workspace);
    return {
      target,
      others: own.slice(1),
      diagnostics: [diagnostic("WORKSPACE_NOT_READ", "warning", location, error.message)],
    };
  }
}

async function findWorkspace(folder: string): Promise<string | undefined> {
  const file = join(folder, WORKSPACE_FILE);
  if (await exists(file)) return file;
  return folder === dirname(folder) ? undefined : findWorkspace(dirname(folder));
}
