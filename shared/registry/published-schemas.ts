import { avroSchemasOf } from "../contracts/avro-schema.ts";
import type { AvroRecord } from "../contracts/avro-types.ts";
import {
  conflictsWith,
  describeConflict,
  type EarlierVersion,
  remedyFor,
} from "../contracts/evolution/verdict.ts";
import { RejotError } from "../errors/error.ts";
import { subjects } from "../kafka/naming.ts";
import type { ResolvedPublicSchema } from "../manifest/workspace.ts";
import { publishDeprecation } from "./published-deprecation.ts";
import type { RegisteredSchema, SchemaRegistry } from "./schema-registry.ts";

/** The Avro schemas of a public schema, with the registry's ids. */
export interface PublishedSchemas {
  readonly key: AvroRecord;
  readonly value: AvroRecord;
  readonly keyId: number;
  readonly valueId: number;
}

export interface PublishOptions {
  /** Whether schemas that are missing are registered, and their subjects set to FULL_TRANSITIVE. */
  readonly register: boolean;
  /** All public schemas of the manifest, which tell the major that is free; by default only this one. */
  readonly siblings?: readonly ResolvedPublicSchema[];
  /** Whether a deprecation that the manifest no longer has is taken back in the registry. Default false. */
  readonly withdraw?: boolean;
}

/**
 * The ids of a public schema's key and value. What is registered already is taken as it is; anything new is compared
 * with every version of its subject first, here and not only in the registry, so that the verdict is the one of
 * `schema check`. Nothing is registered when either of the two is refused.
 * Throws SCHEMA_INCOMPATIBLE, SCHEMA_NOT_REGISTERED, SCHEMA_NOT_MAPPABLE, KEY_FIELD_INVALID, REGISTRY_*.
 */
export async function publishSchemas(
  publicSchema: ResolvedPublicSchema,
  registry: SchemaRegistry,
  { register, siblings = [], withdraw = false }: PublishOptions,
): Promise<PublishedSchemas> {
  const { manifestSlug, schema, keyFields, topic } = publicSchema;
  const contract = avroSchemasOf({ manifestSlug, publicSchema: schema, keyFields });
  const subject = subjects(topic);
  const found = {
    key: await registry.find(subject.key, contract.key),
    value: await registry.find(subject.value, contract.value),
  };
  const missing = (["key", "value"] as const).filter((part) => found[part] === undefined);
  if (missing.length > 0) {
    const earlier = (
      await Promise.all(
        missing.map(async (part) => earlierVersions(await registry.versions(subject[part]), part)),
      )
    ).flat();
    refuseConflicts(earlier, contract, publicSchema, nextMajor(publicSchema, siblings));
    if (!register)
      throw notRegistered(
        publicSchema,
        missing.map((part) => subject[part]),
      );
  }
  const ids = { keyId: found.key?.id, valueId: found.value?.id };
  if (register) {
    const compatibility = "FULL_TRANSITIVE";
    for (const part of ["key", "value"] as const) {
      if (found[part] !== undefined) await registry.setCompatibility(subject[part], compatibility);
      else ids[`${part}Id`] = await registry.ensure(subject[part], contract[part], { compatibility });
    }
    const { deprecated } = schema;
    await publishDeprecation(registry, { topic, value: contract.value, deprecated, withdraw });
  }
  return { ...contract, keyId: ids.keyId as number, valueId: ids.valueId as number };
}

/** Versions of a subject as what a new one is compared with. */
export function earlierVersions(
  versions: readonly RegisteredSchema[],
  part: "key" | "value",
): EarlierVersion[] {
  return versions.map(({ version, schema }) => ({
    origin: `version ${version} in the registry`,
    contract: { [part]: schema },
  }));
}

function nextMajor({ schema }: ResolvedPublicSchema, siblings: readonly ResolvedPublicSchema[]): number {
  const same = siblings.filter((other) => other.schema.name === schema.name);
  return Math.max(schema.version.major, ...same.map((other) => other.schema.version.major)) + 1;
}

function refuseConflicts(
  earlier: readonly EarlierVersion[],
  contract: { key: AvroRecord; value: AvroRecord },
  { schema: { name, version }, topic }: ResolvedPublicSchema,
  major: number,
): void {
  const conflicts = conflictsWith(earlier, contract);
  const [first] = conflicts;
  if (first === undefined) return;
  const lines = conflicts.map((conflict) => `\n  - ${describeConflict(conflict, major)}`);
  throw new RejotError("SCHEMA_INCOMPATIBLE", {
    detail: `${name} v${version.major}.${version.minor}${lines.join("")}`,
    ...(conflicts.length === 1 ? { hint: remedyFor(first, major) } : {}),
    context: { topic },
  });
}

function notRegistered(
  { manifestSlug, schema }: ResolvedPublicSchema,
  missing: readonly string[],
): RejotError {
  const { major, minor } = schema.version;
  return new RejotError("SCHEMA_NOT_REGISTERED", {
    detail: `${schema.name} v${major}.${minor} of ${manifestSlug}, subject ${missing.join(" and ")}`,
  });
}
