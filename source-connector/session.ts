import { createEndReader, createKafkaReader } from "../shared/kafka/kafka-reader.ts";
import type { PostgresClient } from "../shared/postgres/client.ts";
import type { TableInfo } from "../shared/postgres/table-info.ts";
import { KafkaTopicKeys } from "./backfill/kafka-topic-keys.ts";
import { runPipeline } from "./pipeline.ts";
import type { ReplicationStream } from "./ports.ts";
import { ProgressWatcher } from "./progress/kafka-progress.ts";
import { SessionBackfill } from "./session-backfill.ts";
import { SessionConnections } from "./session-connections.ts";
import { createContext, type SessionContext, type SessionOptions } from "./session-context.ts";
import { foreignHistory, mendable } from "./session-rebuild.ts";
import { acquireSlot, ensureSlot, resume, takeOver } from "./session-takeover.ts";
import { prepareTopics } from "./session-topics.ts";
import { prepareTransformations, publishedTables, type Transformations } from "./session-transformations.ts";
import { Heartbeat } from "./setup/postgres-heartbeat.ts";
import { identifySystem } from "./setup/postgres-identity.ts";
import { isLockTimeout, LOCK_TIMEOUT_MS } from "./setup/postgres-locks.ts";
import { Partitions } from "./setup/postgres-partitions.ts";
import { checkServer, checkStillPublished, ensurePublication, readWalEnd } from "./setup/postgres-setup.ts";
import { KafkaTruncation } from "./truncation/kafka-truncation.ts";

/** One attempt: prepares, waits for the slot, takes over, publishes until it is told to drain or something breaks. */
export class Session {
  readonly #context: SessionContext;

  constructor(options: SessionOptions) {
    this.#context = createContext(options);
  }

  async run(): Promise<void> {
    await using cleanup = new AsyncDisposableStack();
    const connections = await SessionConnections.open(this.#context, cleanup);
    try {
      await this.#run(connections, cleanup);
    } catch (error) {
      throw mendable(this.#context, connections.named(error));
    }
  }

  async #run(connections: SessionConnections, cleanup: AsyncDisposableStack): Promise<void> {
    const context = this.#context;
    const { source, state, control, buffer } = context;
    const system = await identifySystem(connections.server, context.applicationName);
    // Heartbeats must not wait for a synchronous standby, which may be down for long.
    const client = await connections.connect({
      synchronous_commit: "local",
      lock_timeout: String(LOCK_TIMEOUT_MS),
    });
    await checkServer(client);
    const tables = await publishedTables(client, source);
    const partitions = await prepareTopics(context);
    const transformations = await prepareTransformations(context, connections, tables);
    const watcher = await ProgressWatcher.start(context.kafka, context.progressTopic, control.abort);
    cleanup.defer(() => watcher.stop());
    // Before the slot is missed, or anything is made there: another cluster has none of that name.
    const walEndLsn = await readWalEnd(client);
    const foreign = foreignHistory(context, { progress: watcher.progress, walEndLsn, ...system });
    await this.#publish(client, tables, watcher.progress !== undefined);

    const taking = { context, connections, cleanup, client, watcher, system, partitions };
    const lost = await ensureSlot(taking, foreign !== undefined);
    const stream = await acquireSlot(taking, tables);
    if (stream === undefined) return;
    cleanup.defer(() => stream.stop());
    const publisher = await takeOver(taking);
    const begun = await resume(taking, stream, publisher, transformations, lost);
    await this.#startHeartbeat(cleanup, connections, client, stream, tables);
    const { transformer, encoder, reader } = transformations;
    const backfill = new SessionBackfill({
      ...context,
      reader,
      encoder,
      unproven: () => transformer.unproven,
      client,
      watcher,
      keys: this.#keys(cleanup),
      begun,
      onFailure: (error) => buffer.fail(error),
    });
    cleanup.defer(() => backfill.stop());
    state.role = "active";
    state.oldestWaitingMs = () => buffer.oldestWaitingMs;
    context.settled();
    context.log.info({ position: state.status.position }, "publishing");

    this.#obey(cleanup, backfill);
    if (!control.drain.aborted) backfill.start();
    await runPipeline({
      source: buffer,
      transformer,
      encoder,
      truncation: this.#truncation(cleanup, transformations),
      interleaver: backfill.windows,
      publisher,
      stream,
      onPublished: (batch, events, progress) => {
        if (progress !== null) buffer.published(progress.commitLsn);
        if (progress !== null) backfill.durable(progress.commitLsn);
        state.published(batch, events, progress);
      },
    });
  }

  async #publish(
    client: PostgresClient,
    tables: readonly TableInfo[],
    hasPublishedBefore: boolean,
  ): Promise<void> {
    const { source, config, log } = this.#context;
    const needsTruncate = config.onTruncate !== "ignore";
    const added = await ensurePublication(client, source.config, tables, needsTruncate);
    if (added.length === 0 || !hasPublishedBefore) return;
    const names = added.map(({ schema, name }) => `${schema}.${name}`);
    log.warn({ tables: names }, "new in the publication: earlier changes are not in the stream");
  }

  /** Follows the signals to drain and to abort. */
  #obey(cleanup: AsyncDisposableStack, backfill: SessionBackfill): void {
    const { control, buffer } = this.#context;
    // The signals outlive the session: a listener left behind would keep its buffer in memory.
    const ended = new AbortController();
    cleanup.defer(() => ended.abort());
    const once = { once: true, signal: ended.signal };
    control.drain.addEventListener("abort", () => buffer.end(), once);
    control.abort.addEventListener("abort", () => buffer.fail(control.abort.reason), once);
    control.drain.addEventListener("abort", () => backfill.stop(), once);
    if (control.drain.aborted) buffer.end();
  }

  #keys(cleanup: AsyncDisposableStack): KafkaTopicKeys {
    // They connect when they are first used.
    const committed = createKafkaReader(this.#context.kafka);
    const all = createEndReader(this.#context.kafka);
    cleanup.defer(() => committed.close());
    cleanup.defer(() => all.close());
    return new KafkaTopicKeys(committed, all);
  }

  #truncation(cleanup: AsyncDisposableStack, { uses, transformer }: Transformations): KafkaTruncation {
    const { source, control, kafka } = this.#context;
    // They connect when they are first used.
    const committed = createKafkaReader(kafka);
    const all = createEndReader(kafka);
    cleanup.defer(() => committed.close());
    cleanup.defer(() => all.close());
    return new KafkaTruncation({
      delivery: source.config.delivery ?? "exactly-once",
      uses,
      topics: source.publicSchemas.map(({ topic }) => topic),
      committed,
      all,
      numbers: transformer,
      signal: control.abort,
    });
  }

  async #startHeartbeat(
    cleanup: AsyncDisposableStack,
    connections: SessionConnections,
    client: PostgresClient,
    stream: ReplicationStream,
    tables: readonly TableInfo[],
  ): Promise<void> {
    const { source, config, state, buffer, log } = this.#context;
    const partitions = await Partitions.load(client, tables);
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
      check: async () => {
        try {
          await checkStillPublished(client, source.config.publicationName, tables);
          await partitions.check((table) =>
            log.warn(
              { table },
              "a partition was attached; whether it had rows, which are not published, is not known",
            ),
          );
        } catch (error) {
          // The catalogue itself is being rewritten; the next beat looks again.
          if (!isLockTimeout(error)) throw error;
          log.debug({ err: error }, "could not look at the publication");
        }
      },
      onFailure: (error) => {
        buffer.fail(error);
        connections.end();
      },
    });
  }
}
