import type {
  Connection,
  ConsumerSchema,
  DataStore,
  Manifest,
  PublicSchema,
} from "../shared/manifest/schema.ts";
import { soleReference } from "../shared/manifest/secrets.ts";
import { plural, table } from "./report.ts";

/** Type and address of a connection. Secrets are not shown, references to them are. */
export function describeConnection({ config }: Connection): string[] {
  switch (config.connectionType) {
    case "kafka": {
      const prefix = config.topicPrefix ? `, prefix "${config.topicPrefix}"` : "";
      const registry = maskPassword(config.schemaRegistry.url);
      return ["kafka", `${config.brokers.join(",")}, registry ${registry}${prefix}`];
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

/** What is known of a public schema beside what it says itself. */
export interface SchemaFacts {
  readonly keyFields: readonly string[];
  readonly topic: string;
}

/** A manifest for a program to read: its parts, without secrets and without the schemas' statements. */
export function manifestJson(
  manifest: Manifest,
  file: string,
  factsOf: (schema: PublicSchema) => SchemaFacts,
): object {
  const { slug, dataStores = [], eventStores = [], workspaces } = manifest;
  return {
    manifest: file,
    slug,
    connections: (manifest.connections ?? []).map(withoutSecrets),
    dataStores,
    eventStores,
    publicSchemas: (manifest.publicSchemas ?? []).map((schema) => ({
      name: schema.name,
      version: schema.version,
      dataStore: schema.source.dataStoreSlug,
      tables: tablesOf(schema),
      key: factsOf(schema).keyFields,
      topic: factsOf(schema).topic,
    })),
    consumerSchemas: (manifest.consumerSchemas ?? []).map(
      ({ name, sourceManifestSlug, publicSchema, config }) => ({
        name,
        publicSchema: { manifest: sourceManifestSlug, ...publicSchema },
        dataStore: config.destinationDataStoreSlug,
      }),
    ),
    ...(workspaces === undefined ? {} : { workspaces }),
  };
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
  return [
    schema.name,
    `v${major}.${minor}`,
    `from ${schema.source.dataStoreSlug} (${tablesOf(schema).join(", ")})`,
    `key ${keyFields.join(", ") || "unknown"}`,
  ];
}

function tablesOf(schema: PublicSchema): string[] {
  return [...new Set(schema.config.transformations.map((t) => t.table))];
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
  return soleReference(password) === undefined ? ", password in clear" : `, password ${password}`;
}

/** A connection string whose password, if it stands there in clear, is hidden. */
function maskPassword(connectionString: string): string {
  return connectionString
    .replace(
      /^(\w+:\/\/[^:@/]*):(.*)@/,
      (_, start: string, password: string) => `${start}:${maskSecret(password)}@`,
    )
    .replace(
      /([?&](?:ssl)?password=)([^&]*)/,
      (_, start: string, password: string) => `${start}${maskSecret(password)}`,
    );
}

/** References to secrets are shown, all else is hidden. */
function maskSecret(text: string): string {
  return soleReference(text) === undefined ? "***" : text;
}

const SECRET_KEYS = new Set(["password", "token", "key"]);

/** A connection as it stands in the manifest, with the secrets that stand there in clear hidden. */
export function withoutSecrets({ slug, config }: Connection): object {
  return { slug, config: hideSecrets(config) };
}

function hideSecrets(value: object): object {
  return Object.fromEntries(
    Object.entries(value).map(([key, item]: [string, unknown]) => {
      if (typeof item === "object" && item !== null && !Array.isArray(item)) return [key, hideSecrets(item)];
      if (typeof item !== "string") return [key, item];
      if (SECRET_KEYS.has(key)) return [key, maskSecret(item)];
      return [key, key === "connectionString" || key === "url" ? maskPassword(item) : item];
    }),
  );
}
