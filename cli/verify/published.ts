import { RejotError } from "../../shared/errors/error.ts";
import type { BackfillRecord } from "../../shared/kafka/backfill-record.ts";
import type { KafkaReader, PartitionBounds } from "../../shared/kafka/kafka-reader.ts";
import type { ProgressRecord } from "../../shared/kafka/progress-record.ts";
import { delay } from "../../shared/lifecycle/backoff.ts";
import { formatLsn, type Lsn } from "../../shared/postgres/lsn.ts";

const POLL_MS = 50;

/** What follows a progress topic. */
export interface ProgressView {
  readonly progress: ProgressRecord | undefined;
  readonly backfills: ReadonlyMap<string, BackfillRecord>;
  refresh(): Promise<void>;
}

export interface AwaitOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Of all comparisons with the source. */
  readonly patience: Patience;
}

/** What is known of a source that was waited for in vain: as long as it stands there, nobody waits for it again. */
export interface Patience {
  /** Where it stood; undefined while it was not waited for in vain. */
  stoodAt?: Lsn | "nowhere";
}

/**
 * Waits until every commit below the LSN is in the topics, and gives the bounds of one of them then.
 * Throws VERIFY_SOURCE_BEHIND after `timeoutMs`, KAFKA_*, PROGRESS_*.
 */
export async function awaitPublished(
  view: ProgressView,
  reader: KafkaReader,
  topic: string,
  lsn: Lsn,
  { timeoutMs, signal, patience }: AwaitOptions,
): Promise<PartitionBounds[]> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    await view.refresh();
    const { progress } = view;
    if (progress !== undefined && progress.endLsn >= lsn) {
      const bounds = await reader.bounds([topic], signal);
      if (isReadable(progress, topic, bounds)) return bounds;
    }
    const standsAt = progress?.endLsn ?? "nowhere";
    if (performance.now() >= deadlineMs || patience.stoodAt === standsAt) {
      patience.stoodAt = standsAt;
      throw behind(progress, topic, lsn, timeoutMs);
    }
    await delay(POLL_MS, signal);
  }
}

/** Kafka reports a transaction as committed before its markers are in all partitions. */
function isReadable({ ends }: ProgressRecord, topic: string, bounds: readonly PartitionBounds[]): boolean {
  return Object.entries(ends[topic] ?? {}).every(([partition, end]) =>
    bounds.some((at) => at.partition === Number(partition) && at.end >= BigInt(end)),
  );
}

function behind(
  progress: ProgressRecord | undefined,
  topic: string,
  lsn: Lsn,
  timeoutMs: number,
): RejotError {
  const reached =
    progress === undefined
      ? "it has published nothing yet"
      : `it is at ${formatLsn(progress.endLsn)}, a commit of ${new Date(progress.commitTimeMs).toISOString()}`;
  return new RejotError("VERIFY_SOURCE_BEHIND", {
    detail: `${formatLsn(lsn)} within ${timeoutMs / 1_000} s; ${reached}`,
    context: { topic },
  });
}
