import type {
  Connection,
  ConsumerSchema,
  DataStore,
  Manifest,
  PublicSchema,
} from "../shared/manifest/schema.ts";
import { hasSecretReference } from "../shared/manifest/secrets.ts";
import { plural, table } from "./report.ts";

/** Type and address of a connection. Secrets are not shown, references to them are. */
export function describeConnection({ config }: Connection): string[] {
  switch (config.connectionType) {
    case "kafka": {
      const prefix = config.topicPrefix ? `, prefix "${config.topicPrefix}"` : "";
      return ["kafka", `${config.brokers.join(",")}, registry ${config.schemaRegistry.url}${prefix}`];
    }
    case "postgres": {
      if (config.connectionString !== undefined) return ["postgres", maskPassword(config.connectionString)];
      const address = `${config.user}@${config.host}:${config.port ?? 5432}/${config.database}`;
      return ["postgres", `${address}${passwordNote(config.password)}`];
    }
    case "in-memory":
      return ["in-memory", "not used by rejot-kafka"];
  }
}

/** Slug of a data store, and slot and publication if it is published from. */
export function describeDataStore({ connectionSlug, config }: DataStore): string[] {
  if (config?.connectionType !== "postgres") return [connectionSlug, "destination only"];
  const delivery = config.delivery === undefined ? "" : `, ${config.delivery}`;
  return [connectionSlug, `slot ${config.slotName}, publication ${config.publicationName}${delivery}`];
}

/** A manifest for a person to read: its parts, one line each. */
export function describeManifest(
  manifest: Manifest,
  keyFields: (schema: PublicSchema) => readonly string[],
): string {
  const sections: [string, string[][]][] = [
    ["connection", (manifest.connections ?? []).map((c) => [c.slug, ...describeConnection(c)])],
    ["data store", (manifest.dataStores ?? []).map(describeDataStore)],
    ["event store", (manifest.eventStores ?? []).map((e) => [e.connectionSlug])],
    ["public schema", (manifest.publicSchemas ?? []).map((s) => describePublicSchema(s, keyFields(s)))],
    ["consumer schema", (manifest.consumerSchemas ?? []).map(describeConsumerSchema)],
  ];
  const lines = sections.flatMap(([noun, rows]) =>
    rows.length === 0 ? [`no ${noun}s`] : [`${plural(rows.length, noun)}:`, table(rows)],
  );
  if (manifest.workspaces !== undefined) lines.push(`workspace of: ${manifest.workspaces.join(", ")}`);
  return lines.join("\n");
}

function describePublicSchema(schema: PublicSchema, keyFields: readonly string[]): string[] {
  const { major, minor } = schema.version;
  const tables = [...new Set(schema.config.transformations.map((t) => t.table))];
  return [
    schema.name,
    `v${major}.${minor}`,
    `from ${schema.source.dataStoreSlug} (${tables.join(", ")})`,
    `key ${keyFields.join(", ") || "unknown"}`,
  ];
}

function describeConsumerSchema(schema: ConsumerSchema): string[] {
  const { name, majorVersion } = schema.publicSchema;
  return [
    schema.name,
    `reads ${schema.sourceManifestSlug}/${name} v${majorVersion}`,
    `writes ${schema.config.destinationDataStoreSlug}`,
  ];
}

function passwordNote(password: string | undefined): string {
  if (password === undefined) return "";
  return hasSecretReference(password) ? `, password ${password}` : ", password in clear";
}

function maskPassword(connectionString: string): string {
  return connectionString.replace(/^(\w+:\/\/[^:@/]*):(.*)@/, (whole, start: string, password: string) =>
    hasSecretReference(password) ? whole : `${start}:***@`,
  );
}
