import type { Command } from "commander";
import { type Deprecation, describeDeprecation } from "../../shared/contracts/deprecation.ts";
import { subjects } from "../../shared/kafka/naming.ts";
import { type ListedRead, listReads } from "../consumers/listed-reads.ts";
import type { CliContext } from "../context.ts";
import { withExamples } from "../help.ts";
import { addManifestOption, findManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { plural, table } from "../report.ts";
import { registryOf } from "../schema/history.ts";
import { loadSchemaManifests, type OwnSchema, ownSchemas } from "../schema/own-schemas.ts";

interface ListFlags extends JsonFlag {
  manifest?: string;
  offline?: boolean;
}

/** What the registry has of a subject. */
interface ListedSubject {
  readonly subject: string;
  /** How many versions are registered. */
  readonly versions: number;
  /** Of the manifest's schema; null while it is not registered. */
  readonly id: number | null;
  /** The registry's own number of that version. */
  readonly version: number | null;
  readonly compatibility: string | null;
}

interface ListedSchema {
  readonly manifest: string;
  readonly schema: string;
  readonly version: { readonly major: number; readonly minor: number };
  readonly topic: string;
  readonly key: readonly string[];
  /** What the manifest says of its end. */
  readonly deprecated: Deprecation | null;
  /** Null with `--offline`. */
  readonly registry: { readonly key: ListedSubject; readonly value: ListedSubject } | null;
}

/** `schema list`: the public schemas with their versions, here and in the registry. */
export function addSchemaList(parent: Command, context: CliContext): void {
  const command = addJsonOption(addManifestOption(parent.command("list")))
    .description("list the public schemas, what the registry has of them, and what consumer schemas read")
    .option("--offline", "do not ask the registry")
    .action(async (flags: ListFlags) => {
      const file = await findManifest(flags.manifest);
      const manifests = await loadSchemaManifests(file);
      const { schemas } = await ownSchemas(manifests);
      const listed: ListedSchema[] = [];
      for (const own of schemas) listed.push(await listOne(own, flags.offline === true, context));
      // What others publish, only the registry knows.
      const reads = flags.offline === true ? [] : await listReads(file, manifests, context.env);
      const text = () =>
        [
          listed.length === 0 ? "no public schemas" : table(listed.map(rowOf)),
          ...(reads.length === 0
            ? []
            : [`${plural(reads.length, "consumer schema")}:`, table(reads.map(readRow))]),
        ].join("\n");
      printResult(context, flags, { schemas: listed, consumers: reads }, text);
    });
  withExamples(command, "schema list", "schema list --offline --json");
}

async function listOne(own: OwnSchema, offline: boolean, context: CliContext): Promise<ListedSchema> {
  const { manifestSlug, schema, topic, keyFields } = own.resolved;
  const about = {
    manifest: manifestSlug,
    schema: schema.name,
    version: schema.version,
    topic,
    key: keyFields,
    deprecated: schema.deprecated ?? null,
  };
  if (offline) return { ...about, registry: null };
  const registry = registryOf(own.loaded, context.env);
  const subjectOf = async (part: "key" | "value"): Promise<ListedSubject> => {
    const subject = subjects(topic)[part];
    const found = await registry.find(subject, own.contract[part]);
    const versions = await registry.versions(subject);
    const compatibility = versions.length === 0 ? undefined : await registry.compatibilityOf(subject);
    return {
      subject,
      versions: versions.length,
      id: found?.id ?? null,
      version: found?.version ?? null,
      compatibility: compatibility ?? null,
    };
  };
  return { ...about, registry: { key: await subjectOf("key"), value: await subjectOf("value") } };
}

function rowOf({ schema, version, topic, key, deprecated, registry }: ListedSchema): string[] {
  return [
    `${schema} v${version.major}.${version.minor}`,
    topic,
    `key ${key.join(", ")}`,
    ...(registry === null
      ? []
      : [registered(registry.value), `ids ${registry.key.id ?? "-"}, ${registry.value.id ?? "-"}`]),
    deprecated === null ? "" : `deprecated${describeDeprecation(deprecated)}`,
  ];
}

function readRow({ consumerSchema, reads, registered: isRegistered, deprecated }: ListedRead): string[] {
  return [
    consumerSchema,
    `reads ${reads.manifest}/${reads.schema} v${reads.majorVersion}`,
    isRegistered ? "registered" : "not registered",
    deprecated === null ? "" : `deprecated${describeDeprecation(deprecated)}`,
  ];
}

function registered({ versions, version }: ListedSubject): string {
  if (versions === 0) return "not registered";
  const count = plural(versions, "version");
  return version === null
    ? `${count} registered, not this one`
    : `registered as version ${version} of ${versions}`;
}
