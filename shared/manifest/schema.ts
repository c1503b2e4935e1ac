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
      ca: z
        .string()
        .optional()
        .describe("Certificates of the authorities to trust, in PEM.")
        .meta({ examples: ["${file:/run/secrets/ca.pem}"] }),
      cert: z.string().optional().describe("Certificate of this client, in PEM."),
      key: z.string().optional().describe("Key of the client's certificate, in PEM."),
      rejectUnauthorized: z
        .boolean()
        .optional()
        .describe("When false, any certificate of the server is taken. Default true."),
    }),
  ])
  .describe("TLS to the server: true, or certificates in PEM.");

const postgresConnectionParts = z.strictObject({
  connectionType: z.literal("postgres").describe("Postgres connection type."),
  host: z
    .string()
    .describe(
      "Host name, address or socket folder; several, separated by commas, of which the one that takes writes is used.",
    )
    .meta({ examples: ["localhost", "${PGHOST}", "db-1,db-2"] }),
  port: z
    .union([z.number().int().min(1).max(65_535), z.string()])
    .optional()
    .describe(
      "TCP port; a string may refer to a secret, ${PGPORT}, or list a port for each host. Default 5432.",
    ),
  user: z
    .string()
    .describe("Role that connects.")
    .meta({ examples: ["app", "${PGUSER}"] }),
  password: z
    .string()
    .optional()
    .describe("Write ${ENV_VAR} or ${file:/run/secrets/x}. Left out for peer, trust, .pgpass or IAM.")
    .meta({ examples: ["${DB_PASSWORD}", "${file:/run/secrets/db-password}"] }),
  database: z
    .string()
    .describe("Name of the database.")
    .meta({ examples: ["accounts", "${PGDATABASE}"] }),
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
      )
      .meta({ examples: ["${DATABASE_URL}", "postgres://app:${DB_PASSWORD}@localhost:5432/accounts"] }),
  })
  .superRefine((value, context) => {
    for (const part of ["host", "user", "database"] as const) {
      const given = value[part] !== undefined;
      if (given === (value.connectionString === undefined)) continue;
      const message = given ? "stands in connectionString already" : "is required";
      context.addIssue({ code: "custom", path: [part], message });
    }
  })
  // The same rule for the JSON Schema, which cannot be made of a function.
  .meta({
    oneOf: [
      { required: ["host", "user", "database"], not: { required: ["connectionString"] } },
      {
        required: ["connectionString"],
        not: { anyOf: [{ required: ["host"] }, { required: ["user"] }, { required: ["database"] }] },
      },
    ],
  });

const username = z.string().describe("Name to sign in with.");
const kafkaPassword = z
  .string()
  .describe("Write ${ENV_VAR} or ${file:/run/secrets/x}.")
  .meta({ examples: ["${KAFKA_PASSWORD}"] });

/** One of the mechanisms that take a name and a password. */
function passwordSasl<const M extends string>(mechanism: M) {
  return z.strictObject({
    mechanism: z.literal(mechanism).describe("How to sign in."),
    username,
    password: kafkaPassword,
  });
}

const kafkaConnection = z.strictObject({
  connectionType: z.literal("kafka").describe("Kafka or Redpanda, the event store."),
  brokers: z
    .array(z.string())
    .min(1)
    .describe("host:port of the bootstrap brokers.")
    .meta({ examples: [["localhost:9092"]] }),
  schemaRegistry: z
    .strictObject({
      url: z
        .string()
        .describe("Base URL of a registry with Confluent's API.")
        .meta({ examples: ["http://localhost:8081"] }),
      auth: z
        .strictObject({ username, password: kafkaPassword })
        .optional()
        .describe("Basic authentication at the registry."),
    })
    .describe("The registry that holds the schemas of the topics."),
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
  clientId: z
    .string()
    .optional()
    .describe("Name of this client in the brokers' logs and quotas. Default: made of the manifest's slug."),
  ssl: tls.optional(),
  sasl: z
    .discriminatedUnion("mechanism", [
      passwordSasl("plain"),
      passwordSasl("scram-sha-256"),
      passwordSasl("scram-sha-512"),
      z.strictObject({
        mechanism: z.literal("oauthbearer").describe("How to sign in."),
        token: z.string().describe("The bearer token; write ${ENV_VAR} or ${file:/run/secrets/x}."),
      }),
    ])
    .optional()
    .describe("How to sign in to the brokers; left out where they ask for nothing."),
});

const inMemory = z.strictObject({
  connectionType: z.literal("in-memory").describe("ReJot's event store in memory; passed over here."),
});

/** The form of a connection inside a manifest. */
export const connection = z.strictObject({
  slug: z
    .string()
    .min(1, "must not be empty")
    .describe("Unique identifier for the connection.")
    .meta({ examples: ["db", "events"] }),
  config: z
    .discriminatedUnion("connectionType", [postgresConnection, kafkaConnection, inMemory])
    .describe("Configuration details specific to the connection type."),
});

const identifier = z.string().regex(/^[a-z0-9_]+$/, "use lower-case letters, digits and underscores");

const backfillMode = z.enum(["auto", "manual"]);

const backfill = z
  .union([
    backfillMode,
    z.strictObject({
      mode: backfillMode
        .optional()
        .describe("Whether it begins by itself. Default: what the data store says."),
      tables: z
        .array(z.string())
        .min(1)
        .optional()
        .describe("Tables whose rows make all objects. Default: found in the transformations."),
    }),
  ])
  .describe("Whether the rows that are already there are published without being asked. Default auto.");

const postgresDataStore = z.strictObject({
  connectionType: z.literal("postgres").describe("Postgres, the only kind that is published from."),
  slotName: identifier.describe("Name of the replication slot; made at the first start."),
  publicationName: identifier.describe("Name of the publication; made at the first start."),
  tables: z.array(z.string()).optional().describe("Tables to replicate beside those the public schemas use."),
  allTables: z.boolean().optional().describe("When true, all tables are replicated (needs a superuser)."),
  delivery: z
    .enum(["exactly-once", "at-least-once"])
    .optional()
    .describe("Kafka transactions, or an idempotent producer with lower latency. Default exactly-once."),
  backfill: backfillMode
    .optional()
    .describe("What public schemas do that do not say it themselves. Default auto."),
  onSlotLost: z
    .enum(["stop", "rebuild"])
    .optional()
    .describe(
      "What a source does when changes are missing: stop, or publish all rows anew and remove what is gone. Default: the source's setting on-slot-lost.",
    ),
});

/** The form of a data store inside a manifest. */
export const dataStore = z.strictObject({
  connectionSlug: z
    .string()
    .describe("Slug of the connection to use for this data store; it is the data store's slug too."),
  config: z
    .discriminatedUnion("connectionType", [postgresDataStore, inMemory])
    .optional()
    .describe("Slot and publication of a source; a data store that is only written to has none."),
});

const eventStore = z.strictObject({
  connectionSlug: z.string().describe("Slug of the connection to use for this event store."),
});

const transformation = z.strictObject({
  operation: z
    .enum(["insert", "update", "delete"])
    .describe("This transformation runs when a row is inserted, updated or deleted."),
  table: z
    .string()
    .describe("This transformation runs when a row of this table changes; schema.table or table.")
    .meta({ examples: ["accounts", "public.accounts"] }),
  sql: z
    .string()
    .describe("One SELECT; :name or $1, where positions follow the table's columns.")
    .meta({ examples: ["SELECT id, email FROM accounts WHERE id = :id"] }),
  emit: z
    .enum(["upsert", "tombstone"])
    .optional()
    .describe("For delete: tombstone for the key (default), or publish the whole object anew."),
});

/** Editors then complete and check the keys of JSON Schema inside. */
const JSON_SCHEMA = "http://json-schema.org/draft-07/schema#";

const definitionFile = z
  .string()
  .optional()
  .describe("File that defines the schema, relative to the manifest; written by `rejot-kafka collect`.");

/** The form of a public schema inside a manifest. */
export const publicSchema = z.strictObject({
  name: z
    .string()
    .regex(
      /^[A-Za-z0-9_.-]+$/,
      "use letters, digits, dot, hyphen and underscore: it is part of a topic's name",
    )
    .describe("Unique name for the public schema."),
  source: z
    .strictObject({
      dataStoreSlug: z.string().min(1).describe("Slug of the data store that is published from."),
    })
    .describe("Where the public schema is read from."),
  outputSchema: z
    .record(z.string(), z.unknown())
    .describe("JSON Schema (draft 7) of the published object.")
    .meta({ allOf: [{ $ref: JSON_SCHEMA }] }),
  key: z
    .array(z.string())
    .min(1)
    .optional()
    .describe("Fields that identify an object; the record key.")
    .meta({ examples: [["id"]] }),
  version: z
    .strictObject({
      major: z
        .number()
        .int()
        .min(0)
        .describe("Changes with what breaks consumers; part of the topic's name."),
      minor: z.number().int().min(0).describe("Changes with what consumers may ignore."),
    })
    .describe("Version of the contract."),
  deprecated: z
    .strictObject({
      since: z
        .string()
        .regex(/^\d{4}-\d{2}-\d{2}$/, "use a date: 2026-11-30")
        .optional()
        .describe("Day it was deprecated."),
      message: z
        .string()
        .min(1)
        .optional()
        .describe("What consumers should do; they see it where they are checked and started.")
        .meta({ examples: ["Read v2: customers have several addresses now."] }),
    })
    .optional()
    .describe(
      "Says that this major version will be removed. Written by `rejot-kafka schema deprecate`, or by code.",
    ),
  backfill: backfill.optional(),
  definitionFile,
  config: z
    .strictObject({
      publicSchemaType: z.literal("postgres").describe("What the transformations run on."),
      transformations: z
        .array(transformation)
        .describe("What to select when a row of a table changes; one for each table and operation."),
    })
    .describe("How the published object is made."),
});

/** The form of a consumer schema inside a manifest. */
export const consumerSchema = z.strictObject({
  name: z.string().describe("Unique name for the consumer schema."),
  sourceManifestSlug: z.string().min(1).describe("Slug of the manifest that defines the public schema."),
  publicSchema: z
    .strictObject({
      name: z.string().min(1).describe("Name of the public schema."),
      majorVersion: z.number().int().min(0).describe("Its major version; every minor of it is read."),
    })
    .describe("The public schema that is consumed."),
  definitionFile,
  config: z
    .strictObject({
      consumerSchemaType: z.literal("postgres").describe("What the statements run on."),
      destinationDataStoreSlug: z.string().describe("Slug of the data store that is written to."),
      sql: z
        .string()
        .describe("Runs for every insert or update; :name are fields of the public schema.")
        .meta({
          examples: [
            "INSERT INTO account (id, email) VALUES (:id, :email) ON CONFLICT (id) DO UPDATE SET email = :email",
          ],
        }),
      deleteSql: z
        .string()
        .optional()
        .describe("Runs for every tombstone; :name are the key's fields.")
        .meta({ examples: ["DELETE FROM account WHERE id = :id"] }),
      deletes: z.enum(["ignore"]).optional().describe("Says that tombstones are left out on purpose."),
      onError: z
        .enum(["stop", "dlq"])
        .optional()
        .describe("What happens with an event that cannot be applied. Default stop."),
    })
    .describe("How an event is stored."),
});

/** The manifest's format: ReJot's, version 0, with optional additions. */
export const manifestSchema = z.strictObject({
  slug: slug
    .describe("Unique identifier for this manifest: lower-case letters, digits and hyphens, or @org/name.")
    .meta({ examples: ["accounts", "@shop/accounts"] }),
  manifestVersion: z.literal(0).describe("Version of the manifest file format."),
  $schema: z
    .string()
    .optional()
    .describe("Path or URL of this JSON Schema, by which editors complete and check the manifest.")
    .meta({ examples: ["./node_modules/rejot-kafka/manifest.schema.json"] }),
  connections: z.array(connection).optional().describe("Databases and Kafkas, by slug."),
  dataStores: z.array(dataStore).optional().describe("The databases that are published from or written to."),
  eventStores: z
    .array(eventStore)
    .optional()
    .describe("The Kafka that events are kept in: the first kafka connection named."),
  publicSchemas: z.array(publicSchema).optional().describe("What this team publishes."),
  consumerSchemas: z
    .array(consumerSchema)
    .optional()
    .describe("What this team reads of others, and how it is stored."),
  workspaces: z
    .array(z.string())
    .optional()
    .describe("Paths or globs of manifests that form the workspace, relative to this one.")
    .meta({ examples: [["./**/rejot-manifest.json"]] }),
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
