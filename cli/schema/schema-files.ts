import { readdir, readFile } from "node:fs/promises";
import { join, sep } from "node:path";
import { namespaceOf } from "../../shared/contracts/avro-names.ts";
import type { AvroRecord } from "../../shared/contracts/avro-types.ts";
import { changesSince, type EarlierVersion } from "../../shared/contracts/evolution/verdict.ts";
import { RejotError } from "../../shared/errors/error.ts";
import { manifestTopicPart } from "../../shared/kafka/naming.ts";
import { displayPath } from "../../shared/manifest/load.ts";
import { parseAvroSchema } from "../../shared/registry/named-types.ts";
import { writeWhole } from "../write-whole.ts";
import { type OwnSchema, versionName } from "./own-schemas.ts";

/** The folder beside the manifest that the baseline is in. */
export const SCHEMAS_FOLDER = "schemas";

/** Texts of files by their path inside the folder, with forward slashes. */
export type SchemaFiles = ReadonlyMap<string, string>;

/** A folder of one version, found in a baseline. */
export interface WrittenVersion {
  readonly major: number;
  readonly minor: number;
  readonly folder: string;
}

/** The files of a public schema's version as `schema write` makes them: the same manifest, the same bytes. */
export function filesOf({ resolved, contract }: OwnSchema): Map<string, string> {
  const folder = versionFolder(resolved);
  const text = (content: unknown) => `${JSON.stringify(content, null, 2)}\n`;
  return new Map([
    [`${folder}/key.avsc`, text(contract.key)],
    [`${folder}/value.avsc`, text(contract.value)],
    [`${folder}/schema.json`, text(resolved.schema.outputSchema)],
  ]);
}

function schemaFolder(manifestSlug: string, name: string): string {
  return `${manifestTopicPart(manifestSlug)}.${name}`;
}

function versionFolder({ manifestSlug, schema: { name, version } }: OwnSchema["resolved"]): string {
  return `${schemaFolder(manifestSlug, name)}/v${version.major}.${version.minor}`;
}

/** The versions of one schema that files hold, of all majors, oldest first. */
export function writtenVersions(files: SchemaFiles, manifestSlug: string, name: string): WrittenVersion[] {
  const start = `${schemaFolder(manifestSlug, name)}/`;
  const versions = new Map<string, WrittenVersion>();
  for (const path of files.keys()) {
    if (!path.startsWith(start)) continue;
    const match = /^v(\d+)\.(\d+)\//.exec(path.slice(start.length));
    if (match === null) continue;
    const folder = start + match[0].slice(0, -1);
    versions.set(folder, { major: Number(match[1]), minor: Number(match[2]), folder });
  }
  return [...versions.values()].sort((a, b) => a.major - b.major || a.minor - b.minor);
}

/**
 * The versions of a schema's own major that files hold. `where` completes the origin: `v1.0 in schemas`.
 * Throws SCHEMA_FILES_INVALID naming the file.
 */
export function earlierInFiles(files: SchemaFiles, { resolved }: OwnSchema, where: string): EarlierVersion[] {
  const { manifestSlug, schema } = resolved;
  return writtenVersions(files, manifestSlug, schema.name)
    .filter(({ major }) => major === schema.version.major)
    .map(({ major, minor, folder }) => ({
      origin: `v${major}.${minor} ${where}`,
      minor,
      contract: {
        key: readAvro(files, `${folder}/key.avsc`),
        value: readAvro(files, `${folder}/value.avsc`),
      },
    }));
}

function readAvro(files: SchemaFiles, path: string): AvroRecord {
  const text = files.get(path);
  if (text === undefined) throw new RejotError("SCHEMA_FILES_INVALID", { detail: `${path} is missing` });
  try {
    return parseAvroSchema(text);
  } catch (error) {
    const why = error instanceof RejotError ? error.detail : String(error);
    throw new RejotError("SCHEMA_FILES_INVALID", { detail: `${path}: ${why}` });
  }
}

/** A major version of a public schema that is no longer in the manifest. */
export interface GoneVersion {
  readonly name: string;
  readonly major: number;
}

/**
 * The schema majors that files hold for a manifest and it no longer has. Files of other manifests may stand in the
 * same folder; the namespace of the Avro tells whose they are.
 */
export function goneFromFiles(
  files: SchemaFiles,
  manifestSlug: string,
  own: readonly OwnSchema[],
): GoneVersion[] {
  const start = `${manifestTopicPart(manifestSlug)}.`;
  const gone = new Map<string, GoneVersion>();
  for (const path of files.keys()) {
    const match = /^(.+)\/v(\d+)\.\d+\/value\.avsc$/.exec(path);
    const [, folder = "", major = ""] = match ?? [];
    if (match === null || !folder.startsWith(start)) continue;
    const name = folder.slice(start.length);
    const kept = own.some(
      ({ resolved: { schema } }) => schema.name === name && schema.version.major === Number(major),
    );
    if (!kept && namespaceOfText(files.get(path)) === namespaceOf(manifestSlug, Number(major)))
      gone.set(`${name} v${major}`, { name, major: Number(major) });
  }
  return [...gone.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.major - b.major));
}

function namespaceOfText(text: string | undefined): unknown {
  try {
    return (JSON.parse(text ?? "") as { namespace?: unknown } | null)?.namespace;
  } catch {
    return undefined;
  }
}

/** What is not as `schema write` would make it: `team.thing/v1.0/value.avsc differs`. Pure. */
export function staleFiles(files: SchemaFiles, own: OwnSchema): string[] {
  const wanted = [...filesOf(own)];
  if (wanted.every(([path]) => !files.has(path)))
    return [`${versionFolder(own.resolved)} is not written yet`];
  return wanted.flatMap(([path, text]) => {
    const there = files.get(path);
    if (there === text) return [];
    return [there === undefined ? `${path} is missing` : `${path} differs`];
  });
}

/** Reads a folder, all of it; empty when there is none. Throws SCHEMA_FILES_INVALID. */
export async function readSchemaFiles(folder: string): Promise<Map<string, string>> {
  let paths: string[];
  try {
    paths = await readdir(folder, { recursive: true });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return new Map();
    throw new RejotError("SCHEMA_FILES_INVALID", { detail: displayPath(folder), cause });
  }
  const files = new Map<string, string>();
  for (const path of paths.filter((each) => /\.(avsc|json)$/.test(each)).sort()) {
    files.set(path.split(sep).join("/"), await readFile(join(folder, path), "utf8"));
  }
  return files;
}

/**
 * Writes what differs and returns the paths; nothing when one is refused. A version that stands there already only
 * takes changes that need no new version, unless `overwrite`: its files are what later versions are compared with.
 * Throws SCHEMA_VERSION_WRITTEN, SCHEMA_FILES_INVALID, SCHEMA_FILES_NOT_WRITABLE.
 */
export async function writeSchemaFiles(
  folder: string,
  schemas: readonly OwnSchema[],
  { overwrite }: { overwrite: boolean },
): Promise<string[]> {
  const there = await readSchemaFiles(folder);
  if (!overwrite) for (const own of schemas) refuseRewriting(there, own);
  const written: string[] = [];
  for (const [path, text] of schemas.flatMap((own) => [...filesOf(own)])) {
    if (there.get(path) === text) continue;
    await writeSchemaFile(join(folder, path), text);
    written.push(path);
  }
  return written;
}

function refuseRewriting(there: SchemaFiles, own: OwnSchema): void {
  const { version } = own.resolved.schema;
  const same = earlierInFiles(there, own, "").find(({ minor }) => minor === version.minor);
  const changes =
    same === undefined ? [] : changesSince(same, own.contract).filter(({ bump }) => bump !== "none");
  if (changes.length === 0) return;
  throw new RejotError("SCHEMA_VERSION_WRITTEN", {
    detail: `${versionName(own)}: ${changes.map(({ message }) => message).join("; ")}`,
  });
}

async function writeSchemaFile(path: string, text: string): Promise<void> {
  try {
    await writeWhole(path, text);
  } catch (cause) {
    throw new RejotError("SCHEMA_FILES_NOT_WRITABLE", { detail: displayPath(path), cause });
  }
}
