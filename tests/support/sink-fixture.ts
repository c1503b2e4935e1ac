import avsc from "avsc";
import { type Admin, type Message, Partitioners, type Producer } from "kafkajs";
import { inject } from "vitest";
import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import type { AvroRecord } from "../../shared/contracts/avro-types.ts";
import { publicSchemaTopic, subjects } from "../../shared/kafka/naming.ts";
import { CHANGE_HEADER, formatChange } from "../../shared/kafka/position.ts";
import type { ConsumerSchema, Manifest, PublicSchema } from "../../shared/manifest/schema.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import { createSchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { frame } from "../../shared/registry/wire-format.ts";
import { writeFiles } from "./connector.ts";
import { createDatabase, type TestDatabase } from "./database.ts";
import type { StackAddresses } from "./global-stack.ts";
import { createTopics, plainKafka } from "./kafka.ts";
import { randomName } from "./names.ts";

/** A public schema of a fixture: its fields as JSON Schema, and its key. */
export interface FixtureSchema {
  readonly name: string;
  readonly properties: Record<string, object>;
  readonly required: readonly string[];
  readonly key: readonly string[];
  /** Default 3. */
  readonly partitions?: number;
}

/** A consumer schema of a fixture, without what follows from the rest. */
export type FixtureConsumer = Omit<
  ConsumerSchema["config"],
  "consumerSchemaType" | "destinationDataStoreSlug"
> & {
  readonly name: string;
  readonly schema: string;
};

/** One event: a value, or null for a tombstone of the key. */
export interface FixtureEvent {
  readonly key: Record<string, unknown>;
  readonly value: Record<string, unknown> | null;
  /** Takes the place of the encoded value. */
  readonly rawValue?: Buffer;
  readonly partition?: number;
}

export interface SinkFixtureOptions {
  readonly schemas: readonly FixtureSchema[];
  readonly consumers: readonly FixtureConsumer[];
  /** SQL that makes the destination's tables. */
  readonly sql: string;
  /** Default: the servers of the run. */
  readonly stack?: StackAddresses;
  /** Leaves the topics to be created later by `createTopics`. */
  readonly withoutTopics?: boolean;
  /** Changes the manifest before it is written. */
  readonly adapt?: (manifest: Manifest) => void;
}

/** A destination, a manifest that writes to it and a publisher of events; `await using` removes them. */
export interface SinkFixture extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly manifest: Manifest;
  /** Path of the manifest's file. */
  readonly manifestPath: string;
  readonly group: string;
  topic(schema: string): string;
  createTopics(): Promise<void>;
  /** Registers the schemas of a topic again, for a registry that has forgotten them. */
  registerSchemas(schema: string): Promise<void>;
  /** Publishes events in one Kafka transaction, each with a position above all before; or without a transaction. */
  publish(
    schema: string,
    events: readonly FixtureEvent[],
    options?: { transactional?: boolean; commitLsn?: bigint },
  ): Promise<void>;
  readonly admin: Admin;
}

const SLUG = "fixture";

/** Makes all that a sink needs, but no sink. */
export async function sinkFixture(options: SinkFixtureOptions): Promise<SinkFixture> {
  const stack = options.stack ?? inject("stack");
  const database = await createDatabase({ server: stack.postgres, sql: options.sql });
  const topicPrefix = `${randomName("p")}.`;
  const manifest = manifestOf(options, stack, database, topicPrefix);
  const published = structuredClone(manifest);
  options.adapt?.(manifest);
  const files = await writeFiles({ "rejot-manifest.json": manifest });
  const kafka = plainKafka(stack.brokers);
  const admin = kafka.admin();
  await admin.connect();
  const topic = (schema: string): string => publicSchemaTopic(topicPrefix, SLUG, schema, 1);
  const producers = new Map<boolean, Promise<Producer>>();
  const producer = (transactional: boolean): Promise<Producer> => {
    const made = producers.get(transactional) ?? connected(transactional);
    producers.set(transactional, made);
    return made;
  };
  const connected = async (transactional: boolean): Promise<Producer> => {
    const made = kafka.producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      retry: { initialRetryTime: 5 },
      ...(transactional
        ? { transactionalId: `${topicPrefix}publisher`, idempotent: true, maxInFlightRequests: 1 }
        : {}),
    });
    await made.connect();
    return made;
  };
  const encoders = new Map<string, Promise<Encoders>>();
  let lsn = 1_000n;
  const makeTopics = (): Promise<void> =>
    createTopics(
      admin,
      options.schemas.map(({ name, partitions }) => ({
        topic: topic(name),
        numPartitions: partitions ?? 3,
        configEntries: [{ name: "cleanup.policy", value: "compact" }],
      })),
    );
  if (options.withoutTopics !== true) await makeTopics();
  return {
    database,
    manifest,
    manifestPath: files.path("rejot-manifest.json"),
    group: `${topicPrefix}rejot.sink.${SLUG}.destination`,
    topic,
    createTopics: makeTopics,
    registerSchemas: async (schema) => {
      await registerSchemas(published, schema, topic(schema), stack.registryUrl);
    },
    admin,
    async publish(schema, events, { transactional = true, commitLsn } = {}) {
      let encode = encoders.get(schema);
      if (encode === undefined) {
        encode = registerSchemas(published, schema, topic(schema), stack.registryUrl);
        encoders.set(schema, encode);
      }
      lsn = commitLsn ?? lsn + 8n;
      const messages = messagesOf(events, await encode, lsn);
      const sender = await producer(transactional);
      if (!transactional) {
        await sender.send({ topic: topic(schema), messages });
        return;
      }
      const transaction = await sender.transaction();
      await transaction.send({ topic: topic(schema), messages });
      await transaction.commit();
    },
    [Symbol.asyncDispose]: async () => {
      for (const made of producers.values()) await (await made).disconnect().catch(() => {});
      await admin.disconnect();
      await files[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}

interface Encoders {
  key(value: Record<string, unknown>): Buffer;
  value(value: Record<string, unknown>): Buffer;
}

function messagesOf(events: readonly FixtureEvent[], encode: Encoders, lsn: bigint): Message[] {
  return events.map((event, index) => ({
    key: encode.key(event.key),
    value: event.rawValue ?? (event.value === null ? null : encode.value(event.value)),
    timestamp: String(Date.now()),
    headers: {
      [CHANGE_HEADER]: formatChange(event.value === null ? "d" : "u", { commitLsn: lsn as Lsn, index }),
    },
    ...(event.partition === undefined ? {} : { partition: event.partition }),
  }));
}

async function registerSchemas(
  manifest: Manifest,
  name: string,
  topic: string,
  registryUrl: string,
): Promise<Encoders> {
  const publicSchema = manifest.publicSchemas?.find((schema) => schema.name === name) as PublicSchema;
  const avro = avroSchemasOf({ manifestSlug: SLUG, publicSchema, keyFields: publicSchema.key ?? [] });
  const registry = createSchemaRegistry({ url: registryUrl });
  const encoder = async (subject: string, schema: AvroRecord) => {
    const id = await registry.ensure(subject, schema, { compatibility: "FULL_TRANSITIVE" });
    const type = avsc.Type.forSchema(schema as never);
    return (value: Record<string, unknown>) => frame(id, type.toBuffer(value));
  };
  return {
    key: await encoder(subjects(topic).key, avro.key),
    value: await encoder(subjects(topic).value, avro.value),
  };
}

function manifestOf(
  options: SinkFixtureOptions,
  stack: StackAddresses,
  database: TestDatabase,
  topicPrefix: string,
): Manifest {
  return {
    slug: SLUG,
    manifestVersion: 0,
    connections: [
      { slug: "destination", config: database.connection },
      {
        slug: "events",
        config: {
          connectionType: "kafka",
          brokers: stack.brokers,
          schemaRegistry: { url: stack.registryUrl },
          topicPrefix,
        },
      },
    ],
    dataStores: [
      {
        connectionSlug: "destination",
        config: { connectionType: "postgres", slotName: "unused", publicationName: "unused" },
      },
    ],
    eventStores: [{ connectionSlug: "events" }],
    publicSchemas: options.schemas.map(
      (schema): PublicSchema => ({
        name: schema.name,
        source: { dataStoreSlug: "destination" },
        outputSchema: { type: "object", properties: schema.properties, required: [...schema.required] },
        key: [...schema.key],
        version: { major: 1, minor: 0 },
        config: {
          publicSchemaType: "postgres",
          transformations: [
            {
              operation: "insert",
              table: schema.name,
              sql: `SELECT ${Object.keys(schema.properties)
                .map((field) => `"${field}"`)
                .join(", ")} FROM ${schema.name}`,
            },
          ],
        },
      }),
    ),
    consumerSchemas: options.consumers.map(({ name, schema, ...config }) => ({
      name,
      sourceManifestSlug: SLUG,
      publicSchema: { name: schema, majorVersion: 1 },
      config: { consumerSchemaType: "postgres", destinationDataStoreSlug: "destination", ...config },
    })),
  };
}
