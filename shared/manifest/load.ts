import { glob, readFile, realpath, stat } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { RejotError } from "../errors/error.ts";
import type { DefinitionPlaces } from "./definition-places.ts";
import { findJsonSyntaxError } from "./json-syntax.ts";
import { type Manifest, manifestSchema } from "./schema.ts";
import { describeZodIssues } from "./zod-issues.ts";

/** A manifest and the file it came from. References to secrets stand in it as they were written. */
export interface LoadedManifest {
  /** Absolute path. */
  readonly path: string;
  readonly manifest: Manifest;
  /** Where its parts are defined, when that is more than its file tells: schemas that were just collected. */
  readonly places?: DefinitionPlaces;
}

/** The file name that is looked for when a folder is named, or none. */
export const MANIFEST_FILE = "rejot-manifest.json";

/**
 * Reads the manifests named and, through their `workspaces` globs, all they lead to; each file once, in the
 * order found. A folder stands for the manifest in it.
 * Throws MANIFEST_NOT_FOUND, MANIFEST_NOT_JSON (with line and column), VERSION_MISMATCH or MANIFEST_INVALID
 * (with every place that is wrong).
 */
export async function loadManifests(paths: readonly string[]): Promise<LoadedManifest[]> {
  const loaded = new Map<string, LoadedManifest>();
  const queue = paths.map((path) => resolve(path));
  for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
    const file = await manifestFileAt(path);
    const identity = await realpath(file).catch(() => file);
    if (loaded.has(identity)) continue;
    const manifest = await readManifest(file);
    loaded.set(identity, { path: file, manifest });
    for (const pattern of manifest.workspaces ?? []) queue.push(...(await expandWorkspace(pattern, file)));
  }
  return [...loaded.values()];
}

/** Reads one manifest file, workspaces not followed. Throws as loadManifests. */
export async function readManifest(file: string): Promise<Manifest> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new RejotError("MANIFEST_NOT_FOUND", { detail: displayPath(file), cause });
  }
  return parseManifest(text, displayPath(file));
}

/** Reads the text of a manifest; `file` is for messages. */
export function parseManifest(text: string, file: string): Manifest {
  const value = parseJson(text.replace(/^\uFEFF/, ""), file);
  const version = (value as { manifestVersion?: unknown } | null)?.manifestVersion;
  if (typeof version === "number" && version !== 0) {
    throw new RejotError("VERSION_MISMATCH", {
      detail: `${file} has manifestVersion ${version}, this release reads 0`,
      hint: "Use the release of rejot-kafka that wrote the manifest, or a newer one.",
    });
  }
  const result = manifestSchema.safeParse(value);
  if (!result.success) {
    throw new RejotError("MANIFEST_INVALID", {
      detail: [file, ...describeZodIssues(result.error)].join("\n  - "),
    });
  }
  return result.data;
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const at = findJsonSyntaxError(text);
    const where =
      at === undefined ? `${file}: ${String(error)}` : `${file}:${at.line}:${at.column}: ${at.problem}`;
    throw new RejotError("MANIFEST_NOT_JSON", { detail: where });
  }
}

async function manifestFileAt(path: string): Promise<string> {
  const entry = await stat(path).catch(() => undefined);
  if (entry?.isDirectory() !== true) return path;
  const file = join(path, MANIFEST_FILE);
  if ((await stat(file).catch(() => undefined)) === undefined) {
    throw new RejotError("MANIFEST_NOT_FOUND", {
      detail: `the folder ${displayPath(path)} holds no ${MANIFEST_FILE}`,
    });
  }
  return file;
}

async function expandWorkspace(pattern: string, manifestFile: string): Promise<string[]> {
  const folder = dirname(manifestFile);
  const found: string[] = [];
  const options = { cwd: folder, exclude: ["**/node_modules/**", "**/.git/**"] };
  for await (const match of glob(pattern, options)) found.push(resolve(folder, match));
  if (found.length === 0) {
    throw new RejotError("MANIFEST_NOT_FOUND", {
      detail: `nothing matches the workspace "${pattern}" of ${displayPath(manifestFile)}`,
    });
  }
  return found.sort();
}

/** A path as a person would type it: relative to the working directory where that is shorter. */
export function displayPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near !== "" && !near.startsWith("..") ? near : path;
}
