import { RejotError } from "../shared/errors/error.ts";
import type { UnitError, UnitRole, UnitStatus } from "../shared/http/status.ts";
import type { ResolvedDestination } from "../shared/manifest/workspace.ts";
import type { Metrics } from "../shared/observability/metrics.ts";
import type { AssignmentFeed } from "./consumer/assignment-feed.ts";
import type { LetterCount } from "./dead-letter/postgres-letter-book.ts";
import {
  type DeadLetter,
  type EventRun,
  type Hold,
  type Holds,
  type PartitionProgress,
  type ProgressMove,
  partitionName,
  type TopicPartition,
} from "./ports.ts";
import type { Notice } from "./registry-notices.ts";

const ROLES: readonly UnitRole[] = ["starting", "active", "standby", "retrying", "failed"];

/** What is known of one destination while it runs: for status pages and metrics. */
export class UnitState {
  readonly #destination: ResolvedDestination;
  readonly #consumerNames: ReadonlySet<string>;
  readonly #group: string;
  readonly #metrics: SinkMetrics;
  /** Where each partition reads on, once what was read is applied. */
  readonly #places = new Map<string, PartitionProgress>();
  #waiting = new Map<string, LetterCount>();
  #role: UnitRole = "starting";
  #position: string | null = null;
  #lastError: UnitError | null = null;
  #lastTimestampMs: number | undefined;
  /** The feed of the session that runs. */
  feed: AssignmentFeed | undefined;
  /** The topics of that session that stand still. */
  holds: Pick<Holds, "all"> = { all: [] };
  /** Topics that do not exist yet. */
  missingTopics: readonly string[] = [];
  applyMode: string | undefined;
  /** What somebody should know although events are applied. */
  notices: readonly Notice[] = [];

  constructor(destination: ResolvedDestination, group: string, metrics: SinkMetrics) {
    this.#destination = destination;
    const { manifestSlug, consumers } = destination;
    this.#consumerNames = new Set(
      consumers.map(({ consumerSchema }) => `${manifestSlug}/${consumerSchema.name}`),
    );
    this.#group = group;
    this.#metrics = metrics;
    this.role = "starting";
  }

  get role(): UnitRole {
    return this.#role;
  }

  set role(role: UnitRole) {
    this.#role = role;
    for (const each of ROLES) this.#metrics.role.set({ ...this.#labels, role: each }, each === role ? 1 : 0);
  }

  /** A batch is durable at the destination. */
  applied(runs: readonly EventRun[], moves: readonly ProgressMove[], seconds: number): void {
    const events = runs.reduce((sum, run) => sum + run.events.length, 0);
    const labels = this.#labels;
    this.#metrics.events.inc(labels, events);
    this.#metrics.batches.inc(labels);
    this.#metrics.batchSize.observe(labels, events);
    this.#metrics.applySeconds.observe(labels, seconds);
    for (const move of moves) {
      this.#places.set(partitionName(move), move);
      this.#position = move.places.row.position ?? this.#position;
    }
    const nowMs = Date.now();
    for (const run of runs) {
      const last = run.events.at(-1)?.record.timestampMs;
      if (last === undefined) continue;
      this.#lastTimestampMs = last;
      this.#metrics.latency.observe(labels, Math.max(0, nowMs - last) / 1000);
    }
    if (this.#role !== "active") this.recovered();
  }

  /** The destination has said where it is. */
  placed(places: readonly PartitionProgress[]): void {
    for (const place of places) this.#places.set(partitionName(place), place);
    this.recovered();
  }

  deadLettered(letters: readonly DeadLetter[]): void {
    for (const { event } of letters) this.#metrics.deadLetters.inc({ ...this.#labels, topic: event.topic });
  }

  /** How many dead letters wait at the destination, whoever has set them aside. */
  lettersWait(counts: readonly LetterCount[]): void {
    const now = new Map(counts.map((count) => [`${count.topic} ${count.consumerName}`, count]));
    // What was replayed is 0, not gone.
    for (const [name, count] of this.#waiting) if (!now.has(name)) now.set(name, { ...count, waiting: 0 });
    this.#waiting = now;
    for (const { topic, consumerName, waiting } of now.values())
      this.#metrics.lettersWaiting.set({ ...this.#labels, topic, consumer_schema: consumerName }, waiting);
  }

  /** Something failed and is tried again. */
  retrying(error: unknown): void {
    this.#metrics.retries.inc(this.#labels);
    this.#note(error);
    this.role = "retrying";
  }

  failed(error: unknown): void {
    this.#note(error);
    this.role = "failed";
  }

  /** None of its topics exists yet. */
  waiting(): void {
    this.#lastError = null;
    this.role = "starting";
  }

  /** It works again: an old error is history, not state, unless it still holds up a topic. */
  recovered(): void {
    const [hold] = this.holds.all;
    if (hold !== undefined) {
      this.#note(hold.error);
      this.role = "retrying";
      return;
    }
    this.#lastError = null;
    const overview = this.feed?.overview();
    this.role = overview !== undefined && overview.partitions.length === 0 ? "standby" : "active";
  }

  get status(): UnitStatus {
    const { partitions, behind } = this.#partitions();
    const catchingUp = this.#catchingUp();
    return {
      manifestSlug: this.#destination.manifestSlug,
      dataStore: this.#destination.dataStoreSlug,
      role: this.#role,
      position: this.#position,
      lagMs: this.#lagMs(partitions.length, behind),
      lastError: this.#lastError,
      details: {
        group: this.#group,
        waitingForTopics: this.missingTopics,
        bufferedEvents: this.feed?.overview().bufferedRows ?? 0,
        ...(this.applyMode === undefined ? {} : { applyMode: this.applyMode }),
        ...(this.holds.all.length === 0 ? {} : { heldTopics: this.holds.all.map(describeHold) }),
        ...(catchingUp.length === 0 ? {} : { catchingUp }),
        ...(this.notices.length === 0 ? {} : { warnings: this.notices }),
        partitions,
      },
    };
  }

  /** Brings the gauges that are computed when asked for up to date. */
  collect(): void {
    this.#metrics.held.reset();
    for (const { at } of this.holds.all) this.#metrics.held.set({ ...this.#labels, topic: at.topic }, 1);
    this.#metrics.lag.reset();
    for (const { topic, partition, lag } of this.#partitions().partitions) {
      if (lag !== null) this.#metrics.lag.set({ ...this.#labels, topic, partition: String(partition) }, lag);
    }
  }

  #partitions() {
    let behind = 0;
    const partitions = (this.feed?.overview().partitions ?? []).map((p) => {
      const applied = this.#places.get(partitionName(p))?.nextOffset ?? null;
      // With all events applied, what was read beyond the last of them are Kafka's own control records.
      const read = (p.isApplied ? p.fetchedOffset : null) ?? applied;
      const at = read === null ? null : Math.min(read, ...this.#behindAt(p));
      const lag = at === null || p.highWatermark === null ? null : Math.max(0, p.highWatermark - at);
      behind += lag ?? 0;
      return { topic: p.topic, partition: p.partition, nextOffset: applied ?? p.fetchedOffset, lag };
    });
    return { partitions, behind };
  }

  /** Where consumer schemas of ours are that are not in step, those that are held included. */
  #behindAt(partition: TopicPartition): number[] {
    const { consumers } = this.#places.get(partitionName(partition))?.places.row ?? {};
    return Object.entries(consumers ?? {}).flatMap(([name, at]) =>
      at !== null && this.#consumerNames.has(name) ? [at.offset] : [],
    );
  }

  /** Consumer schemas that apply what others of their topic have applied already. */
  #catchingUp() {
    return (this.feed?.overview().partitions ?? []).flatMap((partition) => {
      const { topic, partition: number, isApplied, fetchedOffset } = partition;
      const { behind, row } = this.#places.get(partitionName(partition))?.places ?? {};
      // Nothing but control records between it and the others.
      if (isApplied && (fetchedOffset ?? 0) >= (row?.nextOffset ?? 0)) return [];
      return [...(behind ?? [])].map(([consumerSchema, nextOffset]) => {
        return { consumerSchema, topic, partition: number, nextOffset, others: row?.nextOffset };
      });
    });
  }

  #lagMs(partitionCount: number, behind: number): number | null {
    if (this.#role === "starting" || partitionCount === 0) return null;
    const oldest = Math.min(
      this.feed?.overview().oldestTimestampMs ?? Number.POSITIVE_INFINITY,
      // What a held consumer schema waits for is not read: it was there when it was met.
      ...this.holds.all.flatMap(({ at, sinceMs }) => (at.consumerSchema === undefined ? [] : [sinceMs])),
    );
    if (oldest !== Number.POSITIVE_INFINITY) return Math.max(0, Date.now() - oldest);
    if (behind === 0) return 0;
    return this.#lastTimestampMs === undefined ? null : Math.max(0, Date.now() - this.#lastTimestampMs);
  }

  #note(error: unknown): void {
    this.#lastError = {
      code: error instanceof RejotError ? error.code : "INTERNAL_ERROR",
      message: error instanceof Error ? error.message : String(error),
      hint: error instanceof RejotError ? error.hint : "",
      at: new Date().toISOString(),
    };
  }

  get #labels(): { manifest: string; data_store: string } {
    return { manifest: this.#destination.manifestSlug, data_store: this.#destination.dataStoreSlug };
  }
}

function describeHold({ at, error, attempts, sinceMs }: Hold): Record<string, unknown> {
  const { code, message, hint } = error;
  return { ...at, since: new Date(sinceMs).toISOString(), attempts, code, message, hint };
}

const LABELS = ["manifest", "data_store"] as const;

/** The metrics of a sink connector. */
export type SinkMetrics = ReturnType<typeof defineSinkMetrics>;

/** Defines them once per connector; the units share them by label. */
export function defineSinkMetrics(metrics: Metrics) {
  return {
    role: metrics.gauge("role", "1 for the role the destination is in", [...LABELS, "role"]),
    events: metrics.counter("events_total", "Events applied or left out on purpose", LABELS),
    batches: metrics.counter("batches_total", "Transactions committed at the destination", LABELS),
    batchSize: metrics.histogram(
      "batch_events",
      "Events in one transaction",
      LABELS,
      [1, 10, 50, 100, 500, 1_000, 2_500, 5_000, 10_000],
    ),
    applySeconds: metrics.histogram(
      "apply_seconds",
      "Time to apply one batch",
      LABELS,
      [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    ),
    retries: metrics.counter("retries_total", "Attempts repeated after trouble that may go away", LABELS),
    deadLetters: metrics.counter("dead_letters_total", "Events set aside", [...LABELS, "topic"]),
    lettersWaiting: metrics.gauge(
      "dead_letters_waiting",
      "Dead letters of the destination that are neither replayed nor discarded, counted twice a minute by every process",
      [...LABELS, "topic", "consumer_schema"],
    ),
    held: metrics.gauge(
      "topic_held",
      "1 while a topic, or a consumer schema of it, stands still because of an error of its own",
      [...LABELS, "topic"],
    ),
    lag: metrics.gauge("consumer_lag_records", "Records of a partition not yet applied", [
      ...LABELS,
      "topic",
      "partition",
    ]),
    latency: metrics.histogram(
      "end_to_end_latency_seconds",
      "From the commit at the source until the batch is committed at the destination",
      LABELS,
      [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
    ),
  };
}
