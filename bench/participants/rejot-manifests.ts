import type { Stack } from "../../compose/dev-stack/stack.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { PARTITIONS } from "../measure/kafka-topic.ts";
import { ACCOUNT_COLUMNS } from "../workload/accounts.ts";
import { PUBLICATION } from "../workload/postgres-workload.ts";
import type { SinkTask, SourceTask } from "./participant.ts";

const SCHEMA = "account";
const MAJOR = 1;
const SELECT = `SELECT ${ACCOUNT_COLUMNS.join(", ")} FROM accounts WHERE id = :id`;
const VALUES = ACCOUNT_COLUMNS.map((column) => `:${column}`).join(", ");
const ASSIGNMENTS = ACCOUNT_COLUMNS.slice(1)
  .map((column) => `${column} = EXCLUDED.${column}`)
  .join(", ");

/** The topic of a run's public schema. */
export function topicOfRun(run: string): string {
  return `${slugOf(run)}.${SCHEMA}.v${MAJOR}`;
}

/** A manifest that publishes the accounts as they are. */
export function sourceManifest(stack: Stack, task: SourceTask): Manifest {
  const { run, database, slot, delivery } = task;
  return {
    slug: slugOf(run),
    manifestVersion: 0,
    connections: [postgresConnection(stack, "accounts-db", database.name), kafkaConnection(stack)],
    dataStores: [
      {
        connectionSlug: "accounts-db",
        config: {
          connectionType: "postgres",
          slotName: slot,
          publicationName: PUBLICATION,
          delivery,
          backfill: "manual",
        },
      },
    ],
    eventStores: [{ connectionSlug: "events" }],
    publicSchemas: [publicSchema()],
  };
}

/** A manifest that applies the topic of another run's source to the destination's accounts. */
export function sinkManifest(stack: Stack, { run, publishedBy, destination }: SinkTask): Manifest {
  return {
    slug: slugOf(run),
    manifestVersion: 0,
    connections: [postgresConnection(stack, "copy-db", destination), kafkaConnection(stack)],
    dataStores: [{ connectionSlug: "copy-db" }],
    eventStores: [{ connectionSlug: "events" }],
    consumerSchemas: [
      {
        name: "account-copy",
        sourceManifestSlug: slugOf(publishedBy),
        publicSchema: { name: SCHEMA, majorVersion: MAJOR },
        config: {
          consumerSchemaType: "postgres",
          destinationDataStoreSlug: "copy-db",
          sql:
            `INSERT INTO accounts (${ACCOUNT_COLUMNS.join(", ")}) VALUES (${VALUES}) ` +
            `ON CONFLICT (id) DO UPDATE SET ${ASSIGNMENTS}`,
          deleteSql: "DELETE FROM accounts WHERE id = :id",
        },
      },
    ],
  };
}

function slugOf(run: string): string {
  return run.replaceAll("_", "-");
}

function publicSchema(): NonNullable<Manifest["publicSchemas"]>[number] {
  const properties = Object.fromEntries(
    ACCOUNT_COLUMNS.map((column) => {
      if (column === "id") return [column, { type: "integer" }];
      return [column, { type: column === "note" ? ["string", "null"] : "string" }];
    }),
  );
  return {
    name: SCHEMA,
    source: { dataStoreSlug: "accounts-db" },
    version: { major: MAJOR, minor: 0 },
    key: ["id"],
    outputSchema: { type: "object", properties, required: [...ACCOUNT_COLUMNS] },
    config: {
      publicSchemaType: "postgres",
      transformations: [
        { operation: "insert", table: "accounts", sql: SELECT },
        { operation: "update", table: "accounts", sql: SELECT },
        { operation: "delete", table: "accounts", sql: "SELECT :id::bigint AS id" },
      ],
    },
  };
}

function postgresConnection({ postgres }: Stack, slug: string, database: string) {
  const { host, port, user, password } = postgres;
  return { slug, config: { connectionType: "postgres" as const, host, port, user, password, database } };
}

function kafkaConnection({ kafka, registry }: Stack) {
  return {
    slug: "events",
    config: {
      connectionType: "kafka" as const,
      brokers: kafka.brokers,
      schemaRegistry: { url: registry.url },
      partitions: PARTITIONS,
      replicationFactor: 1,
    },
  };
}
