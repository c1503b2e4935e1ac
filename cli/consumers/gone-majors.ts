import { namespaceOf } from "../../shared/contracts/avro-names.ts";
import { consumerName, majorName } from "../../shared/contracts/consumers/consumer-usage.ts";
import { RejotError } from "../../shared/errors/error.ts";
import { manifestTopicPart, publicSchemaTopic } from "../../shared/kafka/naming.ts";
import { describeReader, type TopicReader } from "../../shared/kafka/topic-reader.ts";
import { type Diagnostic, diagnostic } from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import { manifestPlace } from "../../shared/manifest/schema-place.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import type { KnownConsumers, Major } from "./known-consumers.ts";

/** A major version that a manifest had and has no longer. */
export interface GoneMajor {
  readonly loaded: LoadedManifest;
  readonly major: Major;
  /** Where it still stands: `git:main`, `schemas`, `registry`. */
  readonly origins: readonly string[];
}

/** The major versions of a manifest that the registry has and the manifest has not. Throws REGISTRY_*. */
export async function goneFromRegistry(
  registry: SchemaRegistry,
  { manifest }: LoadedManifest,
  topicPrefix: string,
): Promise<Major[]> {
  const start = `${topicPrefix}${manifestTopicPart(manifest.slug)}.`;
  const gone: Major[] = [];
  for (const subject of await registry.subjects({ prefix: start })) {
    const match = /^(.+)\.v(\d+)-value$/.exec(subject.startsWith(start) ? subject.slice(start.length) : "");
    const [, name = "", digits = ""] = match ?? [];
    if (match === null) continue;
    const majorVersion = Number(digits);
    const kept = (manifest.publicSchemas ?? []).some(
      (schema) => schema.name === name && schema.version.major === majorVersion,
    );
    if (kept) continue;
    // Slugs may contain what begins like another: the namespace says whose it is.
    const schema = await registry.latest(subject);
    if (schema?.namespace !== namespaceOf(manifest.slug, majorVersion)) continue;
    gone.push(majorOfManifest(manifest.slug, name, majorVersion, topicPrefix));
  }
  return gone;
}

/** A major version of a manifest's public schema, whether the manifest still has it or not. */
export function majorOfManifest(
  manifestSlug: string,
  name: string,
  majorVersion: number,
  topicPrefix: string,
): Major {
  const topic = publicSchemaTopic(topicPrefix, manifestSlug, name, majorVersion);
  return { manifestSlug, name, majorVersion, topic, topicPrefix };
}

/** What is known of those who read a major version. */
export interface Readers {
  readonly groups: readonly TopicReader[];
  /** Why Kafka could not be asked. */
  readonly notAsked?: RejotError;
}

/** Asks for groups; a Kafka that cannot be asked from here is told of instead of thrown. */
export async function tryReaders(ask: () => Promise<TopicReader[]>): Promise<Readers> {
  try {
    return { groups: await ask() };
  } catch (error) {
    if (!(error instanceof RejotError)) throw error;
    return { groups: [], notAsked: error };
  }
}

/**
 * Major versions that are gone, and who still reads them: an error then, with one more for each consumer schema at its
 * place. What stands in the registry only was removed before this change: a warning, and nothing where nobody reads.
 */
export async function reportGone(
  gone: readonly GoneMajor[],
  known: KnownConsumers,
  { groups }: Readers,
): Promise<Diagnostic[]> {
  const diagnostics: Diagnostic[] = [];
  for (const { loaded, major, origins } of gone) {
    const isOld = origins.every((origin) => origin === "registry");
    const consumers = await known.of(major, undefined);
    const reading = groups.filter(({ topic, reads }) => topic === major.topic && reads);
    const isRead = consumers.length + reading.length > 0;
    if (isOld && !isRead) continue;
    const severity = isRead && !isOld ? "error" : "warning";
    const readers = [
      ...consumers.map(({ usage }) => consumerName(usage)),
      ...reading.map((reader) => describeReader(reader)),
    ];
    const who = isRead ? `read by ${readers.join(", ")}` : "no known consumer reads it";
    const where = `which is in ${origins.join(" and ")}`;
    const detail = `"${major.name}" v${major.majorVersion}, ${where}; ${who}`;
    const place = manifestPlace(loaded, ["publicSchemas"]);
    diagnostics.push(diagnostic("SCHEMA_NO_LONGER_PUBLISHED", severity, place, detail));
    for (const { usage, place: at } of consumers) {
      const says = `${majorName(major)} is no longer published: ${consumerName(usage)} (group ${usage.group}) reads it`;
      diagnostics.push({
        ...diagnostic("CONSUMER_BROKEN", severity, at(), says),
        manifest: usage.manifestSlug,
      });
    }
  }
  return diagnostics;
}
