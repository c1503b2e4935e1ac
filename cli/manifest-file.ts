import { stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { RejotError } from "../shared/errors/error.ts";
import { displayPath, MANIFEST_FILE, readManifest } from "../shared/manifest/load.ts";
import { type Manifest, manifestSchema } from "../shared/manifest/schema.ts";
import { describeZodIssues } from "../shared/manifest/zod-issues.ts";
import { writeWhole } from "./write-whole.ts";

/**
 * The manifest a command works on: the file named, or the one in the folder named, else `rejot-manifest.json` here or in the nearest folder above.
 * Throws MANIFEST_NOT_FOUND.
 */
export async function findManifest(named: string | undefined): Promise<string> {
  if (named !== undefined) {
    const path = resolve(named);
    const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() === true;
    return isFolder ? join(path, MANIFEST_FILE) : path;
  }
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    const file = join(folder, MANIFEST_FILE);
    if (await exists(file)) return file;
    if (folder === dirname(folder)) break;
  }
  throw new RejotError("MANIFEST_NOT_FOUND", {
    detail: `there is no ${MANIFEST_FILE} in ${process.cwd()} or any folder above it`,
  });
}

/** Adds `--manifest` to a command. */
export function addManifestOption(command: Command): Command {
  return command.option(
    "--manifest <file>",
    `the manifest (default: ./${MANIFEST_FILE}, or the nearest in a folder above)`,
  );
}

/** Whether a file or folder exists. */
export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/**
 * Reads a manifest, lets `change` make a new one of it and writes that. What does not have the form of a manifest
 * is refused with MANIFEST_INVALID before anything is written.
 */
export async function updateManifest(file: string, change: (manifest: Manifest) => Manifest): Promise<void> {
  await writeManifest(file, change(await readManifest(file)));
}

/** The text of a manifest: keys in the order of the format, two spaces, a line break at the end. */
export function manifestText(manifest: Manifest): string {
  const result = manifestSchema.safeParse(manifest);
  if (!result.success) {
    throw new RejotError("MANIFEST_INVALID", { detail: describeZodIssues(result.error).join("\n  - ") });
  }
  return `${JSON.stringify(result.data, null, 2)}\n`;
}

/**
 * Writes a manifest so that a reader, or a crash in between, sees the old file or the new one, never a part.
 * Throws MANIFEST_NOT_WRITABLE.
 */
export async function writeManifest(file: string, manifest: Manifest): Promise<void> {
  try {
    await writeWhole(file, manifestText(manifest));
  } catch (cause) {
    throw new RejotError("MANIFEST_NOT_WRITABLE", { detail: displayPath(file), cause });
  }
}
