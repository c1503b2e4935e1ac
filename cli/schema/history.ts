import { realpath } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { EarlierVersion } from "../../shared/contracts/evolution/verdict.ts";
import { RejotError } from "../../shared/errors/error.ts";
import { subjects } from "../../shared/kafka/naming.ts";
import { type Diagnostic, diagnostic } from "../../shared/manifest/diagnostic.ts";
import { displayPath, type LoadedManifest, parseManifest } from "../../shared/manifest/load.ts";
import { type Environment, resolveSecrets } from "../../shared/manifest/secrets.ts";
import { kafkaEventStore } from "../../shared/manifest/workspace.ts";
import { earlierVersions } from "../../shared/registry/published-schemas.ts";
import { createSchemaRegistry, type SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { GitAt } from "./git-at.ts";
import { type OwnSchema, ownSchemas } from "./own-schemas.ts";
import {
  earlierInFiles,
  type GoneVersion,
  goneFromFiles,
  readSchemaFiles,
  SCHEMAS_FOLDER,
  type SchemaFiles,
  writtenVersions,
} from "./schema-files.ts";

/** What schemas are compared with: versions that somebody knows already. */
export interface History {
  /** As it was asked for: `schemas`, `git:main`, `registry`. */
  readonly name: string;
  /** What could not be compared with. */
  readonly diagnostics: readonly Diagnostic[];
  /** The versions of a schema's own major, oldest first; none for a new schema. Throws SCHEMA_FILES_INVALID, REGISTRY_*. */
  versionsOf(own: OwnSchema): Promise<EarlierVersion[]>;
  /** The highest major of a schema that it knows, or -1. */
  highestMajor(own: OwnSchema): number;
  /** Majors that a manifest had and has no longer. */
  gone(manifestSlug: string, own: readonly OwnSchema[]): readonly GoneVersion[];
  /** The files of the baseline, where it is one. */
  readonly files?: SchemaFiles;
}

export interface HistoryOptions {
  /** The manifest that was named; the folder `schemas` stands beside it. */
  readonly manifestFile: string;
  readonly manifests: readonly LoadedManifest[];
  /** Value of `--schemas`. */
  readonly folder: string | undefined;
  /** Where the registry's secrets are. */
  readonly env: Environment;
}

/** Opens what `--against` names. Throws USAGE, GIT_FAILED, SECRET_NOT_FOUND, EVENT_STORE_MISSING. */
export async function openHistory(name: string, options: HistoryOptions): Promise<History> {
  if (name === "schemas") return schemasHistory(await readSchemaFiles(schemasFolder(options)));
  if (name === "registry") return registryHistory(options);
  const ref = /^git:(.+)$/s.exec(name)?.[1];
  if (ref !== undefined) return gitHistory(ref, options);
  throw new RejotError("USAGE", {
    detail: `--against "${name}": it is schemas, registry or git:<ref>`,
    hint: "For example: --against schemas --against git:origin/main --against registry.",
  });
}

/** The folder of the baseline. */
export function schemasFolder({
  folder,
  manifestFile,
}: Pick<HistoryOptions, "folder" | "manifestFile">): string {
  return folder === undefined ? join(dirname(manifestFile), SCHEMAS_FOLDER) : resolve(folder);
}

function schemasHistory(files: SchemaFiles): History {
  return { name: "schemas", diagnostics: [], files, ...ofFiles(files, "in schemas") };
}

function ofFiles(files: SchemaFiles, where: string): Pick<History, "versionsOf" | "highestMajor" | "gone"> {
  return {
    versionsOf: async (own) => earlierInFiles(files, own, where),
    highestMajor: ({ resolved: { manifestSlug, schema } }) =>
      Math.max(-1, ...writtenVersions(files, manifestSlug, schema.name).map(({ major }) => major)),
    gone: (slug, own) => goneFromFiles(files, slug, own),
  };
}

/**
 * A ref's manifest, and the versions that its schemas folder held: what was published before the manifest's own.
 * A manifest that did not exist there has no history.
 */
async function gitHistory(ref: string, options: HistoryOptions): Promise<History> {
  const then: OwnSchema[] = [];
  const diagnostics: Diagnostic[] = [];
  const files = new Map<string, string>();
  for (const { path } of options.manifests) {
    const at = await realpath(path).catch(() => path);
    const git = await GitAt.open(dirname(at), ref);
    const folder = posix(
      relative(dirname(at), await realpath(schemasFolder(options)).catch(() => schemasFolder(options))),
    );
    for (const [file, text] of await git.readAll(folder, (each) => each.endsWith(".avsc")))
      files.set(file, text);
    const text = await git.read(basename(at));
    if (text === undefined) {
      diagnostics.push(
        notCompared(displayPath(path), `it is not in git at ${ref}, so all of it counts as new`),
      );
      continue;
    }
    const place = `${displayPath(path)} at ${ref}`;
    try {
      const found = await ownSchemas([{ path, manifest: parseManifest(text, place) }]);
      then.push(...found.schemas);
      diagnostics.push(...found.diagnostics.map((d) => notCompared(place, d.message)));
    } catch (error) {
      if (!(error instanceof RejotError)) throw error;
      diagnostics.push(notCompared(place, error.message));
    }
  }
  const written = ofFiles(files, `at ${ref}`);
  const same = (a: OwnSchema, b: OwnSchema) =>
    a.resolved.manifestSlug === b.resolved.manifestSlug && a.resolved.schema.name === b.resolved.schema.name;
  const major = (own: OwnSchema) => own.resolved.schema.version.major;
  return {
    name: `git:${ref}`,
    diagnostics,
    async versionsOf(own) {
      const declared = then
        .filter((other) => same(own, other) && major(own) === major(other))
        .map(({ contract, resolved: { schema } }) => ({
          origin: `v${schema.version.major}.${schema.version.minor} at ${ref}`,
          minor: schema.version.minor,
          contract,
        }));
      const older = (await written.versionsOf(own)).filter(
        (version) => !declared.some((each) => isDeepStrictEqual(each, version)),
      );
      return [...older, ...declared];
    },
    highestMajor: (own) =>
      Math.max(written.highestMajor(own), ...then.filter((other) => same(own, other)).map(major)),
    gone: (slug, own) => [
      ...then
        .filter((other) => other.resolved.manifestSlug === slug)
        .filter((other) => !own.some((each) => same(each, other) && major(each) === major(other)))
        .map((other) => ({ name: other.resolved.schema.name, major: major(other) })),
    ],
  };
}

function notCompared(place: string, why: string): Diagnostic {
  return diagnostic("SCHEMA_NOT_COMPARED", "warning", place, why);
}

function posix(path: string): string {
  return path.split(sep).join("/");
}

/** What is registered. A part that is registered just as it is has been accepted, whatever else is there. */
function registryHistory({ manifests, env }: HistoryOptions): History {
  const registries = new Map(
    manifests.map((loaded) => [loaded.manifest.slug, registryOf(loaded, env)] as const),
  );
  return {
    name: "registry",
    diagnostics: [],
    async versionsOf({ resolved, contract }) {
      const registry = registries.get(resolved.manifestSlug);
      if (registry === undefined) return [];
      const subject = subjects(resolved.topic);
      const versions: EarlierVersion[] = [];
      for (const part of ["key", "value"] as const) {
        const registered = await registry.versions(subject[part]);
        if (registered.some(({ schema }) => isDeepStrictEqual(schema, contract[part]))) continue;
        versions.push(...earlierVersions(registered, part));
      }
      return versions;
    },
    highestMajor: () => -1,
    gone: () => [],
  };
}

/** The registry of a manifest's event store. Throws EVENT_STORE_MISSING, SECRET_NOT_FOUND, REGISTRY_REFUSED. */
export function registryOf({ manifest }: LoadedManifest, env: Environment): SchemaRegistry {
  const store = kafkaEventStore(manifest);
  if (store === undefined) throw new RejotError("EVENT_STORE_MISSING", { detail: `"${manifest.slug}"` });
  // Kafka's own secrets are not needed here, and need not be there.
  const { url, auth } = resolveSecrets(store.schemaRegistry, env);
  return createSchemaRegistry(auth === undefined ? { url } : { url, auth });
}
