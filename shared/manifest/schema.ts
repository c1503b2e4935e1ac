import { z } from "zod";

const slug = z
  .string()
  .regex(
    /^(@[a-z0-9-]+\/([a-z0-9-]*)|[a-z0-9-]+)$/,
    "use lower-case letters, digits and hyphens, or @org/name",
  );

const tls = z
  .union([
    z.boolean(),
    z.strictObject({
      ca: z.string().optional(),
      cert: z.string().optional(),
      key: z.string().optional(),
      rejectUnauthorized: z.boolean().optional(),
    }),
  ])
  .describe("TLS to the server: true, or certificates in PEM.");

const postgresConnectionParts = z.strictObject({
  connectionType: z.literal("postgres").describe("Postgres connection type."),
  host: z.string(),
  port: z
    .union([z.number().int(), z.string()])
    .optional()
    .describe("TCP port; a string may refer to a secret, ${PGPORT}. Default 5432."),
  user: z.string(),
  password: z
    .string()
    .optional()
    .describe("Write ${ENV_VAR} or ${file:/run/secrets/x}. Left out for peer, trust, .pgpass or IAM."),
  database: z.string(),
  ssl: tls.optional(),
});

/** As it stands in a manifest: the parts, or one string that holds or refers to all of them. */
const postgresConnection = postgresConnectionParts
  .partial({ host: true, user: true, database: true })
  .extend({
    connectionString: z
      .string()
      .optional()
      .describe(
        "postgres://user@host:port/database, or ${DATABASE_URL}; in place of host, user and database.",
      ),
  })
  .superRefine((value, context) => {
    for (const part of ["host", "user", "database"] as const) {
      const given = value[part] !== undefined;
      if (given === (value.connectionString === undefined)) continue;
      const message = given ? "stands in connectionString already" : "is required";
      context.addIssue({ code: "custom", path: [part], message });
    }
  });

const kafkaConnection = z.strictObject({
  connectionType: z.literal("kafka").describe("Kafka or Redpanda, the event store."),
  brokers: z.array(z.string()).min(1).describe("host:port of the bootstrap brokers."),
  schemaRegistry: z.strictObject({
    url: z.string().describe("Base URL of a registry with Confluent's API."),
    auth: z.strictObject({ username: z.string(), password: z.string() }).optional(),
  }),
  topicPrefix: z
    .string()
    .optional()
    .describe('Put before every topic, group and transactional id. Default "".'),
  partitions: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe("Partitions of topics that are created. Default 6."),
  replicationFactor: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe("Replication factor of topics that are created. Default: the broker's own."),
  clientId: z.string().optional(),
  ssl: tls.optional(),
  sasl: z
    .discriminatedUnion("mechanism", [
      z.strictObject({ mechanism: z.literal("plain"), username: z.string(), password: z.string() }),
      z.strictObject({ mechanism: z.literal("scram-sha-256"), username: z.string(), password: z.string() }),
      z.strictObject({ mechanism: z.literal("scram-sha-512"), username: z.string(), password: z.string() }),
      z.strictObject({ mechanism: z.literal("oauthbearer"), token: z.string() }),
    ])
    .optional(),
});

const inMemory = z.strictObject({ connectionType: z.literal("in-memory") });

/** The form of a connection inside a manifest. */
export const connection = z.strictObject({
  slug: z.string().describe("Unique identifier for the connection."),
  config: z
    .discriminatedUnion("connectionType", [postgresConnection, kafkaConnection, inMemory])
    .describe("Configuration details specific to the connection type."),
});

const identifier = z.string().regex(/^[a-z0-9_]+$/, "use lower-case letters, digits and underscores");

const postgresDataStore = z.strictObject({
  connectionType: z.literal("postgres"),
  slotName: identifier.describe("Name of the replication slot."),
  publicationName: identifier.describe("Name of the publication."),
  tables: z.array(z.string()).optional().describe("Tables to replicate beside those the public schemas use."),
  allTables: z.boolean().optional().describe("When true, all tables are replicated (needs a superuser)."),
  delivery: z
    .enum(["exactly-once", "at-least-once"])
    .optional()
    .describe("Kafka transactions, or an idempotent producer with lower latency. Default exactly-once."),
});

/** The form of a data store inside a manifest. */
export const dataStore = z.strictObject({
  connectionSlug: z.string().describe("Slug of the connection to use for this data store."),
  config: z
    .discriminatedUnion("connectionType", [postgresDataStore, inMemory])
    .optional()
    .describe("Slot and publication of a source; a data store that is only written to has none."),
});

const eventStore = z.strictObject({
  connectionSlug: z.string().describe("Slug of the connection to use for this event store."),
});

const transformation = z.strictObject({
  operation: z.enum(["insert", "update", "delete"]),
  table: z
    .string()
    .describe("This transformation runs when a row of this table changes; schema.table or table."),
  sql: z.string().describe("One SELECT; :name or $1, where positions follow the table's columns."),
  emit: z
    .enum(["upsert", "tombstone"])
    .optional()
    .describe("For delete: tombstone for the key (default), or publish the whole object anew."),
});

/** The form of a public schema inside a manifest. */
export const publicSchema = z.strictObject({
  name: z
    .string()
    .regex(
      /^[A-Za-z0-9_.-]+$/,
      "use letters, digits, dot, hyphen and underscore: it is part of a topic's name",
    )
    .describe("Unique name for the public schema."),
  source: z.strictObject({ dataStoreSlug: z.string().min(1) }),
  outputSchema: z.record(z.string(), z.unknown()).describe("JSON Schema (draft 7) of the published object."),
  key: z.array(z.string()).min(1).optional().describe("Fields that identify an object; the record key."),
  version: z.strictObject({ major: z.number().int().min(0), minor: z.number().int().min(0) }),
  definitionFile: z.string().optional(),
  config: z.strictObject({
    publicSchemaType: z.literal("postgres"),
    transformations: z.array(transformation),
  }),
});

/** The form of a consumer schema inside a manifest. */
export const consumerSchema = z.strictObject({
  name: z.string(),
  sourceManifestSlug: z.string().min(1).describe("Slug of the manifest that defines the public schema."),
  publicSchema: z.strictObject({ name: z.string().min(1), majorVersion: z.number().int().min(0) }),
  definitionFile: z.string().optional(),
  config: z.strictObject({
    consumerSchemaType: z.literal("postgres"),
    destinationDataStoreSlug: z.string(),
    sql: z.string().describe("Runs for every insert or update; :name are fields of the public schema."),
    deleteSql: z.string().optional().describe("Runs for every tombstone; :name are the key's fields."),
    deletes: z.enum(["ignore"]).optional().describe("Says that tombstones are left out on purpose."),
    onError: z
      .enum(["stop", "dlq"])
      .optional()
      .describe("What happens with an event that cannot be applied. Default stop."),
  }),
});

/** The manifest's format: ReJot's, version 0, with optional additions. */
export const manifestSchema = z.strictObject({
  slug: slug.describe("Unique identifier for this manifest."),
  manifestVersion: z.literal(0).describe("Version of the manifest file format."),
  $schema: z.string().optional(),
  connections: z.array(connection).optional(),
  dataStores: z.array(dataStore).optional(),
  eventStores: z.array(eventStore).optional(),
  publicSchemas: z.array(publicSchema).optional(),
  consumerSchemas: z.array(consumerSchema).optional(),
  workspaces: z.array(z.string()).optional().describe("Paths or globs of manifests that form the workspace."),
});

/** A manifest as it stands in its file. */
export type Manifest = z.infer<typeof manifestSchema>;
export type Connection = z.infer<typeof connection>;
/** A Postgres connection in parts, as the connectors use it once its secrets are resolved. */
export type PostgresConnection = z.infer<typeof postgresConnectionParts>;
export type KafkaConnection = z.infer<typeof kafkaConnection>;
export type DataStore = z.infer<typeof dataStore>;
export type PostgresDataStore = z.infer<typeof postgresDataStore>;
export type Transformation = z.infer<typeof transformation>;
export type PublicSchema = z.infer<typeof publicSchema>;
export type ConsumerSchema = z.infer<typeof consumerSchema>;
