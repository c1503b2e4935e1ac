import type { ErrorCode } from "../errors/table.ts";
import { consumerGroup, deadLetterTopic, progressTopic, publicSchemaTopic } from "../kafka/naming.ts";
import { type Diagnostic, diagnostic } from "./diagnostic.ts";
import { displayPath, type LoadedManifest } from "./load.ts";
import type { Manifest, Transformation } from "./schema.ts";

type Report = (
  code: ErrorCode,
  severity: Diagnostic["severity"],
  place: string,
  detail: string,
  hint?: string,
) => void;

/**
 * What is wrong with the references inside manifests and between them. Pure: looks at nothing but the manifests;
 * SQL is not read here.
 */
export function checkStructure(loaded: readonly LoadedManifest[]): Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  const reporter =
    (path: string): Report =>
    (code, severity, place, detail, hint) => {
      diagnostics.push(diagnostic(code, severity, `${displayPath(path)}: ${place}`, detail, hint));
    };
  const slugs = new Map<string, string>();
  for (const { path, manifest } of loaded) {
    const other = slugs.get(manifest.slug);
    if (other === undefined) slugs.set(manifest.slug, path);
    else
      reporter(path)(
        "DUPLICATE_MANIFEST_SLUG",
        "error",
        "slug",
        `"${manifest.slug}" is also in ${displayPath(other)}`,
      );
  }
  for (const { path, manifest } of loaded) {
    const report = reporter(path);
    checkConnections(manifest, report);
    checkDataStores(manifest, report);
    checkEventStores(manifest, report);
    checkPublicSchemas(manifest, report);
    checkConsumerSchemas(manifest, loaded, report);
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
    const place = `connections[${i}]`;
    if (isRepeated(manifest.connections, i, (c) => c.slug)) {
      report("DUPLICATE_CONNECTION", "error", place, `"${connection.slug}"`);
    } else if (!used.has(connection.slug)) {
      report("UNUSED_CONNECTION", "warning", place, `"${connection.slug}"`);
    }
  }
}

function checkDataStores(manifest: Manifest, report: Report): void {
  for (const [i, dataStore] of (manifest.dataStores ?? []).entries()) {
    const place = `dataStores[${i}]`;
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
    const place = `eventStores[${i}]`;
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
    report("EVENT_STORE_MISSING", "error", "eventStores", `"${manifest.slug}"`);
}

function checkPublicSchemas(manifest: Manifest, report: Report): void {
  for (const [i, schema] of (manifest.publicSchemas ?? []).entries()) {
    const place = `publicSchemas[${i}] "${schema.name}" v${schema.version.major}`;
    if (isRepeated(manifest.publicSchemas, i, (s) => `${s.name} v${s.version.major}`)) {
      report("DUPLICATE_PUBLIC_SCHEMA", "error", place, `"${schema.name}" v${schema.version.major}`);
    }
    const slug = schema.source.dataStoreSlug;
    const dataStore = manifest.dataStores?.find((d) => d.connectionSlug === slug);
    if (dataStore === undefined) {
      report("DATA_STORE_NOT_FOUND", "error", place, missing(slug, dataStoreSlugs(manifest)));
    } else if (dataStore.config === undefined) {
      const hint = `rejot-kafka manifest datastore remove ${slug}, then rejot-kafka manifest datastore add --connection ${slug} --publication <name> --slot <name>.`;
      report("DATA_STORE_MISSING_CONFIG", "error", place, `"${slug}"`, hint);
    }
    if (schema.config.transformations.length === 0) {
      report("TRANSFORMATION_MISSING", "error", place, `"${schema.name}"`);
    }
    const { transformations } = schema.config;
    for (const [t, { operation, table }] of transformations.entries()) {
      const detail = `"${schema.name}" v${schema.version.major}, ${operation} of ${table}`;
      if (isRepeated(transformations, t, sameRows)) report("TRANSFORMATION_REPEATED", "error", place, detail);
    }
  }
}

/** Another spelling of the schema is found with the database only. */
function sameRows({ operation, table }: Transformation): string {
  return `${operation} ${table.replace(/^public\./, "")}`;
}

function checkConsumerSchemas(manifest: Manifest, loaded: readonly LoadedManifest[], report: Report): void {
  for (const [i, consumer] of (manifest.consumerSchemas ?? []).entries()) {
    const place = `consumerSchemas[${i}] "${consumer.name}"`;
    if (isRepeated(manifest.consumerSchemas, i, (c) => c.name)) {
      report("DUPLICATE_CONSUMER_SCHEMA", "error", place, `"${consumer.name}"`);
    }
    const slug = consumer.config.destinationDataStoreSlug;
    if (!dataStoreSlugs(manifest).includes(slug)) {
      report("DATA_STORE_NOT_FOUND", "error", place, missing(slug, dataStoreSlugs(manifest)));
    }
    const publisher = loaded.find((m) => m.manifest.slug === consumer.sourceManifestSlug)?.manifest;
    if (publisher === undefined) {
      const detail = `"${consumer.sourceManifestSlug}" is not in this workspace; its topics are looked for in this manifest's own event store`;
      const hint =
        "If the manifest is at hand, add its path to `workspaces`; the check can then compare both sides.";
      report("MANIFEST_NOT_FOUND", "warning", place, detail, hint);
      continue;
    }
    const { name, majorVersion } = consumer.publicSchema;
    const majors = (publisher.publicSchemas ?? []).filter((s) => s.name === name).map((s) => s.version.major);
    if (majors.length === 0) {
      const known = (publisher.publicSchemas ?? []).map((s) => s.name);
      report("PUBLIC_SCHEMA_NOT_FOUND", "error", place, `${missing(name, known)} in "${publisher.slug}"`);
    } else if (!majors.includes(majorVersion)) {
      const detail = `"${name}" of "${publisher.slug}" has v${majors.join(", v")}, not v${majorVersion}`;
      report("VERSION_MISMATCH", "error", place, detail);
    }
  }
}

const LEGAL_TOPIC = /^[A-Za-z0-9._-]{1,249}$/;

function checkTopics(loaded: readonly LoadedManifest[], reporter: (path: string) => Report): void {
  const owners = new Map<string, string>();
  for (const { path, manifest } of loaded) {
    const report = reporter(path);
    for (const [i, schema] of (manifest.publicSchemas ?? []).entries()) {
      if (isRepeated(manifest.publicSchemas, i, (s) => `${s.name} v${s.version.major}`)) continue;
      const place = `publicSchemas[${i}] "${schema.name}" v${schema.version.major}`;
      const topic = publicSchemaTopic("", manifest.slug, schema.name, schema.version.major);
      const owner = owners.get(topic);
      const name = `"${schema.name}" of "${manifest.slug}"`;
      // Manifests that share a slug are reported as such; their schemas must not be reported a second time.
      if (owner !== undefined && !owner.endsWith(` of "${manifest.slug}"`)) {
        report("TOPIC_NAME_COLLISION", "error", place, `${name} and ${owner} would both be ${topic}`);
      }
      owners.set(topic, owner ?? name);
      if (!LEGAL_TOPIC.test(topic)) report("TOPIC_NAME_INVALID", "error", place, topic);
    }
    for (const [i, dataStore] of (manifest.dataStores ?? []).entries()) {
      const topic = progressTopic("", manifest.slug, dataStore.connectionSlug);
      const group = consumerGroup("", manifest.slug, dataStore.connectionSlug);
      const longest = deadLetterTopic(topic, group);
      if (!LEGAL_TOPIC.test(topic)) report("TOPIC_NAME_INVALID", "error", `dataStores[${i}]`, topic);
      else if (!LEGAL_TOPIC.test(longest))
        report("TOPIC_NAME_INVALID", "warning", `dataStores[${i}]`, longest);
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
