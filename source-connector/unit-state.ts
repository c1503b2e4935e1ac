import { RejotError } from "../shared/errors/error.ts";
import type { UnitError, UnitRebuild, UnitRole, UnitStatus } from "../shared/http/status.ts";
import { type BackfillRecord, isRemoving } from "../shared/kafka/backfill-record.ts";
import type { RebuildRecord } from "../shared/kafka/rebuild-record.ts";
import type { ResolvedSource } from "../shared/manifest/workspace.ts";
import type { Metrics } from "../shared/observability/metrics.ts";
import { formatLsn } from "../shared/postgres/lsn.ts";
import type { Batch, Progress } from "./ports.ts";

const ROLES: readonly UnitRole[] = ["starting", "active", "standby", "retrying", "failed"];

const BACKFILL_STATES: readonly BackfillRecord["state"][] = [
  "running",
  "paused",
  "done",
  "cancelled",
  "failed",
];

/** What is known of one data store's source while it runs: for status pages and metrics. */
export class UnitState {
  readonly #source: ResolvedSource;
  readonly #metrics: ReturnType<typeof defineMetrics>;
  #role: UnitRole = "starting";
  #progress: Progress | undefined;
  #lagBytes: number | null = null;
  #lastError: UnitError | null = null;
  /** Commit time of the oldest transaction that is read but not published, if there is one. */
  oldestWaitingMs: () => number | undefined = () => undefined;
  details: Record<string, unknown> = {};
  readonly #backfills = new Map<string, Record<string, unknown>>();
  readonly #records = new Map<string, BackfillRecord>();
  #rebuild: RebuildRecord | undefined;

  constructor(source: ResolvedSource, metrics: Metrics) {
    this.#source = source;
    this.#metrics = defineMetrics(metrics);
    this.role = "starting";
  }

  get role(): UnitRole {
    return this.#role;
  }

  set role(role: UnitRole) {
    this.#role = role;
    for (const each of ROLES) this.#metrics.role.set({ ...this.#labels, role: each }, each === role ? 1 : 0);
  }

  /** A batch is durable and confirmed. */
  published(batch: Batch, events: number, progress: Progress | null): void {
    this.#metrics.changes.inc(
      this.#labels,
      batch.reduce((sum, piece) => sum + piece.changes.length, 0),
    );
    this.#metrics.events.inc(this.#labels, events);
    this.#metrics.batches.inc(this.#labels);
    if (progress !== null) {
      this.resumed(progress);
      // Only what is published shows that the trouble is over: a session that starts may fail at the same place.
      this.recovered();
    }
    const last = batch.at(-1);
    if (last !== undefined)
      this.#metrics.latency.observe(this.#labels, Math.max(0, Date.now() - last.commitTimeMs) / 1000);
  }

  /** The topics are complete up to here. */
  resumed(progress: Progress): void {
    this.#progress = progress;
    this.#metrics.lsn.set(this.#labels, Number(progress.commitLsn));
  }

  /** Notes how much WAL the slot holds back, and how old the oldest change is that is not through. */
  measured(lagBytes: number): void {
    this.#lagBytes = lagBytes;
    this.#metrics.lagBytes.set(this.#labels, lagBytes);
    this.#metrics.lag.set(this.#labels, (this.status.lagMs ?? 0) / 1000);
  }

  /** A backfill is as far as its record says, durably; `rowsPerSecond` where it is known. */
  backfilled(name: string, record: BackfillRecord, rowsPerSecond: number | undefined): void {
    const { state, rows, events, overtaken, estimatedRows, error } = record;
    const left = Math.max(0, estimatedRows - rows);
    const isRunning = state === "running";
    this.#backfills.set(name, {
      schema: name,
      state,
      table: record.tables[record.at]?.table ?? null,
      rows,
      estimatedRows: state === "done" ? rows : Math.max(rows, estimatedRows),
      events,
      overtaken,
      waitsForTransactions: record.waits,
      rowsPerSecond: rowsPerSecond === undefined ? null : Math.round(rowsPerSecond),
      secondsLeft: isRunning && rowsPerSecond ? Math.ceil(left / rowsPerSecond) : null,
      startedAt: new Date(record.startedAt).toISOString(),
      updatedAt: new Date(record.updatedAt).toISOString(),
      ...(record.rebuild === null && record.removal === null && record.removed === 0
        ? {}
        : { rebuild: record.rebuild, removing: isRemoving(record), removed: record.removed }),
      error,
    });
    this.#records.set(name, record);
    this.#measureRebuild();
    const labels = { ...this.#labels, public_schema: name };
    for (const each of BACKFILL_STATES)
      this.#metrics.backfillState.set({ ...labels, state: each }, each === state ? 1 : 0);
    this.#metrics.backfillRows.set(labels, rows);
    this.#metrics.backfillEstimated.set(labels, Math.max(rows, estimatedRows));
    this.#metrics.backfillRate.set(labels, rowsPerSecond ?? 0);
  }

  /** Changes were missing, and what makes up for them has begun. */
  rebuildBegan(): void {
    this.#metrics.rebuilds.inc(this.#labels);
  }

  /** The last rebuild of the data store, over or not. */
  rebuilding(rebuild: RebuildRecord | undefined): void {
    this.#rebuild = rebuild;
    this.#measureRebuild();
  }

  #measureRebuild(): void {
    this.#metrics.rebuilding.set(this.#labels, this.#rebuildLeft().length === 0 ? 0 : 1);
  }

  /** The public schemas whose part of the rebuild is not over. */
  #rebuildLeft(): string[] {
    const rebuild = this.#rebuild;
    if (rebuild === undefined) return [];
    return rebuild.schemas.filter((name) => {
      const record = this.#records.get(name);
      return record?.rebuild === rebuild.id && record.state !== "done" && record.state !== "cancelled";
    });
  }

  failed(error: unknown): void {
    this.#metrics.failures.inc(this.#labels);
    this.#lastError = {
      code: error instanceof RejotError ? error.code : "INTERNAL_ERROR",
      message: error instanceof Error ? error.message : String(error),
      hint: error instanceof RejotError ? error.hint : "",
      at: new Date().toISOString(),
    };
  }

  /** Once it works again, an old error is history, not state. */
  recovered(): void {
    this.#lastError = null;
  }

  get status(): UnitStatus {
    const oldest = this.oldestWaitingMs();
    const left = this.#rebuildLeft();
    return {
      manifestSlug: this.#source.manifestSlug,
      dataStore: this.#source.dataStoreSlug,
      role: this.#role,
      position: this.#progress === undefined ? null : formatLsn(this.#progress.commitLsn),
      lagMs: this.#role !== "active" ? null : oldest === undefined ? 0 : Math.max(0, Date.now() - oldest),
      lagBytes: this.#lagBytes,
      ...(this.#rebuild === undefined || left.length === 0
        ? {}
        : { rebuilding: rebuildingOf(this.#rebuild, left) }),
      lastError: this.#lastError,
      details: {
        slot: this.#source.config.slotName,
        publication: this.#source.config.publicationName,
        ...this.details,
        ...(this.#backfills.size === 0 ? {} : { backfills: [...this.#backfills.values()] }),
      },
    };
  }

  get #labels(): { manifest: string; data_store: string } {
    return { manifest: this.#source.manifestSlug, data_store: this.#source.dataStoreSlug };
  }
}

function rebuildingOf({ reason, from, to, startedAt }: RebuildRecord, left: string[]): UnitRebuild {
  return { reason, from, to, since: new Date(startedAt).toISOString(), left };
}

const LABELS = ["manifest", "data_store"] as const;
const BACKFILL_LABELS = [...LABELS, "public_schema"] as const;

function defineMetrics(metrics: Metrics) {
  return {
    role: metrics.gauge("role", "1 for the role the source is in", [...LABELS, "role"]),
    changes: metrics.counter("changes_total", "Rows read from the WAL and published", LABELS),
    events: metrics.counter("events_total", "Events published", LABELS),
    batches: metrics.counter("batches_total", "Batches published", LABELS),
    failures: metrics.counter("failures_total", "Times the pipeline ended with an error", LABELS),
    lsn: metrics.gauge("published_lsn", "Commit LSN up to which the topics are complete", LABELS),
    lagBytes: metrics.gauge("slot_lag_bytes", "WAL that the slot holds back", LABELS),
    lag: metrics.gauge("lag_seconds", "Age of the oldest change that is read but not published", LABELS),
    backfillState: metrics.gauge(
      "backfill_state",
      "1 for the state that the backfill of a public schema is in",
      [...LABELS, "public_schema", "state"],
    ),
    backfillRows: metrics.gauge(
      "backfill_rows",
      "Rows that a backfill has read and published",
      BACKFILL_LABELS,
    ),
    backfillEstimated: metrics.gauge(
      "backfill_estimated_rows",
      "Rows that a backfill will have read at its end, estimated",
      BACKFILL_LABELS,
    ),
    backfillRate: metrics.gauge(
      "backfill_rows_per_second",
      "How fast a backfill goes on; 0 when it does not",
      BACKFILL_LABELS,
    ),
    rebuilds: metrics.counter(
      "rebuilds_total",
      "Times that changes were missing and all rows were published anew",
      LABELS,
    ),
    rebuilding: metrics.gauge("rebuilding", "1 while a rebuild is not over", LABELS),
    latency: metrics.histogram(
      "publish_latency_seconds",
      "From the commit at the source until the batch is durable",
      LABELS,
      [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
    ),
  };
}
