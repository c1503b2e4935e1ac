import { RejotError } from "../errors/error.ts";
import { publicSchemaTopic } from "../kafka/naming.ts";
import { parseConnectionString } from "./connection-string.ts";
import { type Diagnostic, throwOnErrors } from "./diagnostic.ts";
import { resolveKey } from "./key.ts";
import type { LoadedManifest } from "./load.ts";
import type {
  ConsumerSchema,
  KafkaConnection,
  Manifest,
  PostgresConnection,
  PostgresDataStore,
  PublicSchema,
} from "./schema.ts";
import { publicSchemaPlace, transformationPlace } from "./schema-place.ts";
import { type Environment, resolveSecrets, soleReference } from "./secrets.ts";
import { checkStructure } from "./workspace-check.ts";

/** A public schema with what the connectors need to know of it. */
export interface ResolvedPublicSchema {
  readonly manifestSlug: string;
  /** The data store it is read from. */
  readonly dataStoreSlug: string;
  readonly schema: PublicSchema;
  /** Fields of the record key, in order; never empty. */
  readonly keyFields: readonly string[];
  readonly topic: string;
}

/** A data store whose changes are published: one slot, one publisher. */
export interface ResolvedSource {
  readonly manifestSlug: string;
  readonly dataStoreSlug: string;
  /** Secrets are resolved. */
  readonly connection: PostgresConnection;
  readonly config: PostgresDataStore;
  /** Secrets are resolved. */
  readonly eventStore: KafkaConnection;
  readonly publicSchemas: readonly ResolvedPublicSchema[];
}

/** A consumer schema and the topic it reads. */
export interface ResolvedConsumer {
  readonly consumerSchema: ConsumerSchema;
  /** Undefined when its manifest is not in the workspace: then only the registry knows its form. */
  readonly publicSchema: ResolvedPublicSchema | undefined;
  readonly topic: string;
}

/** A data store that events are applied to: one consumer group. One more for every further Kafka it reads. */
export interface ResolvedDestination {
  readonly manifestSlug: string;
  readonly dataStoreSlug: string;
  /** Secrets are resolved. */
  readonly connection: PostgresConnection;
  /** Where all topics of `consumers` are. Secrets are resolved. */
  readonly eventStore: KafkaConnection;
  readonly consumers: readonly ResolvedConsumer[];
}

/** Everything the manifests say, looked up, checked and with secrets resolved. */
export interface Workspace {
  readonly manifests: readonly LoadedManifest[];
  readonly publicSchemas: readonly ResolvedPublicSchema[];
  readonly sources: readonly ResolvedSource[];
  readonly destinations: readonly ResolvedDestination[];
  /** Warnings; errors were thrown. */
  readonly diagnostics: readonly Diagnostic[];
}

/** A part of the work: a connector resolves only the secrets of its own part. */
export type Role = "source" | "sink";

/**
 * Resolves what the manifests refer to. Secrets are looked up in `env`, only for the roles named (both by
 * default): the source's process need not know the destinations' passwords. The lists of roles left out are empty.
 * Throws the first error found by `checkWorkspace`, naming all others, or SECRET_NOT_FOUND.
 */
export async function resolveWorkspace(
  loaded: readonly LoadedManifest[],
  env: Environment,
  roles: readonly Role[] = ["source", "sink"],
): Promise<Workspace> {
  const { diagnostics, publicSchemas } = await checkWorkspace(loaded);
  throwOnErrors(diagnostics);
  const look = new LookUp(loaded, env);
  return {
    manifests: loaded,
    publicSchemas,
    sources: roles.includes("source")
      ? loaded.flatMap((m) => sourcesOf(m.manifest, publicSchemas, look))
      : [],
    destinations: roles.includes("sink")
      ? loaded.flatMap((m) => destinationsOf(m.manifest, publicSchemas, look))
      : [],
    diagnostics,
  };
}

/** Checks manifests alone and against each other, secrets left as they are. Never throws for what it finds. */
export async function checkWorkspace(
  loaded: readonly LoadedManifest[],
): Promise<{ diagnostics: Diagnostic[]; publicSchemas: ResolvedPublicSchema[] }> {
  const diagnostics = checkStructure(loaded, storePrefixOf);
  const publicSchemas: ResolvedPublicSchema[] = [];
  for (const one of loaded) {
    const { manifest } = one;
    for (const schema of manifest.publicSchemas ?? []) {
      const key = await resolveKey(schema, {
        schema: () => publicSchemaPlace(one, schema),
        transformation: (transformation, error) => transformationPlace(one, schema, transformation, error),
      });
      diagnostics.push(...key.diagnostics.map((d) => ({ ...d, manifest: manifest.slug })));
      publicSchemas.push({
        manifestSlug: manifest.slug,
        dataStoreSlug: schema.source.dataStoreSlug,
        schema,
        keyFields: key.keyFields,
        topic: publicSchemaTopic(prefixOf(manifest), manifest.slug, schema.name, schema.version.major),
      });
    }
  }
  return { diagnostics, publicSchemas };
}

/** The first of a manifest's event stores that is a Kafka, as written. ReJot's own kinds are passed over. */
export function kafkaEventStore(manifest: Manifest): KafkaConnection | undefined {
  for (const { connectionSlug } of manifest.eventStores ?? []) {
    const config = manifest.connections?.find((c) => c.slug === connectionSlug)?.config;
    if (config?.connectionType === "kafka") return config;
  }
  return undefined;
}

/**
 * A data store's connection in parts, with secrets resolved.
 * Throws SECRET_NOT_FOUND, CONNECTION_STRING_INVALID, CONNECTION_NOT_FOUND or CONNECTION_TYPE_MISMATCH.
 */
export function postgresConnection(manifest: Manifest, slug: string, env: Environment): PostgresConnection {
  const config = manifest.connections?.find((c) => c.slug === slug)?.config;
  if (config === undefined) throw new RejotError("CONNECTION_NOT_FOUND", { detail: `"${slug}"` });
  if (config.connectionType !== "postgres") {
    throw new RejotError("CONNECTION_TYPE_MISMATCH", {
      detail: `"${slug}" is ${config.connectionType}, not postgres`,
    });
  }
  const { connectionString, ...parts } = config;
  if (connectionString === undefined) return resolveSecrets(parts as PostgresConnection, env);
  const whole = soleReference(connectionString) !== undefined;
  const text = whole ? resolveSecrets(connectionString, env) : connectionString;
  return {
    ...resolveSecrets(parseConnectionString(text).connection, env),
    ...resolveSecrets(definedParts(parts), env),
  };
}

function definedParts(parts: object): Partial<PostgresConnection> {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
}

function prefixOf(manifest: Manifest): string {
  return storePrefixOf(manifest) ?? "";
}

/** As written; undefined for a manifest without an event store. */
function storePrefixOf(manifest: Manifest): string | undefined {
  const store = kafkaEventStore(manifest);
  return store && (store.topicPrefix ?? "");
}

class LookUp {
  readonly #manifests: ReadonlyMap<string, Manifest>;
  readonly env: Environment;

  constructor(loaded: readonly LoadedManifest[], env: Environment) {
    this.#manifests = new Map(loaded.map(({ manifest }) => [manifest.slug, manifest]));
    this.env = env;
  }

  /**
   * The event store that a manifest's topics are in: its own if the workspace knows it, else the reader's. Where
   * both are one Kafka, the reader uses its own connection: it may not know the other team's password.
   */
  eventStore(slug: string, reader: Manifest): KafkaConnection {
    const manifest = this.#manifests.get(slug);
    const theirs = manifest === undefined ? undefined : kafkaEventStore(manifest);
    const ours = kafkaEventStore(reader);
    const store = theirs ?? ours;
    if (store === undefined) throw new RejotError("EVENT_STORE_MISSING", { detail: `"${reader.slug}"` });
    const shared = ours !== undefined && isSameKafka(ours, store);
    return resolveSecrets(shared ? { ...ours, topicPrefix: store.topicPrefix ?? "" } : store, this.env);
  }
}

function isSameKafka(a: KafkaConnection, b: KafkaConnection): boolean {
  return (
    a.schemaRegistry.url === b.schemaRegistry.url && a.brokers.some((broker) => b.brokers.includes(broker))
  );
}

function sourcesOf(
  manifest: Manifest,
  publicSchemas: readonly ResolvedPublicSchema[],
  look: LookUp,
): ResolvedSource[] {
  return (manifest.dataStores ?? []).flatMap((dataStore) => {
    const slug = dataStore.connectionSlug;
    const own = publicSchemas.filter((p) => p.manifestSlug === manifest.slug && p.dataStoreSlug === slug);
    if (dataStore.config?.connectionType !== "postgres" || own.length === 0) return [];
    return [
      {
        manifestSlug: manifest.slug,
        dataStoreSlug: slug,
        connection: postgresConnection(manifest, slug, look.env),
        config: dataStore.config,
        eventStore: look.eventStore(manifest.slug, manifest),
        publicSchemas: own,
      },
    ];
  });
}

function destinationsOf(
  manifest: Manifest,
  publicSchemas: readonly ResolvedPublicSchema[],
  look: LookUp,
): ResolvedDestination[] {
  const destinations: (ResolvedDestination & { consumers: ResolvedConsumer[] })[] = [];
  for (const consumerSchema of manifest.consumerSchemas ?? []) {
    const dataStoreSlug = consumerSchema.config.destinationDataStoreSlug;
    const eventStore = look.eventStore(consumerSchema.sourceManifestSlug, manifest);
    // One consumer group must not be joined by two members of one process that want different topics.
    let destination = destinations.find(
      (d) =>
        d.dataStoreSlug === dataStoreSlug &&
        (d.eventStore.topicPrefix ?? "") === (eventStore.topicPrefix ?? "") &&
        isSameKafka(d.eventStore, eventStore),
    );
    if (destination === undefined) {
      const connection = postgresConnection(manifest, dataStoreSlug, look.env);
      destination = { manifestSlug: manifest.slug, dataStoreSlug, connection, eventStore, consumers: [] };
      destinations.push(destination);
    }
    destination.consumers.push(resolveConsumer(consumerSchema, publicSchemas, eventStore));
  }
  return destinations;
}

function resolveConsumer(
  consumerSchema: ConsumerSchema,
  publicSchemas: readonly ResolvedPublicSchema[],
  eventStore: KafkaConnection,
): ResolvedConsumer {
  const { sourceManifestSlug, publicSchema: wanted } = consumerSchema;
  const topic = publicSchemaTopic(
    eventStore.topicPrefix ?? "",
    sourceManifestSlug,
    wanted.name,
    wanted.majorVersion,
  );
  const publicSchema = publicSchemas.find(
    (p) =>
      p.manifestSlug === sourceManifestSlug &&
      p.schema.name === wanted.name &&
      p.schema.version.major === wanted.majorVersion,
  );
  return { consumerSchema, publicSchema, topic };
}
