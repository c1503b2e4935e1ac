import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { consumerName } from "../../shared/contracts/consumers/consumer-usage.ts";
import { RejotError } from "../../shared/errors/error.ts";
import { describeReader, type TopicReader } from "../../shared/kafka/topic-reader.ts";
import { displayPath } from "../../shared/manifest/load.ts";
import type { Manifest, PublicSchema } from "../../shared/manifest/schema.ts";
import { readersOf } from "../consumers/event-store.ts";
import { findMajor, type NamedMajor, parseMajor, readersOfMajor } from "../consumers/one-major.ts";
import type { CliContext } from "../context.ts";
import { withExamples } from "../help.ts";
import { addManifestOption, findManifest, updateManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { addSchemasOption } from "../schema/against-options.ts";
import { schemasFolder } from "../schema/history.ts";
import { readSchemaFiles, writtenVersions } from "../schema/schema-files.ts";

interface RemoveFlags extends JsonFlag {
  manifest?: string;
  schemas?: string;
  major: number;
  force?: boolean;
}

/** Who is in the way of a removal. */
interface Readers {
  readonly consumers: readonly string[];
  readonly groups: readonly TopicReader[];
}

/** `schema remove`: takes a major version out of the manifest, once nobody reads it. */
export function addSchemaRemove(parent: Command, context: CliContext): void {
  const command = addJsonOption(addSchemasOption(addManifestOption(parent.command("remove"))))
    .argument("<public-schema>", "name of the public schema")
    .description(
      "take a major version out of the manifest and schema files; refused while consumer groups or known consumer schemas read it",
    )
    .requiredOption("--major <number>", "the major version", parseMajor)
    .option("--force", "remove it although it is read, or although nobody can tell")
    .action((name: string, flags: RemoveFlags) => remove(name, flags, context));
  withExamples(command, "schema remove customer --major 1");
}

async function remove(name: string, flags: RemoveFlags, context: CliContext): Promise<void> {
  const file = await findManifest(flags.manifest);
  const found = await findMajor(file, name, flags.major);
  const readers = await askWhoReads(found, flags.force === true, context);
  const who = [...readers.consumers, ...readers.groups.map(describeReader)];
  if (who.length > 0 && flags.force !== true) {
    throw new RejotError("SCHEMA_STILL_READ", {
      detail: `"${name}" v${flags.major} is read by ${who.join(", ")}`,
    });
  }
  await updateManifest(file, (manifest) => without(manifest, found.schema));
  const folders = await removeFiles(found, flags, file);
  const { definitionFile } = found.schema;
  if (definitionFile !== undefined)
    context.warn(`${definitionFile} defines it: take its createPublicSchema out, or collect brings it back`);
  const topic = found.own?.resolved.topic;
  const result = { schema: name, major: flags.major, readers, files: folders, topic: topic ?? null };
  printResult(context, flags, result, () =>
    [
      `removed ${name} v${flags.major} from ${displayPath(file)}${who.length > 0 ? `, although it is read by ${who.join(", ")}` : ""}`,
      ...folders.map((folder) => `removed ${displayPath(folder)}`),
      ...(topic === undefined ? [] : [`topic ${topic} and its schemas in the registry stay as they are`]),
    ].join("\n"),
  );
}

async function askWhoReads(found: NamedMajor, force: boolean, { env, warn }: CliContext): Promise<Readers> {
  try {
    const consumers = (await readersOfMajor(found, env, true)).map(({ usage }) => consumerName(usage));
    const topics = found.own === undefined ? [] : [found.own.resolved.topic];
    const groups = (await readersOf(found.loaded, topics, env)).filter(({ reads }) => reads);
    return { consumers, groups };
  } catch (error) {
    if (!force || !(error instanceof RejotError)) throw error;
    warn(`nobody could tell who reads it: ${error.message}`);
    return { consumers: [], groups: [] };
  }
}

function without(manifest: Manifest, { name, version }: PublicSchema): Manifest {
  const publicSchemas = (manifest.publicSchemas ?? []).filter(
    (schema) => schema.name !== name || schema.version.major !== version.major,
  );
  return { ...manifest, publicSchemas };
}

/** The baseline says what is promised; what is removed is promised no longer. */
async function removeFiles(
  { loaded, schema }: NamedMajor,
  flags: RemoveFlags,
  file: string,
): Promise<string[]> {
  const folder = schemasFolder({ folder: flags.schemas, manifestFile: file });
  const written = writtenVersions(await readSchemaFiles(folder), loaded.manifest.slug, schema.name);
  const paths = written
    .filter(({ major }) => major === schema.version.major)
    .map((version) => join(folder, version.folder));
  for (const path of paths) await rm(path, { recursive: true, force: true });
  return paths;
}
