import { randomUUID } from "node:crypto";
import { RejotError } from "../shared/errors/error.ts";
import type { ErrorCode } from "../shared/errors/table.ts";
import { type BackfillRecord, backfillName, encodeBackfill } from "../shared/kafka/backfill-record.ts";
import { encodeRebuild, type RebuildRecord } from "../shared/kafka/rebuild-record.ts";
import { formatLsn, type Lsn } from "../shared/postgres/lsn.ts";
import type { Progress, ProgressNote, Publisher } from "./ports.ts";
import type { SessionContext } from "./session-context.ts";
import { type RemovalContext, removingBackfills } from "./session-removal.ts";
import { requireSameHistory, startingPoint } from "./setup/starting-point.ts";

/** What says that changes are missing which nothing can bring back. */
const MISSING: readonly ErrorCode[] = ["SLOT_LOST", "PROGRESS_BEHIND_SLOT", "SOURCE_REPLACED"];

/** What the data store says, else the settings. */
export function onSlotLost({ source, config }: SessionContext): "stop" | "rebuild" {
  return source.config.onSlotLost ?? config.onSlotLost;
}

/**
 * The error that ends a session, as one that a new session can mend, if it says that changes are missing and a rebuild is
 * wanted. What was found of the server's history is kept in mind: it does not show before the stream flows.
 */
export function mendable(context: SessionContext, error: unknown): unknown {
  if (!isMissing(context, error)) return error;
  const { commitLsn } = error.context;
  if (error.code === "SOURCE_REPLACED" && typeof commitLsn === "string")
    context.memory.foreign = { commitLsn, error };
  return new RejotError("REBUILD_BEGINS", { detail: `${error.code}, ${error.message}`, cause: error });
}

function isMissing(context: SessionContext, error: unknown): error is RejotError {
  return error instanceof RejotError && MISSING.includes(error.code) && onSlotLost(context) === "rebuild";
}

type Known = Parameters<typeof requireSameHistory>[0];

/**
 * What says that the server does not have what was published, where that is to be rebuilt; undefined when it has.
 * Throws SOURCE_REPLACED where it is not, REBUILD_WAITS while the server's LSNs are below the published ones: no event may
 * get a position that is not behind all others.
 */
export function foreignHistory(context: SessionContext, known: Known): RejotError | undefined {
  const error = missingOf(context, known.progress, () => requireSameHistory(known));
  const { progress, walEndLsn } = known;
  if (error === undefined || progress === undefined) return undefined;
  context.memory.foreign = { commitLsn: formatLsn(progress.commitLsn), error };
  if (walEndLsn >= progress.endLsn) return error;
  throw new RejotError("REBUILD_WAITS", {
    detail: `published is up to ${formatLsn(progress.endLsn)}, the WAL ends at ${formatLsn(walEndLsn)}; ${error.detail}`,
  });
}

/** What says that changes are missing before the slot, where they are to be rebuilt. Throws what `startingPoint` throws. */
export function missingChanges(
  context: SessionContext,
  known: Parameters<typeof startingPoint>[0],
): RejotError | undefined {
  return (
    foreignHistory(context, known) ?? missingOf(context, known.progress, () => void startingPoint(known))
  );
}

function missingOf(
  context: SessionContext,
  progress: Known["progress"],
  check: () => void,
): RejotError | undefined {
  const { foreign } = context.memory;
  if (progress !== undefined && foreign?.commitLsn === formatLsn(progress.commitLsn)) return foreign.error;
  try {
    check();
    return undefined;
  } catch (error) {
    if (isMissing(context, error)) return error;
    throw error;
  }
}

/** What a rebuild begins with. */
export interface RebuildOptions extends RemovalContext {
  readonly reason: RejotError;
  readonly publisher: Pick<Publisher, "publish">;
  readonly from: Lsn;
  readonly progress: Progress;
  /** What else is to be written with it. */
  readonly notes: readonly ProgressNote[];
}

/** Backfills that are durable, which a session begins with. */
export interface Begun {
  readonly rebuild: RebuildRecord | undefined;
  readonly backfills: ReadonlyMap<string, BackfillRecord>;
}

/**
 * Writes down, in one Kafka transaction with the progress that jumps over what is missing, that every public schema is
 * read anew and what has to be removed then. All publishers before must be fenced. A crash before leaves everything as it
 * was, one behind is a crash in the middle of backfills.
 */
export async function beginRebuild(options: RebuildOptions): Promise<Begun> {
  const { context, reason, publisher, from, progress } = options;
  const { source, log, state } = context;
  const id = randomUUID();
  const names = new Set(source.publicSchemas.map(({ schema }) => backfillName(schema)));
  const backfills = new Map<string, BackfillRecord>();
  for (const [name, record] of await removingBackfills(options, names))
    backfills.set(name, { ...record, rebuild: id });
  const rebuild: RebuildRecord = {
    id,
    reason: `${reason.code}: ${reason.message}`,
    from: formatLsn(from),
    to: formatLsn(progress.endLsn),
    startedAt: Date.now(),
    schemas: [...backfills.keys()],
  };
  const notes = [...backfills].map(([name, record]) => encodeBackfill(name, record));
  await publisher.publish([], progress, [...notes, encodeRebuild(rebuild), ...options.notes]);
  context.memory.foreign = undefined;
  state.rebuildBegan();
  log.warn(
    { code: reason.code, rebuild },
    "changes are missing: all rows are published anew, what is gone is removed",
  );
  return { rebuild, backfills };
}
