import { randomUUID } from "node:crypto";
import { RejotError } from "../shared/errors/error.ts";
import {
  type Admin,
  createKafka,
  ensureTopics,
  type Kafka,
  kafkaError,
  partitionCounts,
} from "../shared/kafka/kafka-client.ts";
import { createEndReader, createKafkaReader } from "../shared/kafka/kafka-reader.ts";
import { topicsWithRetention } from "../shared/kafka/kafka-topic-retention.ts";
import { progressTopic, transactionalId } from "../shared/kafka/naming.ts";
import { delay } from "../shared/lifecycle/backoff.ts";
import type { SessionControl } from "../shared/lifecycle/supervisor.ts";
import type { PostgresConnection } from "../shared/manifest/schema.ts";
import type { ResolvedSource } from "../shared/manifest/workspace.ts";
import type { Logger } from "../shared/observability/logger.ts";
import {
  connectPostgres,
  endPostgres,
  isOverdue,
  isTransientPostgresError,
  type PostgresClient,
  postgresError,
  sqlState,
  writableServer,
} from "../shared/postgres/client.ts";
import { quoteIdentifier, type TableInfo } from "../shared/postgres/table-info.ts";
import { loadTypeCatalog } from "../shared/postgres/type-catalog.ts";
import { createSchemaRegistry, type SchemaRegistryOptions } from "../shared/registry/schema-registry.ts";
import type { SourceConfig } from "./config.ts";
import { AvroEncoder } from "./encoder/avro-encoder.ts";
import { runPipeline } from "./pipeline.ts";
import type { ReplicationStream } from "./ports.ts";
import { ProgressWatcher, SignOfLife } from "./progress/kafka-progress.ts";
import { checkPublishedEnds } from "./progress/kafka-published-ends.ts";
import { KafkaPublisher } from "./publisher/kafka-publisher.ts";
import { openReplication } from "./replication-stream/postgres-replication.ts";
import { backfilledSchemas, SessionBackfill } from "./session-backfill.ts";
import { Heartbeat } from "./setup/postgres-heartbeat.ts";
import { identifySystem } from "./setup/postgres-identity.ts";
import {
  checkServer,
  checkStillPublished,
  createSlot,
  endSlotHolder,
  ensurePublication,
  loadPublishedTables,
  readSlot,
  readWalEnd,
} from "./setup/postgres-setup.ts";
import { requireSameHistory, type SystemIdentity, startingPoint } from "./setup/starting-point.ts";
import { TransactionAssembler } from "./transaction-assembler/assembler.ts";
import { BatchBuffer } from "./transaction-assembler/batch-buffer.ts";
import { ChunkTables } from "./transformer/chunk-tables.ts";
import { PostgresChunkReader } from "./transformer/postgres-chunk-reader.ts";
import { PostgresTransformer } from "./transformer/postgres-transformer.ts";
import { relationOf, TablePlans } from "./transformer/table-plans.ts";
import type { DeleteUse } from "./truncation/cleared-schemas.ts";
import { KafkaTruncation } from "./truncation/kafka-truncation.ts";
import type { UnitState } from "./unit-state.ts";

/** A consumer that is behind for longer may miss deletions; Kafka's own default is a day. */
const TOMBSTONE_RETENTION_MS = 7 * 24 * 3_600_000;

/** How much later than the server's own limit an answer may come. */
const ANSWER_MARGIN_MS = 10_000;

/** What a session is made from. */
export interface SessionOptions {
  readonly source: ResolvedSource;
  readonly config: SourceConfig;
  readonly state: UnitState;
  /** Of this process. */
  readonly instance: string;
  readonly log: Logger;
  readonly control: SessionControl;
  readonly settled: () => void;
}

/** One attempt: prepares, waits for the slot, takes over, publishes until it is told to drain or something breaks. */
export class Session {
  readonly #options: SessionOptions;
  readonly #applicationName: string;
  readonly #progressTopic: string;
  readonly #kafka: Kafka;
  readonly #buffer: BatchBuffer;
  /** Unique for this attempt: what is fenced must not be mistaken for what fences. */
  readonly #claim: string;
  readonly #connections: PostgresClient[] = [];
  /** One server: where the connection names several, all of a session happens on the same. */
  #server: PostgresConnection;
  /** Set when one of the connections broke. */
  #lost: RejotError | undefined;

  constructor(options: SessionOptions) {
    const { source, config } = options;
    this.#options = options;
    this.#server = source.connection;
    this.#applicationName = `rejot-source ${source.manifestSlug} ${source.dataStoreSlug}`;
    this.#progressTopic = progressTopic(
      source.eventStore.topicPrefix ?? "",
      source.manifestSlug,
      source.dataStoreSlug,
    );
    this.#kafka = createKafka(source.eventStore, {
      clientId: `rejot-source-${source.manifestSlug}`,
      logger: options.log,
    });
    this.#buffer = new BatchBuffer(new TransactionAssembler(config, config.onTruncate), config);
    this.#claim = `${options.instance}.${randomUUID().slice(0, 8)}`;
  }

  async run(): Promise<void> {
    try {
      await this.#run();
    } catch (error) {
      throw this.#named(error);
    }
  }

  /** A query that fails because its connection broke says so in words only. */
  #named(error: unknown): unknown {
    if (error instanceof RejotError) return error;
    if (this.#lost !== undefined) return this.#lost;
    const transient = isOverdue(error) || (sqlState(error) !== undefined && isTransientPostgresError(error));
    return transient ? postgresError(error, "preparing") : error;
  }

  async #run(): Promise<void> {
    const { source, state, control } = this.#options;
    await using cleanup = new AsyncDisposableStack();
    state.role = "starting";
    this.#server = await writableServer(source.connection, { applicationName: this.#applicationName });
    const system = await identifySystem(this.#server, this.#applicationName);
    // Heartbeats must not wait for a synchronous standby, which may be down for long.
    const client = await this.#connect(cleanup, { synchronous_commit: "local" });
    await checkServer(client);
    const tables = await this.#publishedTables(client);
    const partitions = await this.#ensureTopics();
    const { transformer, encoder, uses, reader } = await this.#prepareTransformations(cleanup, tables);
    const watcher = await ProgressWatcher.start(this.#kafka, this.#progressTopic, control.abort);
    cleanup.defer(() => watcher.stop());
    // Before the slot is missed, or anything is made there: another cluster has none of that name.
    requireSameHistory({ progress: watcher.progress, walEndLsn: await readWalEnd(client), ...system });
    const added = await ensurePublication(client, source.config, tables);
    if (added.length > 0 && watcher.progress !== undefined) {
      const names = added.map(({ schema, name }) => `${schema}.${name}`);
      this.#options.log.warn(
        { tables: names },
        "new in the publication: earlier changes are not in the stream",
      );
    }
    await this.#ensureSlot(client);

    const stream = await this.#acquireSlot(client, watcher, tables);
    if (stream === undefined) return;
    cleanup.defer(() => stream.stop());
    const publisher = await this.#takeOver(cleanup, partitions, system);
    await watcher.readUpTo(this.#claim);
    await this.#resume(client, watcher, stream, publisher, system);
    this.#startHeartbeat(cleanup, client, stream, tables);
    const backfill = new SessionBackfill({
      ...this.#options,
      reader,
      encoder,
      unproven: () => transformer.unproven,
      client,
      watcher,
      onFailure: (error) => this.#buffer.fail(error),
    });
    cleanup.defer(() => backfill.stop());
    state.role = "active";
    state.oldestWaitingMs = () => this.#buffer.oldestWaitingMs;
    this.#options.settled();
    this.#options.log.info({ position: state.status.position }, "publishing");

    // The signals outlive the session: a listener left behind would keep its buffer in memory.
    const ended = new AbortController();
    cleanup.defer(() => ended.abort());
    const once = { once: true, signal: ended.signal };
    control.drain.addEventListener("abort", () => this.#buffer.end(), once);
    control.abort.addEventListener("abort", () => this.#buffer.fail(control.abort.reason), once);
    control.drain.addEventListener("abort", () => backfill.stop(), once);
    if (control.drain.aborted) this.#buffer.end();
    else backfill.start();
    await runPipeline({
      source: this.#buffer,
      transformer,
      encoder,
      truncation: this.#truncation(cleanup, uses, transformer),
      interleaver: backfill.windows,
      publisher,
      stream,
      onPublished: (batch, events, progress) => {
        if (progress !== null) this.#buffer.published(progress.commitLsn);
        if (progress !== null) backfill.durable(progress.commitLsn);
        state.published(batch, events, progress);
      },
    });
  }

  #truncation(cleanup: AsyncDisposableStack, uses: readonly DeleteUse[], numbers: PostgresTransformer) {
    const { source, control } = this.#options;
    // They connect when they are first used.
    const committed = createKafkaReader(this.#kafka);
    const all = createEndReader(this.#kafka);
    cleanup.defer(() => committed.close());
    cleanup.defer(() => all.close());
    return new KafkaTruncation({
      delivery: source.config.delivery ?? "exactly-once",
      uses,
      topics: source.publicSchemas.map(({ topic }) => topic),
      committed,
      all,
      numbers,
      signal: control.abort,
    });
  }

  async #connect(
    cleanup: AsyncDisposableStack,
    settings: Record<string, string> = {},
    queryTimeoutMs?: number,
  ): Promise<PostgresClient> {
    const client = await connectPostgres(this.#server, {
      applicationName: this.#applicationName,
      settings,
      ...(queryTimeoutMs === undefined ? {} : { queryTimeoutMs }),
    });
    cleanup.defer(() => endPostgres(client));
    this.#connections.push(client);
    // Emitted whenever a connection breaks, before its queries fail.
    client.on("error", (cause) => {
      this.#lost ??= postgresError(cause, "the connection was lost");
      this.#buffer.fail(this.#lost);
    });
    return client;
  }

  async #publishedTables(client: PostgresClient): Promise<TableInfo[]> {
    const { publicSchemas, config } = this.#options.source;
    const used = publicSchemas.flatMap(({ schema }) => schema.config.transformations.map((t) => t.table));
    return loadPublishedTables(client, new Set([...used, ...(config.tables ?? [])]));
  }

  async #ensureTopics(): Promise<ReadonlyMap<string, number>> {
    const { eventStore, publicSchemas } = this.#options.source;
    const admin = this.#kafka.admin();
    try {
      await admin.connect();
      const replicationFactor = eventStore.replicationFactor;
      const compact = { "cleanup.policy": "compact" };
      await ensureTopics(admin, [
        // Small segments: only closed ones are compacted, and every start reads the topic from its beginning.
        {
          topic: this.#progressTopic,
          partitions: 1,
          replicationFactor,
          config: { ...compact, "segment.bytes": "16777216", "min.cleanable.dirty.ratio": "0.1" },
        },
        ...publicSchemas.map(({ topic }) => ({
          topic,
          partitions: eventStore.partitions ?? 6,
          replicationFactor,
          config: { ...compact, "delete.retention.ms": String(TOMBSTONE_RETENTION_MS) },
        })),
      ]);
      const topics = publicSchemas.map(({ topic }) => topic);
      const partitions = await partitionCounts(admin, topics);
      await this.#checkRetention(admin, topics);
      return partitions;
    } catch (cause) {
      throw kafkaError(cause, "preparing topics");
    } finally {
      await admin.disconnect().catch(() => {});
    }
  }

  async #checkRetention(admin: Admin, topics: readonly string[]): Promise<void> {
    const found = await topicsWithRetention(admin, [this.#progressTopic, ...topics]);
    if (found.includes(this.#progressTopic))
      throw new RejotError("TOPIC_RETENTION", { detail: this.#progressTopic });
    for (const topic of found) {
      const { code, message, hint } = new RejotError("TOPIC_RETENTION", { detail: topic });
      this.#options.log.warn({ code, topic, hint }, message);
    }
  }

  /** Plans and compiles all of it now, so that what is wrong stops the start and not the stream. */
  async #prepareTransformations(cleanup: AsyncDisposableStack, tables: readonly TableInfo[]) {
    const { source, config, control, state } = this.#options;
    const client = await this.#connectForTransformations(cleanup);
    const catalog = await loadTypeCatalog(client);
    const registry = createSchemaRegistry(registryOptions(source.eventStore));
    const register = config.registerSchemas === "true";
    const encoder = await AvroEncoder.create(source.publicSchemas, registry, catalog, register);
    const plans = new TablePlans(
      client,
      catalog,
      source.publicSchemas.map(({ schema }) => schema),
    );
    const uses: DeleteUse[] = [];
    for (const table of tables) {
      for (const { schema, plan } of (await plans.prepare(relationOf(table))).all) {
        if (plan.operation === "delete")
          uses.push({ schema, schemaName: plan.schemaName, table: table.oid, emit: plan.emit });
        await encoder.check(schema, plan.table.result, plan.emit === "tombstone");
        if (plan.rowImage !== null)
          await encoder.check(schema, plan.rowImage.result, plan.emit === "tombstone");
      }
    }
    state.details = { ...state.details, transformations: plans.describe() };
    const keyFields = source.publicSchemas.map((publicSchema) => publicSchema.keyFields);
    const chunkTables = await ChunkTables.load(client, plans, backfilledSchemas(source));
    return {
      encoder,
      uses,
      transformer: new PostgresTransformer(client, plans, keyFields, control.abort),
      reader: new PostgresChunkReader(
        () => this.#connectForTransformations(cleanup),
        chunkTables,
        control.abort,
      ),
    };
  }

  async #connectForTransformations(cleanup: AsyncDisposableStack): Promise<PostgresClient> {
    const { config } = this.#options;
    const client = await this.#connect(
      cleanup,
      {
        default_transaction_read_only: "on",
        row_security: config.rowSecurity === "refuse" ? "off" : "on",
        statement_timeout: String(config.statementTimeoutMs),
        // A generic plan walks the keys by index; a plan for 5,000 known keys may decide to read the whole table.
        plan_cache_mode: "force_generic_plan",
        jit: "off",
      },
      // The server ends a statement in time; when it does not say so, the connection is dead.
      config.statementTimeoutMs === 0 ? undefined : config.statementTimeoutMs + ANSWER_MARGIN_MS,
    );
    if (config.transformationRole !== undefined)
      await client.query(`SET ROLE ${quoteIdentifier(config.transformationRole)}`);
    return client;
  }

  /** Creates the slot at the very first start only: later, a missing slot means missing changes. */
  async #ensureSlot(client: PostgresClient): Promise<void> {
    const { control, log, source } = this.#options;
    const { slotName } = source.config;
    if (control.drain.aborted || (await readSlot(client, slotName)) !== undefined) return;
    if (await this.#everPublished()) {
      // Another source may have created the slot and begun since the first look.
      if ((await readSlot(client, slotName)) !== undefined) return;
      throw new RejotError("SLOT_LOST", { detail: `${slotName} does not exist` });
    }
    log.info({ slotName }, "creating the replication slot; this waits for running transactions");
    const giveUp = () => void endPostgres(client);
    control.drain.addEventListener("abort", giveUp, { once: true });
    try {
      await createSlot(client, slotName);
    } finally {
      control.drain.removeEventListener("abort", giveUp);
    }
  }

  async #everPublished(): Promise<boolean> {
    const admin = this.#kafka.admin();
    try {
      await admin.connect();
      const offsets = await admin.fetchTopicOffsets(this.#progressTopic);
      return offsets.some(({ high }) => high !== "0");
    } catch (cause) {
      throw kafkaError(cause, "looking for earlier progress");
    } finally {
      await admin.disconnect().catch(() => {});
    }
  }

  /** The slot's stream, as soon as this process can have it; undefined when told to drain before. */
  async #acquireSlot(
    client: PostgresClient,
    watcher: ProgressWatcher,
    tables: readonly TableInfo[],
  ): Promise<ReplicationStream | undefined> {
    const { source, config, state, control } = this.#options;
    const { slotName, publicationName } = source.config;
    const used = new Set(tables.map((table) => table.oid));
    // Tables that are swapped under one name are one table to the SQL.
    const names = new Set(tables.map(({ schema, name }) => `${schema}.${name}`));
    while (!control.drain.aborted) {
      try {
        return await openReplication({
          connection: this.#server,
          slotName,
          publicationName,
          applicationName: this.#applicationName,
          wanted: ({ oid, schema, name }) => used.has(oid) || names.has(`${schema}.${name}`),
          sink: this.#buffer,
        });
      } catch (error) {
        if (!(error instanceof RejotError) || error.code !== "SLOT_IN_USE") throw error;
      }
      if (this.#lost !== undefined) throw this.#lost;
      state.role = "standby";
      state.recovered();
      this.#options.settled();
      await watcher.refresh();
      if (watcher.progress !== undefined) state.resumed(watcher.progress);
      if (watcher.silentMs > config.takeoverMs) {
        const ended = await endSlotHolder(client, slotName, this.#applicationName);
        if (ended) {
          const { silentMs } = watcher;
          this.#options.log.warn({ silentMs }, "the active source was silent: ended its connection");
        }
      }
      await delay(config.standbyPollMs, control.drain).catch(() => {});
    }
    return undefined;
  }

  async #takeOver(
    cleanup: AsyncDisposableStack,
    partitions: ReadonlyMap<string, number>,
    system: SystemIdentity,
  ): Promise<KafkaPublisher> {
    const { source, config, instance } = this.#options;
    const alive = new SignOfLife(this.#kafka, this.#progressTopic, this.#claim);
    cleanup.defer(() => alive.stop());
    await alive.start(config.aliveMs);
    const publisher = await KafkaPublisher.open(
      {
        kafka: this.#kafka,
        progressTopic: this.#progressTopic,
        transactionalId: transactionalId(
          source.eventStore.topicPrefix ?? "",
          source.manifestSlug,
          source.dataStoreSlug,
        ),
        delivery: source.config.delivery ?? "exactly-once",
        partitions,
        transactionTimeoutMs: config.transactionTimeoutMs,
        identity: { instance, systemIdentifier: system.systemIdentifier, timeline: system.timeline },
      },
      this.#claim,
    );
    cleanup.defer(() => publisher.close());
    return publisher;
  }

  async #resume(
    client: PostgresClient,
    watcher: ProgressWatcher,
    stream: ReplicationStream,
    publisher: KafkaPublisher,
    system: SystemIdentity,
  ): Promise<void> {
    const { source, state } = this.#options;
    const slot = await readSlot(client, source.config.slotName);
    if (slot === undefined) throw new RejotError("SLOT_LOST", { detail: source.config.slotName });
    stream.confirm(slot.confirmedLsn);
    const start = startingPoint({
      progress: watcher.progress,
      slotConfirmedLsn: slot.confirmedLsn,
      walEndLsn: await readWalEnd(client),
      ...system,
    });
    const progress = { ...start, commitTimeMs: watcher.progress?.commitTimeMs ?? Date.now() };
    const ends = watcher.progress?.ends ?? {};
    await checkPublishedEnds(
      this.#kafka,
      source.publicSchemas.map(({ topic }) => topic),
      ends,
      this.#options.control.abort,
    );
    publisher.resumeFrom(ends);
    if (start.fresh) await publisher.publish([], progress);
    this.#buffer.skipUpTo(start.commitLsn, start.comesAgainFromMs);
    stream.confirm(start.endLsn);
    state.resumed(progress);
  }

  #startHeartbeat(
    cleanup: AsyncDisposableStack,
    client: PostgresClient,
    stream: ReplicationStream,
    tables: readonly TableInfo[],
  ): void {
    const { source, config, state } = this.#options;
    const heartbeat = new Heartbeat(client, source.config.slotName, stream.serverPid);
    cleanup.defer(() => heartbeat.stop());
    let lastPosition: string | null = null;
    heartbeat.start(config.heartbeatMs, {
      idle: () => {
        const { position } = state.status;
        const idle = position === lastPosition;
        lastPosition = position;
        return idle;
      },
      onLagBytes: (bytes) => state.measured(bytes),
      check: () => checkStillPublished(client, source.config.publicationName, tables),
      onFailure: (error) => {
        this.#buffer.fail(error);
        // Whoever waits for an answer on one of them would wait for ever.
        for (const connection of this.#connections) void endPostgres(connection);
      },
    });
  }
}

function registryOptions({
  schemaRegistry: { url, auth },
}: ResolvedSource["eventStore"]): SchemaRegistryOptions {
  return auth === undefined ? { url } : { url, auth };
}
