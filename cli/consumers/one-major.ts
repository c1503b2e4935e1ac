import { RejotError } from "../../shared/errors/error.ts";
import { type LoadedManifest, loadManifests } from "../../shared/manifest/load.ts";
import type { PublicSchema } from "../../shared/manifest/schema.ts";
import type { Environment } from "../../shared/manifest/secrets.ts";
import { registryOf } from "../schema/history.ts";
import { type OwnSchema, ownSchemas } from "../schema/own-schemas.ts";
import { loadSurroundings } from "../workspace-file.ts";
import { type KnownConsumer, KnownConsumers } from "./known-consumers.ts";
import { majorOf } from "./whom-it-breaks.ts";

/** One major version of a manifest's public schema, found by what was typed. */
export interface NamedMajor {
  readonly loaded: LoadedManifest;
  readonly schema: PublicSchema;
  /** Undefined where it has no Avro form, or no key. */
  readonly own: OwnSchema | undefined;
}

/** Finds a major version in a manifest's file. Throws SCHEMA_NOT_IN_MANIFEST naming those there are. */
export async function findMajor(file: string, name: string, major: number): Promise<NamedMajor> {
  const loaded = (await loadManifests([file]))[0] as LoadedManifest;
  const schemas = loaded.manifest.publicSchemas ?? [];
  const schema = schemas.find((each) => each.name === name && each.version.major === major);
  if (schema === undefined) {
    const names = schemas.map((each) => `"${each.name}" v${each.version.major}`).join(", ") || "none";
    const detail = `"${name}" v${major} in "${loaded.manifest.slug}"; there is ${names}`;
    throw new RejotError("SCHEMA_NOT_IN_MANIFEST", { detail });
  }
  const own = (await ownSchemas([loaded])).schemas.find(({ resolved }) => resolved.schema === schema);
  return { loaded, schema, own };
}

/** Who is known to read it: the workspace, and the registry unless it is not to be asked. Throws REGISTRY_*. */
export async function readersOfMajor(
  { loaded, own }: NamedMajor,
  env: Environment,
  asksRegistry: boolean,
): Promise<KnownConsumer[]> {
  if (own === undefined) return [];
  const { target, others } = await loadSurroundings(loaded.path);
  const registry = asksRegistry ? registryOf(loaded, env) : undefined;
  const { topic } = own.resolved;
  const known = await KnownConsumers.open([target, ...others], [{ topic, registry }]);
  return known.of(majorOf(own), own.contract);
}

/** `--major` of a command line. Throws USAGE. */
export function parseMajor(text: string): number {
  const digits = /^v?(\d+)$/.exec(text)?.[1];
  if (digits === undefined) throw new RejotError("USAGE", { detail: `--major "${text}" is not a number` });
  return Number(digits);
}
