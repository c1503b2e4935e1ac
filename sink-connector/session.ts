import { describeError, type RejotError } from "../shared/errors/error.ts";
import { createKafka, type Kafka } from "../shared/kafka/kafka-client.ts";
import { untilAborted } from "../shared/lifecycle/abort.ts";
import { delay } from "../shared/lifecycle/backoff.ts";
import { throwOnErrors } from "../shared/manifest/diagnostic.ts";
import type { ResolvedDestination } from "../shared/manifest/workspace.ts";
import type { Logger } from "../shared/observability/logger.ts";
import type { SchemaRegistry } from "../shared/registry/schema-registry.ts";
import { Applier } from "./applier/applier.ts";
import { PostgresDestination } from "./applier/postgres-destination.ts";
import type { AcceptedStatements } from "./applier/postgres-parameters.ts";
import type { SinkConfig } from "./config.ts";
import { HeldTopics } from "./consumer/held-topics.ts";
import { existingTopics, KafkaConsumer } from "./consumer/kafka-consumer.ts";
import { KafkaDeadLetters } from "./dead-letter/kafka-dead-letters.ts";
import { EventDecoder } from "./decoder/event-decoder.ts";
import { checkAgainstRegistry, type DestinationPlan, registeredContracts } from "./destination-plan.ts";
import { runPipeline } from "./pipeline.ts";
import type { PartitionPoint, PartitionProgress } from "./ports.ts";
import { watchWaitingLetters } from "./postgres-waiting-letters.ts";
import { type Notice, watchRegistry } from "./registry-notices.ts";
import type { UnitState } from "./unit-state.ts";

const JOIN_MARGIN_MS = 5_000;

const LETTERS_COUNTED_MS = 30_000;

/** What a session is made from. */
export interface SessionOptions {
  readonly destination: ResolvedDestination;
  readonly plan: DestinationPlan;
  readonly config: SinkConfig;
  readonly state: UnitState;
  readonly registry: SchemaRegistry;
  /** Outlives the session. */
  readonly accepted: AcceptedStatements;
  readonly logger: Logger;
  /** Aborted when the session should finish the batch it has begun and resolve. */
  readonly drain: AbortSignal;
  /** Told when destination and group have taken this process. */
  readonly worked: () => void;
}

/** One attempt at serving a destination: connects everything and works until drained or until something breaks. */
export class Session {
  readonly #options: SessionOptions;
  readonly #kafka: Kafka;
  readonly #postgres: PostgresDestination;
  readonly #holds = new HeldTopics();
  /** Consumer schemas that were behind others, as they were told of. */
  readonly #joining = new Set<string>();

  constructor(options: SessionOptions) {
    const { destination, plan, config, logger, drain, state } = options;
    this.#options = options;
    this.#kafka = createKafka(destination.eventStore, {
      clientId: plan.group,
      logger,
      // The coordinator answers a join once all members have come, or this time is over.
      longestAnswerMs: config.rebalanceTimeoutMs + JOIN_MARGIN_MS,
    });
    this.#postgres = new PostgresDestination(
      {
        connection: destination.connection,
        group: plan.group,
        statements: plan.statements,
        accepted: options.accepted,
        consumers: plan.consumers,
        keepsLetters: plan.consumers.some(({ onError }) => onError === "dlq"),
        lockTimeoutMs: config.lockTimeoutMs,
        applyTimeoutMs: config.applyTimeoutMs,
        logger,
      },
      { onRetry: (error) => this.#trouble(error), onRecovery: () => state.recovered() },
      // While stopping, a batch is finished but not tried again: the progress tells the next start where to go on.
      drain,
    );
  }

  async run(): Promise<void> {
    const { plan, state, drain, config } = this.#options;
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(() => this.#postgres.close());
    const { parameters, mode } = await untilAborted(this.#postgres.open(), drain);
    state.applyMode = mode;
    const deadLetters = this.#deadLetters();
    cleanup.defer(() => deadLetters.close());
    const decoder = new EventDecoder(this.#options.registry, plan.routes(parameters));
    const applier = new Applier({
      destination: this.#postgres,
      deadLetters,
      consumers: plan.consumers,
      consumerOfStatement: plan.consumerOfStatement,
      maxRows: this.#options.config.maxRows,
      onMoved: (moves) => this.#holds.moved(moves),
      describeKey: (event) => decoder.describeKey(event),
    });
    while (!drain.aborted) {
      const topics = await untilAborted(existingTopics(this.#kafka, plan.topics), drain);
      state.missingTopics = plan.topics.filter((topic) => !topics.includes(topic));
      if (topics.length > 0) {
        await this.#serve(topics, decoder, applier);
        continue;
      }
      state.waiting();
      await delay(config.topicPollMs, drain).catch(() => {});
    }
  }

  /** Reads topics until drained, until something breaks, or until one more topic exists. */
  async #serve(topics: readonly string[], decoder: EventDecoder, applier: Applier): Promise<void> {
    const { state, drain, destination, plan, registry } = this.#options;
    const foreign = destination.consumers.filter(({ publicSchema }) => publicSchema === undefined);
    const foreignTopics = [...new Set(foreign.map(({ topic }) => topic))];
    const contracts = await untilAborted(registeredContracts(foreignTopics, registry), drain);
    throwOnErrors(checkAgainstRegistry(destination, plan, contracts));
    const consumer = this.#consumer(topics, decoder);
    const ended = new AbortController();
    void this.#watchRegistry(ended.signal);
    this.#watchLetters(ended.signal);
    const endFeed = (): void => consumer.feed.end();
    drain.addEventListener("abort", endFeed, { once: true });
    if (drain.aborted) endFeed();
    state.feed = consumer.feed;
    state.holds = this.#holds;
    try {
      await consumer.start();
      void this.#watchForTopics(topics, ended.signal).then(endFeed, () => {});
      await runPipeline({
        topics: plan.topics,
        consumers: plan.consumers,
        feed: consumer.feed,
        destination: this.#postgres,
        applier,
        holds: this.#holds,
        observer: {
          applied: (runs, moves, seconds) => state.applied(runs, moves, seconds),
          placed: (places) => {
            this.#options.worked();
            state.placed(places);
            this.#tellJoining(places);
          },
          held: (error, isNew) => this.#tellHeld(error, isNew),
          displaced: (moves) =>
            this.#options.logger.warn(
              { moves },
              "the destination's progress is elsewhere: reading on from there",
            ),
        },
      });
    } finally {
      ended.abort();
      drain.removeEventListener("abort", endFeed);
      await consumer.stop();
      state.feed = undefined;
      this.#holds.clear();
    }
  }

  #tellJoining(places: readonly PartitionProgress[]): void {
    for (const { topic, places: at } of places) {
      for (const consumerSchema of at.behind.keys()) {
        const name = `${topic} ${consumerSchema}`;
        if (this.#joining.has(name)) continue;
        this.#joining.add(name);
        this.#options.logger.info(
          { topic, consumerSchema },
          "a consumer schema is behind the others of its topic: they wait until it has applied what they have",
        );
      }
    }
  }

  #watchLetters(signal: AbortSignal): void {
    const { destination, plan, state } = this.#options;
    if (plan.consumers.every(({ onError }) => onError !== "dlq")) return;
    void watchWaitingLetters({
      connection: destination.connection,
      group: plan.group,
      everyMs: LETTERS_COUNTED_MS,
      signal,
      onCounts: (counts) => state.lettersWait(counts),
    });
  }

  async #watchRegistry(signal: AbortSignal): Promise<void> {
    const { destination, plan, registry, config, state, logger } = this.#options;
    const logged = new Set<string>();
    const onNotices = (notices: readonly Notice[]): void => {
      if (signal.aborted) return;
      state.notices = notices;
      for (const { code, message, hint } of notices) {
        if (!logged.has(message)) logger.warn({ code, hint }, message);
        logged.add(message);
      }
    };
    const register = config.registerConsumers === "true";
    await watchRegistry({ destination, plan, registry, register, signal, onNotices });
  }

  /** Resolves when a topic exists that was missing. */
  async #watchForTopics(present: readonly string[], signal: AbortSignal): Promise<void> {
    const { plan, config, logger } = this.#options;
    const missing = plan.topics.filter((topic) => !present.includes(topic));
    if (missing.length === 0) return new Promise<void>(() => {});
    for (;;) {
      await delay(config.topicPollMs, signal);
      const found = await existingTopics(this.#kafka, missing).catch(() => []);
      if (found.length > 0) {
        logger.info({ topics: found }, "topics have appeared");
        return;
      }
    }
  }

  #consumer(topics: readonly string[], decoder: EventDecoder): KafkaConsumer {
    const { plan, config, state, logger, drain } = this.#options;
    return new KafkaConsumer({
      kafka: this.#kafka,
      group: plan.group,
      topics,
      limits: {
        ahead: { maxRows: config.maxBufferedRows, maxBytes: config.maxBufferedBytes },
        batchMaxRows: config.maxRows,
        batchMaxBytes: config.maxBytes,
      },
      sessionTimeoutMs: config.sessionTimeoutMs,
      rebalanceTimeoutMs: config.rebalanceTimeoutMs,
      heartbeatMs: config.heartbeatMs,
      metadataMaxAgeMs: config.metadataMaxAgeMs,
      fetchMaxWaitMs: config.fetchMaxWaitMs,
      fetchMaxBytes: config.fetchMaxBytes,
      logger,
      signal: drain,
      onSilence: (error) => this.#trouble(error),
      onHeard: () => state.recovered(),
      onIdle: () => {
        this.#options.worked();
        this.#holds.clear();
        state.recovered();
      },
      decode: (partition, records) => decoder.decode(partition, records),
      onUndecodable: (at, error) => this.#held(at, error),
    });
  }

  /** Says that a topic stands still; how long, until it is tried again. */
  #held(at: PartitionPoint, error: RejotError): number {
    const { delayMs, isNew } = this.#holds.hold(at, error);
    this.#tellHeld(error, isNew);
    return delayMs;
  }

  #tellHeld(error: RejotError, isNew: boolean): void {
    const { state, logger } = this.#options;
    state.retrying(error);
    const what = error.context.consumerSchema === undefined ? "a topic" : "a consumer schema";
    if (isNew)
      logger.error({ err: error }, `${what} stands still, the others go on: ${describeError(error)}`);
    else logger.debug({ err: error }, `${what} still stands still`);
  }

  #deadLetters(): KafkaDeadLetters {
    const { destination, plan, state, drain, logger } = this.#options;
    return new KafkaDeadLetters({
      kafka: this.#kafka,
      group: plan.group,
      consumerNames: plan.consumers.map((consumer) => consumer.name),
      replicationFactor: destination.eventStore.replicationFactor,
      signal: drain,
      onRetry: (error) => this.#trouble(error),
      onSent: (letters) => {
        state.deadLettered(letters);
        for (const { event, failure } of letters) {
          const { topic, partition, record } = event;
          const consumerSchema = plan.consumers[failure.consumer]?.name;
          const { code, message } = failure.error;
          logger.warn({ topic, partition, offset: record.offset, consumerSchema, code }, message);
        }
      },
    });
  }

  #trouble(error: unknown): void {
    this.#options.state.retrying(error);
    this.#options.logger.warn({ err: error }, "trouble, trying again");
  }
}
