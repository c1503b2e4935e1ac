import { randomUUID } from "node:crypto";
import { RejotError } from "../shared/errors/error.ts";
import type { ErrorCode } from "../shared/errors/table.ts";
import {
  type BackfillCommand,
  type BackfillRecord,
  backfillName,
  encodeBackfill,
} from "../shared/kafka/backfill-record.ts";
import { createEndReader, type PartitionBounds } from "../shared/kafka/kafka-reader.ts";
import { encodeRebuild, type RebuildRecord } from "../shared/kafka/rebuild-record.ts";
import { formatLsn, type Lsn } from "../shared/postgres/lsn.ts";
import { newRecord } from "./backfill/course.ts";
import type { Progress, Publisher } from "./ports.ts";
import type { SessionContext } from "./session-context.ts";
import type { Transformations } from "./session-transformations.ts";
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
export interface RebuildOptions {
  readonly context: SessionContext;
  readonly reason: RejotError;
  readonly transformations: Transformations;
  readonly publisher: Pick<Publisher, "publish">;
  /** How many partitions the publisher writes to, by topic. */
  readonly partitions: ReadonlyMap<string, number>;
  /** The last command about each public schema: all of them are from before the rebuild, so none is about it. */
  readonly commands: ReadonlyMap<string, BackfillCommand>;
  readonly from: Lsn;
  readonly progress: Progress;
}

/** A rebuild that is durable. */
export interface BegunRebuild {
  readonly rebuild: RebuildRecord;
  readonly backfills: ReadonlyMap<string, BackfillRecord>;
}

/**
 * Writes down, in one Kafka transaction with the progress that jumps over what is missing, that every public schema is
 * read anew and what has to be removed then. All publishers before must be fenced: what stands before the topics' ends is
 * what they left. A crash before leaves everything as it was, one behind is a crash in the middle of backfills.
 */
export async function beginRebuild(options: RebuildOptions): Promise<BegunRebuild> {
  const { context, reason, transformations, publisher, partitions, commands, from, progress } = options;
  const { source, log, state } = context;
  const topics = source.publicSchemas.map(({ topic }) => topic);
  const ends = await readEnds(context, topics);
  const id = randomUUID();
  const backfills = new Map<string, BackfillRecord>();
  for (const [i, { schema, topic }] of source.publicSchemas.entries()) {
    const name = backfillName(schema);
    const command = commands.get(name)?.id ?? null;
    const order = { id: randomUUID(), where: null, rowsPerSecond: null, command, nowMs: Date.now() };
    // Without a transformation for deletes, a schema publishes no tombstones.
    const removes = transformations.uses.some((use) => use.schema === i && use.emit === "tombstone");
    backfills.set(name, {
      ...newRecord({ ...order, uses: transformations.reader.uses(i) }),
      rebuild: id,
      removal: removes ? { ends: endsOf(topic, ends, partitions.get(topic) ?? 0), partition: 0 } : null,
    });
  }
  const rebuild: RebuildRecord = {
    id,
    reason: `${reason.code}: ${reason.message}`,
    from: formatLsn(from),
    to: formatLsn(progress.endLsn),
    startedAt: Date.now(),
    schemas: [...backfills.keys()],
  };
  const notes = [...backfills].map(([name, record]) => encodeBackfill(name, record));
  await publisher.publish([], progress, [...notes, encodeRebuild(rebuild)]);
  context.memory.foreign = undefined;
  state.rebuildBegan();
  log.warn(
    { code: reason.code, rebuild },
    "changes are missing: all rows are published anew, what is gone is removed",
  );
  return { rebuild, backfills };
}

async function readEnds(
  { kafka, control }: SessionContext,
  topics: readonly string[],
): Promise<PartitionBounds[]> {
  const reader = createEndReader(kafka);
  try {
    return await reader.bounds(topics, control.abort);
  } finally {
    await reader.close();
  }
}

/** Without partitions that were added since the publisher has counted them: as long as it does not, keys stay where they were. */
function endsOf(topic: string, bounds: readonly PartitionBounds[], count: number): Record<string, string> {
  const own = bounds.filter((candidate) => candidate.topic === topic && candidate.partition < count);
  return Object.fromEntries(own.map(({ partition, end }) => [String(partition), String(end)]));
}
