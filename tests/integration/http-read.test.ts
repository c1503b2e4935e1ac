import avsc from "avsc";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import { createReadPort } from "../../shared/http/read/kafka-read.ts";
import type { ReadPort } from "../../shared/http/read/port.ts";
import { createHttpService, type HttpOptions, type HttpService } from "../../shared/http/server.ts";
import type { UnitRole } from "../../shared/http/status.ts";
import { createKafka } from "../../shared/kafka/kafka-client.ts";
import { progressTopic, publicSchemaTopic, subjects } from "../../shared/kafka/naming.ts";
import { type ChangeOp, formatChange } from "../../shared/kafka/position.ts";
import type { KafkaConnection } from "../../shared/manifest/schema.ts";
import type { ResolvedPublicSchema } from "../../shared/manifest/workspace.ts";
import { createLogger, setLogLevel } from "../../shared/observability/logger.ts";
import { createMetrics } from "../../shared/observability/metrics.ts";
import { formatLsn, type Lsn } from "../../shared/postgres/lsn.ts";
import { createSchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { frame } from "../../shared/registry/wire-format.ts";
import type { EncodedEvent } from "../../source-connector/ports.ts";
import { KafkaPublisher } from "../../source-connector/publisher/kafka-publisher.ts";
import { createTopics, kafkaAdmin } from "../support/kafka.ts";
import { waitFor } from "../support/wait-for.ts";

setLogLevel("error");

const PARTITIONS = 3;
const FIRST_COMMIT_MS = Date.parse("2026-03-01T10:00:00Z");

/** One event to publish; without `object` a tombstone. */
interface Change {
  schema: string;
  op: ChangeOp;
  id: number;
  name?: string;
}

interface Transaction {
  transactionId: string;
  operations: {
    type: string;
    sourceManifestSlug: string;
    sourcePublicSchema: unknown;
    object?: { id: number; name: string };
    objectKeys?: { id: number };
  }[];
}

const lsnText = (value: number) => formatLsn(BigInt(value) as Lsn);

/** A data store whose public schemas are published by hand: what a source connector would do, one step at a time. */
class Publishing {
  readonly manifestSlug: string;
  readonly dataStoreSlug = "db";
  readonly eventStore: KafkaConnection;
  readonly publicSchemas: ResolvedPublicSchema[];
  readonly #encoders = new Map<string, (change: Change) => Pick<EncodedEvent, "topic" | "key" | "value">>();
  readonly #publisher: KafkaPublisher;
  readonly #reader: ReadPort;

  private constructor(
    at: Pick<Publishing, "manifestSlug" | "eventStore" | "publicSchemas">,
    p: KafkaPublisher,
  ) {
    this.manifestSlug = at.manifestSlug;
    this.eventStore = at.eventStore;
    this.publicSchemas = at.publicSchemas;
    this.#publisher = p;
    this.#reader = createReadPort([this], { clientId: "test" });
    onTestFinished(() => this.#reader.close());
  }

  static async of(
    names: string[],
    delivery: "exactly-once" | "at-least-once" = "exactly-once",
  ): Promise<Publishing> {
    const manifestSlug = `m-${crypto.randomUUID().slice(0, 8)}`;
    const { brokers, registryUrl } = inject("stack");
    const eventStore: KafkaConnection = {
      connectionType: "kafka",
      brokers,
      schemaRegistry: { url: registryUrl },
    };
    const publicSchemas = names.map((name) => schemaNamed(manifestSlug, name));
    const progress = progressTopic("", manifestSlug, "db");
    // As a source makes them. Others lose what was committed a week ago whenever the broker looks for it.
    const configEntries = [{ name: "cleanup.policy", value: "compact" }];
    const topics = [
      { topic: progress, numPartitions: 1, configEntries },
      ...publicSchemas.map(({ topic }) => ({ topic, numPartitions: PARTITIONS, configEntries })),
    ];
    await using admin = await kafkaAdmin();
    await createTopics(admin, topics);
    const publisher = await KafkaPublisher.open(
      {
        kafka: createKafka(eventStore, { clientId: "test", logger: createLogger("test") }),
        progressTopic: progress,
        transactionalId: `tx.${manifestSlug}`,
        delivery,
        partitions: new Map(topics.map(({ topic, numPartitions }) => [topic, numPartitions])),
        transactionTimeoutMs: 60_000,
        identity: { instance: "test", systemIdentifier: "1", timeline: 1 },
        onSilence: () => {},
      },
      "test",
    );
    onTestFinished(() => publisher.close());
    const publishing = new Publishing({ manifestSlug, eventStore, publicSchemas }, publisher);
    await publishing.#registerSchemas();
    return publishing;
  }

  async #registerSchemas(): Promise<void> {
    const registry = createSchemaRegistry({ url: this.eventStore.schemaRegistry.url });
    for (const { schema, keyFields, topic } of this.publicSchemas) {
      const avro = avroSchemasOf({ manifestSlug: this.manifestSlug, publicSchema: schema, keyFields });
      const { key: keySubject, value: valueSubject } = subjects(topic);
      const keyId = await registry.ensure(keySubject, avro.key, { compatibility: "FULL_TRANSITIVE" });
      const valueId = await registry.ensure(valueSubject, avro.value, { compatibility: "FULL_TRANSITIVE" });
      const keyType = avsc.Type.forSchema(avro.key as avsc.Schema);
      const valueType = avsc.Type.forSchema(avro.value as avsc.Schema);
      this.#encoders.set(schema.name, ({ id, name }) => ({
        topic,
        key: frame(keyId, keyType.toBuffer({ id })),
        value: name === undefined ? null : frame(valueId, valueType.toBuffer({ id, name })),
      }));
    }
  }

  /** Publishes the changes of a source transaction; with `commit` they become visible. */
  async publish(lsn: number, changes: Change[], { commit = true, from = 0 } = {}): Promise<void> {
    const commitLsn = BigInt(lsn) as Lsn;
    const commitTimeMs = FIRST_COMMIT_MS + lsn;
    const events = changes.map((change, i): EncodedEvent => {
      const encode = this.#encoders.get(change.schema);
      if (encode === undefined) throw new Error(`no schema ${change.schema}`);
      const position = { commitLsn, index: from + i };
      const header = formatChange(change.op, position);
      return { ...encode(change), change: header, position, timestampMs: commitTimeMs };
    });
    const progress = { commitLsn, endLsn: (commitLsn + 1n) as Lsn, commitTimeMs };
    await this.#publisher.publish(events, commit ? progress : null);
    if (commit) await this.#waitUntilVisible(commitLsn);
  }

  /** Kafka tells that a transaction is committed before its markers are in the topics. */
  async #waitUntilVisible(commitLsn: Lsn): Promise<void> {
    const isVisible = async () => {
      const cursors = await this.#reader.cursors(new AbortController().signal);
      return cursors.every(({ transactionId }) => transactionId === formatLsn(commitLsn));
    };
    await waitFor(isVisible, { describe: `progress at ${formatLsn(commitLsn)}`, intervalMs: 2 });
  }

  cursor(name: string, transactionId: string | null, offsets?: Record<string, string>): unknown {
    const schema = { manifest: { slug: this.manifestSlug }, schema: { name, version: { major: 1 } } };
    return { schema, transactionId, ...(offsets === undefined ? {} : { offsets }) };
  }
}

function schemaNamed(manifestSlug: string, name: string): ResolvedPublicSchema {
  return {
    manifestSlug,
    dataStoreSlug: "db",
    schema: {
      name,
      source: { dataStoreSlug: "db" },
      outputSchema: {
        type: "object",
        properties: { id: { type: "integer" }, name: { type: "string" } },
        required: ["id", "name"],
        additionalProperties: false,
      },
      version: { major: 1, minor: 2 },
      config: { publicSchemaType: "postgres", transformations: [] },
    },
    keyFields: ["id"],
    topic: publicSchemaTopic("", manifestSlug, name, 1),
  };
}

async function serve(
  stores: Publishing[],
  { role = "active", ...more }: Partial<HttpOptions> & { role?: UnitRole } = {},
): Promise<HttpService> {
  const unit = { dataStore: "db", position: null, lagMs: null, lastError: null, role };
  const service = createHttpService({
    port: 0,
    status: () => ({
      connector: "source",
      state: "started",
      units: stores.map(({ manifestSlug }) => ({ manifestSlug, ...unit })),
    }),
    metrics: [createMetrics("test")],
    publicSchemas: () => stores.flatMap(({ publicSchemas }) => publicSchemas),
    read: createReadPort(stores, { clientId: "test" }),
    ...more,
  });
  await service.start(new AbortController().signal);
  onTestFinished(() => service.stop());
  return service;
}

async function get(service: HttpService, path: string, query: Record<string, unknown> = {}, token?: string) {
  const url = new URL(path, service.url);
  for (const [name, value] of Object.entries(query)) {
    url.searchParams.set(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  const response = await fetch(
    url,
    token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } },
  );
  return { status: response.status, body: (await response.json()) as Transaction[] & { error?: unknown } };
}

async function read(service: HttpService, cursors: unknown[], limit = 1000): Promise<Transaction[]> {
  const { status, body } = await get(service, "/read", { cursors, limit });
  if (status !== 200) throw new Error(`${status}: ${JSON.stringify(body)}`);
  return body;
}

/** Each transaction as its id and the objects' ids in order. */
function summary(transactions: Transaction[]): [string, number[]][] {
  return transactions.map(({ transactionId, operations }) => [
    transactionId,
    operations.map(({ object, objectKeys }) => object?.id ?? objectKeys?.id ?? Number.NaN),
  ]);
}

const upserts = (schema: string, ids: number[]): Change[] =>
  ids.map((id) => ({ schema, op: "c", id, name: `n${id}` }));
const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

describe("GET /read", () => {
  test("answers in ReJot's form: commit order, all partitions and schemas merged, keys of deletions", async () => {
    const store = await Publishing.of(["account", "order"]);
    const service = await serve([store]);
    const cursors = [store.cursor("account", null), store.cursor("order", null)];
    expect(await read(service, cursors)).toEqual([]);
    await store.publish(100, [
      { schema: "account", op: "c", id: 1, name: "Ada" },
      { schema: "order", op: "r", id: 1, name: "first" },
      { schema: "account", op: "u", id: 2, name: "Bob" },
    ]);
    await store.publish(101, [
      { schema: "account", op: "d", id: 1 },
      { schema: "order", op: "d", id: 1, name: "one line less" },
    ]);
    const origin = (name: string) => ({
      sourceManifestSlug: store.manifestSlug,
      sourcePublicSchema: { name, version: { major: 1, minor: 2 } },
    });
    expect(await read(service, cursors)).toEqual([
      {
        transactionId: lsnText(100),
        operations: [
          { type: "insert", ...origin("account"), object: { id: 1, name: "Ada" } },
          { type: "insert", ...origin("order"), object: { id: 1, name: "first" } },
          { type: "update", ...origin("account"), object: { id: 2, name: "Bob" } },
        ],
      },
      {
        transactionId: lsnText(101),
        operations: [
          { type: "delete", ...origin("account"), objectKeys: { id: 1 } },
          { type: "update", ...origin("order"), object: { id: 1, name: "one line less" } },
        ],
      },
    ]);
    expect(summary(await read(service, [store.cursor("order", lsnText(100))]))).toEqual([
      [lsnText(101), [1]],
    ]);
  });

  test("following the cursors gives every event once; no limit cuts a transaction", async () => {
    const store = await Publishing.of(["account"]);
    const service = await serve([store]);
    const sizes = [1, 7, 3, 120, 2, 2, 2, 9, 40, 1];
    const published: [string, number[]][] = [];
    for (const [i, size] of sizes.entries()) {
      const ids = range(1000 * i, size);
      await store.publish(200 + i, upserts("account", ids));
      published.push([lsnText(200 + i), ids]);
    }
    for (const limit of [1, 5, 10, 64, 1000]) {
      // A server that knows nothing yet has to search for the cursor's place.
      const cold = await serve([store]);
      for (const reader of [service, cold]) {
        const seen: [string, number[]][] = [];
        let after: string | null = null;
        for (;;) {
          const transactions: Transaction[] = await read(reader, [store.cursor("account", after)], limit);
          if (transactions.length === 0) break;
          const operations = transactions.reduce((sum, t) => sum + t.operations.length, 0);
          expect(operations <= limit || transactions.length === 1).toBe(true);
          seen.push(...summary(transactions));
          after = transactions.at(-1)?.transactionId ?? null;
        }
        expect(seen).toEqual(published);
      }
    }
    expect(summary(await read(await serve([store]), [store.cursor("account", lsnText(203))], 5))).toEqual(
      published.slice(4, 6),
    );
  });

  test("offsets are where a reader of the topic goes on", async () => {
    const store = await Publishing.of(["account"]);
    const service = await serve([store]);
    for (const i of range(0, 30)) await store.publish(300 + i, upserts("account", [i]));
    await using admin = await kafkaAdmin();
    const ends = await admin.fetchTopicOffsets(store.publicSchemas[0]?.topic as string);
    const offsets = Object.fromEntries(ends.map(({ partition, offset }) => [partition, offset]));
    expect(await read(service, [store.cursor("account", null, offsets)])).toEqual([]);
    await store.publish(400, upserts("account", range(100, 10)));
    const behind = summary(await read(service, [store.cursor("account", null, offsets)]));
    expect(behind).toEqual([[lsnText(400), range(100, 10)]]);
    const onlyFirst = { 0: "0", 1: String(offsets[1]), 2: String(offsets[2]) };
    const some = summary(await read(service, [store.cursor("account", lsnText(310), onlyFirst)]));
    expect(some.at(-1)).toEqual([lsnText(400), range(100, 10)]);
    expect(some.length).toBeGreaterThan(1);
    expect(some.length).toBeLessThan(20);
    // Another reader with the same transaction as cursor must not start where this one did.
    expect(await read(service, [store.cursor("account", lsnText(310))])).toHaveLength(20);
  });

  test("a transaction still open in Kafka is not shown, and holds back nothing that is complete", async () => {
    const store = await Publishing.of(["account"]);
    const other = await Publishing.of(["account"]);
    const service = await serve([store, other]);
    await store.publish(500, upserts("account", range(0, 20)));
    await store.publish(501, upserts("account", range(20, 20)), { commit: false });
    const cursors = [store.cursor("account", null), other.cursor("account", null)];
    expect(summary(await read(service, cursors))).toEqual([[lsnText(500), range(0, 20)]]);
    await other.publish(10, upserts("account", [1]));
    expect(summary(await read(service, cursors))).toEqual([
      [lsnText(10), [1]],
      [lsnText(500), range(0, 20)],
    ]);
    await store.publish(501, upserts("account", range(40, 5)), { from: 20 });
    const after = [store.cursor("account", lsnText(500)), other.cursor("account", lsnText(10))];
    expect(summary(await read(service, after))).toEqual([
      [lsnText(501), [...range(20, 20), ...range(40, 5)]],
    ]);
  });

  test("without Kafka transactions, what is behind the progress is not shown", async () => {
    const store = await Publishing.of(["account"], "at-least-once");
    const service = await serve([store]);
    await store.publish(600, upserts("account", range(0, 5)));
    await store.publish(601, upserts("account", range(5, 5)), { commit: false });
    expect(summary(await read(service, [store.cursor("account", null)]))).toEqual([
      [lsnText(600), range(0, 5)],
    ]);
    // After a crash the publisher repeats it.
    await store.publish(601, upserts("account", range(5, 5)));
    expect(summary(await read(service, [store.cursor("account", null)]))).toEqual([
      [lsnText(600), range(0, 5)],
      [lsnText(601), range(5, 5)],
    ]);
    expect(summary(await read(await serve([store]), [store.cursor("account", lsnText(600))]))).toEqual([
      [lsnText(601), range(5, 5)],
    ]);
  });

  test("a transaction much larger than the limit is streamed whole", async () => {
    const store = await Publishing.of(["account"]);
    const service = await serve([store]);
    const count = 30_000;
    await store.publish(700, upserts("account", range(0, count)));
    await store.publish(701, upserts("account", [1]));
    const transactions = await read(service, [store.cursor("account", null)], 10);
    expect(summary(transactions)).toEqual([[lsnText(700), range(0, count)]]);
    expect(summary(await read(service, [store.cursor("account", lsnText(700))], 10))).toEqual([
      [lsnText(701), [1]],
    ]);
  });

  test("without cursors it reads all schemas from the beginning, two data stores by commit time", async () => {
    const first = await Publishing.of(["account"]);
    const second = await Publishing.of(["order"]);
    const service = await serve([first, second]);
    for (const lsn of [800, 804, 806]) await first.publish(lsn, upserts("account", [lsn, lsn + 1]));
    for (const lsn of [802, 805]) await second.publish(lsn, upserts("order", [lsn, lsn + 1]));
    const { body } = await get(service, "/read");
    expect(summary(body).map(([id]) => id)).toEqual([800, 802, 804, 805, 806].map(lsnText));
    expect((await get(service, "/read", { limit: "5" })).body).toHaveLength(2);
  });

  test("a standby serves as the active one does", async () => {
    const store = await Publishing.of(["account"]);
    const standby = await serve([store], { role: "standby" });
    await store.publish(900, upserts("account", [1]));
    expect((await get(standby, "/readyz")).status).toBe(200);
    expect(await read(standby, [store.cursor("account", null)])).toHaveLength(1);
  });

  test("asks for the token, and refuses what it does not know", async () => {
    const store = await Publishing.of(["account"]);
    await store.publish(950, upserts("account", [1]));
    const service = await serve([store], { token: "a-long-token" });
    const cursors = [store.cursor("account", null)];
    expect((await get(service, "/read", { cursors })).status).toBe(401);
    expect((await get(service, "/read", { cursors }, "another-token")).status).toBe(401);
    expect((await get(service, "/read", { cursors }, "a-long-token")).body).toHaveLength(1);
    const unknown = await get(service, "/read", { cursors: [store.cursor("nobody", null)] }, "a-long-token");
    expect(unknown.status).toBe(404);
    expect(unknown.body.error).toMatchObject({ code: "READ_SCHEMA_UNKNOWN" });
    const malformed = await get(service, "/read", { cursors: "[" }, "a-long-token");
    expect([malformed.status, malformed.body.error]).toMatchObject([400, { code: "READ_REQUEST_INVALID" }]);
  });
});

test("GET /data-store/cursors gives the newest complete transaction of every schema, as cursors for /read", async () => {
  const store = await Publishing.of(["account", "order"]);
  const service = await serve([store]);
  const cursors = async () => (await get(service, "/data-store/cursors")).body as unknown[];
  expect(await cursors()).toEqual([store.cursor("account", null), store.cursor("order", null)]);
  await store.publish(990, upserts("account", [1]));
  await store.publish(991, upserts("account", [2]), { commit: false });
  const now = await cursors();
  expect(now).toEqual([store.cursor("account", lsnText(990)), store.cursor("order", lsnText(990))]);
  expect(await read(service, now)).toEqual([]);
});
