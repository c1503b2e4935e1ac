import { deprecationNotice } from "../contracts/deprecation.ts";
import type { ErrorCode } from "../errors/table.ts";
import {
  consumerGroup,
  deadLetterTopic,
  isTopicName,
  progressTopic,
  publicSchemaTopic,
} from "../kafka/naming.ts";
import { type Diagnostic, diagnostic, type Place } from "./diagnostic.ts";
import { displayPath, type LoadedManifest } from "./load.ts";
import type { ConsumerSchema, Manifest, PublicSchema, Transformation } from "./schema.ts";
import { consumerSchemaPlace, manifestPlace, publicSchemaPlace } from "./schema-place.ts";
import { hasSecretReference } from "./secrets.ts";

type Report = (
  code: ErrorCode,
  severity: Diagnostic["severity"],
  part: Part,
  detail: string,
  hint?: string,
) => void;

/** What a finding is about: a path in the manifest's file, or a schema, wherever it is defined. */
type Part = readonly (string | number)[] | PublicSchema | ConsumerSchema;

function placeOf(loaded: LoadedManifest, part: Part): Place {
  if ("outputSchema" in part) return publicSchemaPlace(loaded, part);
  return "config" in part ? consumerSchemaPlace(loaded, part) : manifestPlace(loaded, part);
}

/**
 * What is wrong with the references inside manifests and between them. Pure: looks at nothing but the manifests;
 * SQL is not read here.
 */
export function checkStructure(
  loaded: readonly LoadedManifest[],
  topicPrefixOf: (manifest: Manifest) => string | undefined,
): Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  const reporter =
    (one: LoadedManifest): Report =>
    (code, severity, part, detail, hint) => {
      const found = diagnostic(code, severity, placeOf(one, part), detail, hint);
      diagnostics.push({ ...found, manifest: one.manifest.slug });
    };
  const slugs = new Map<string, string>();
  for (const one of loaded) {
    const { slug } = one.manifest;
    const other = slugs.get(slug);
    if (other === undefined) slugs.set(slug, one.path);
    else {
      const detail = `"${slug}" is also in ${displayPath(other)}`;
      reporter(one)("DUPLICATE_MANIFEST_SLUG", "error", ["slug"], detail);
    }
  }
  for (const one of loaded) {
    const { manifest } = one;
    const report = reporter(one);
    checkConnections(manifest, report);
    checkDataStores(manifest, report);
    checkEventStores(manifest, report);
    checkPublicSchemas(manifest, report);
    checkConsumerSchemas(manifest, loaded, report);
    checkLetterTopics(manifest, loaded, topicPrefixOf, report);
  }
  checkTopics(loaded, reporter);
  return diagnostics;
}

function checkConnections(manifest: Manifest, report: Report): void {
  const used = new Set([
    ...(manifest.dataStores ?? []).map((d) => d.connectionSlug),
    ...(manifest.eventStores ?? []).map((e) => e.connectionSlug),
  ]);
  for (const [i, connection] of (manifest.connections ?? []).entries()) {
    const place = ["connections", i];
    if (isRepeated(manifest.connections, i, (c) => c.slug)) {
      report("DUPLICATE_CONNECTION", "error", place, `"${connection.slug}"`);
    } else if (!used.has(connection.slug)) {
      report("UNUSED_CONNECTION", "warning", place, `"${connection.slug}"`);
    }
  }
}

function checkDataStores(manifest: Manifest, report: Report): void {
  for (const [i, dataStore] of (manifest.dataStores ?? []).entries()) {
    const place = ["dataStores", i];
    if (isRepeated(manifest.dataStores, i, (d) => d.connectionSlug)) {
      report("DUPLICATE_DATA_STORE", "error", place, `"${dataStore.connectionSlug}"`);
      continue;
    }
    const type = connectionType(manifest, dataStore.connectionSlug);
    if (type === undefined) {
      report(
        "CONNECTION_NOT_FOUND",
        "error",
        place,
        missing(dataStore.connectionSlug, connectionSlugs(manifest)),
      );
    } else if (type !== "postgres" || (dataStore.config?.connectionType ?? "postgres") !== "postgres") {
      const detail = `"${dataStore.connectionSlug}" is ${type}, a data store is postgres`;
      report("CONNECTION_TYPE_MISMATCH", "error", place, detail);
    }
  }
}

function checkEventStores(manifest: Manifest, report: Report): void {
  const stores = manifest.eventStores ?? [];
  const types = stores.map((store) => connectionType(manifest, store.connectionSlug));
  for (const [i, store] of stores.entries()) {
    const place = ["eventStores", i];
    if (types[i] === undefined) {
      report(
        "CONNECTION_NOT_FOUND",
        "error",
        place,
        missing(store.connectionSlug, connectionSlugs(manifest)),
      );
    } else if (types[i] !== "kafka") {
      const detail = `"${store.connectionSlug}" is ${types[i]}, an event store is kafka`;
      report("CONNECTION_TYPE_MISMATCH", types.includes("kafka") ? "warning" : "error", place, detail);
    } else if (types.indexOf("kafka") < i) {
      report("EVENT_STORE_UNUSED", "warning", place, `"${store.connectionSlug}" comes after another`);
    }
  }
  const schemas = (manifest.publicSchemas ?? []).length + (manifest.consumerSchemas ?? []).length;
  if (schemas > 0 && stores.length === 0)
    report("EVENT_STORE_MISSING", "error", ["eventStores"], `"${manifest.slug}"`);
}

function checkPublicSchemas(manifest: Manifest, report: Report): void {
  for (const [i, schema] of (manifest.publicSchemas ?? []).entries()) {
    if (isRepeated(manifest.publicSchemas, i, (s) => `${s.name} v${s.version.major}`)) {
      report("DUPLICATE_PUBLIC_SCHEMA", "error", schema, `"${schema.name}" v${schema.version.major}`);
    }
    const slug = schema.source.dataStoreSlug;
    const dataStore = manifest.dataStores?.find((d) => d.connectionSlug === slug);
    if (dataStore === undefined) {
      report("DATA_STORE_NOT_FOUND", "error", schema, missing(slug, dataStoreSlugs(manifest)));
    } else if (dataStore.config === undefined) {
      const hint = `rejot-kafka manifest datastore remove ${slug}, then rejot-kafka manifest datastore add --connection ${slug} --publication <name> --slot <name>.`;
      report("DATA_STORE_MISSING_CONFIG", "error", schema, `"${slug}"`, hint);
    }
    if (schema.config.transformations.length === 0) {
      report("TRANSFORMATION_MISSING", "error", schema, `"${schema.name}"`);
    }
    const { transformations } = schema.config;
    for (const [t, { operation, table }] of transformations.entries()) {
      const detail = `"${schema.name}" v${schema.version.major}, ${operation} of ${table}`;
      if (isRepeated(transformations, t, sameRows))
        report("TRANSFORMATION_REPEATED", "error", schema, detail);
    }
  }
}

/** Another spelling of the schema is found with the database only. */
function sameRows({ operation, table }: Transformation): string {
  return `${operation} ${table.replace(/^public\./, "")}`;
}

function checkConsumerSchemas(manifest: Manifest, loaded: readonly LoadedManifest[], report: Report): void {
  for (const [i, consumer] of (manifest.consumerSchemas ?? []).entries()) {
    if (isRepeated(manifest.consumerSchemas, i, (c) => c.name)) {
      report("DUPLICATE_CONSUMER_SCHEMA", "error", consumer, `"${consumer.name}"`);
    }
    const slug = consumer.config.destinationDataStoreSlug;
    if (!dataStoreSlugs(manifest).includes(slug)) {
      report("DATA_STORE_NOT_FOUND", "error", consumer, missing(slug, dataStoreSlugs(manifest)));
    }
    const publisher = loaded.find((m) => m.manifest.slug === consumer.sourceManifestSlug)?.manifest;
    if (publisher === undefined) {
      const detail = `"${consumer.sourceManifestSlug}" is not in this workspace; its topics are looked for in this manifest's own event store`;
      const hint =
        "If the manifest is at hand, add its path to `workspaces`; the check can then compare both sides.";
      report("MANIFEST_NOT_FOUND", "warning", consumer, detail, hint);
      continue;
    }
    const { name, majorVersion } = consumer.publicSchema;
    const majors = (publisher.publicSchemas ?? []).filter((s) => s.name === name).map((s) => s.version.major);
    if (majors.length === 0) {
      const known = (publisher.publicSchemas ?? []).map((s) => s.name);
      report("PUBLIC_SCHEMA_NOT_FOUND", "error", consumer, `${missing(name, known)} in "${publisher.slug}"`);
    } else if (!majors.includes(majorVersion)) {
      const detail = `"${name}" of "${publisher.slug}" has v${majors.join(", v")}, not v${majorVersion}`;
      report("VERSION_MISMATCH", "error", consumer, detail);
    }
    const read = publisher.publicSchemas?.find((s) => s.name === name && s.version.major === majorVersion);
    if (read?.deprecated !== undefined) {
      const who = `${manifest.slug}/${consumer.name}`;
      const { detail } = deprecationNotice(read.deprecated, consumer, who);
      report("SCHEMA_DEPRECATED", "warning", consumer, detail);
    }
  }
}

/** A sink could make no topic of such a name, and notices only when it has something to set aside. */
function checkLetterTopics(
  manifest: Manifest,
  loaded: readonly LoadedManifest[],
  topicPrefixOf: (manifest: Manifest) => string | undefined,
  report: Report,
): void {
  for (const consumer of manifest.consumerSchemas ?? []) {
    const { sourceManifestSlug, publicSchema, config } = consumer;
    if (config.onError !== "dlq") continue;
    const publisher = loaded.find((m) => m.manifest.slug === sourceManifestSlug)?.manifest;
    const written = (publisher && topicPrefixOf(publisher)) ?? topicPrefixOf(manifest) ?? "";
    const prefix = hasSecretReference(written) ? "" : written;
    const { name, majorVersion } = publicSchema;
    const topic = publicSchemaTopic(prefix, sourceManifestSlug, name, majorVersion);
    const letters = deadLetterTopic(
      topic,
      consumerGroup(prefix, manifest.slug, config.destinationDataStoreSlug),
    );
    if (isTopicName(topic) && !isTopicName(letters))
      report("TOPIC_NAME_INVALID", "error", consumer, `dead letters would go to ${letters}`, LETTERS_HINT);
  }
}

/** What to do about a name that is too long for the topic of dead letters. */
export const LETTERS_HINT = `The name of a topic of dead letters is made of topic prefix, manifest and public schema, and of topic prefix, manifest and data store of the consumer; 249 characters at most. Shorten one of them, or leave out onError: "dlq".`;

function checkTopics(loaded: readonly LoadedManifest[], reporter: (one: LoadedManifest) => Report): void {
  const owners = new Map<string, string>();
  for (const one of loaded) {
    const { manifest } = one;
    const report = reporter(one);
    for (const [i, schema] of (manifest.publicSchemas ?? []).entries()) {
      if (isRepeated(manifest.publicSchemas, i, (s) => `${s.name} v${s.version.major}`)) continue;
      const topic = publicSchemaTopic("", manifest.slug, schema.name, schema.version.major);
      const owner = owners.get(topic);
      const name = `"${schema.name}" of "${manifest.slug}"`;
      // Manifests that share a slug are reported as such; their schemas must not be reported a second time.
      if (owner !== undefined && !owner.endsWith(` of "${manifest.slug}"`)) {
        report("TOPIC_NAME_COLLISION", "error", schema, `${name} and ${owner} would both be ${topic}`);
      }
      owners.set(topic, owner ?? name);
      if (!isTopicName(topic)) report("TOPIC_NAME_INVALID", "error", schema, topic);
    }
    for (const [i, dataStore] of (manifest.dataStores ?? []).entries()) {
      const topic = progressTopic("", manifest.slug, dataStore.connectionSlug);
      const group = consumerGroup("", manifest.slug, dataStore.connectionSlug);
      const longest = deadLetterTopic(topic, group);
      if (!isTopicName(topic)) report("TOPIC_NAME_INVALID", "error", ["dataStores", i], topic);
      else if (!isTopicName(longest)) report("TOPIC_NAME_INVALID", "warning", ["dataStores", i], longest);
    }
  }
}

function isRepeated<T>(items: readonly T[] | undefined, at: number, identity: (item: T) => string): boolean {
  const item = items?.[at];
  if (items === undefined || item === undefined) return false;
  return items.slice(0, at).some((earlier) => identity(earlier) === identity(item));
}

function connectionType(manifest: Manifest, slug: string): string | undefined {
  return manifest.connections?.find((c) => c.slug === slug)?.config.connectionType;
}

function connectionSlugs(manifest: Manifest): string[] {
  return (manifest.connections ?? []).map((c) => c.slug);
}

function dataStoreSlugs(manifest: Manifest): string[] {
  return (manifest.dataStores ?? []).map((d) => d.connectionSlug);
}

function missing(name: string, known: readonly string[]): string {
  return known.length === 0
    ? `"${name}"; there are none`
    : `"${name}"; there is ${known.map((k) => `"${k}"`).join(", ")}`;
}
