import { RejotError } from "../../shared/errors/error.ts";
import type { ProgressRecord } from "../../shared/kafka/progress-record.ts";
import { formatLsn, type Lsn } from "../../shared/postgres/lsn.ts";

/** What is known when a source has the slot and has read the progress topic to its end. */
export interface Known {
  readonly progress: ProgressRecord | undefined;
  /** Where the server would begin to stream. */
  readonly slotConfirmedLsn: Lsn;
  /** Where the server's WAL ends now. */
  readonly walEndLsn: Lsn;
  readonly systemIdentifier: string;
  readonly timeline: number;
}

/** Where a source goes on: transactions up to `commitLsn` are in the topics. */
export interface StartingPoint {
  readonly commitLsn: Lsn;
  readonly endLsn: Lsn;
  /** No progress was ever written: the source begins where the slot begins. */
  readonly fresh: boolean;
}

/**
 * Decides where to go on, and that nothing lies between what was published and what the slot still has.
 * Throws SOURCE_REPLACED when the LSNs are another cluster's, PROGRESS_BEHIND_SLOT when changes are missing.
 */
export function startingPoint(known: Known): StartingPoint {
  const { progress, slotConfirmedLsn } = known;
  // A commit record may begin exactly where the slot does: it is not published yet.
  if (progress === undefined) {
    return { commitLsn: (slotConfirmedLsn - 1n) as Lsn, endLsn: slotConfirmedLsn, fresh: true };
  }
  if (progress.systemIdentifier !== known.systemIdentifier) {
    throw new RejotError("SOURCE_REPLACED", {
      detail: `the system identifier is ${known.systemIdentifier}, the topics were written from ${progress.systemIdentifier}`,
    });
  }
  if (known.timeline < progress.timeline) {
    throw new RejotError("SOURCE_REPLACED", {
      detail: `timeline ${known.timeline} after timeline ${progress.timeline}`,
    });
  }
  if (known.walEndLsn < progress.endLsn) {
    throw new RejotError("SOURCE_REPLACED", {
      detail: `the server's WAL ends at ${formatLsn(known.walEndLsn)}, published is up to ${formatLsn(progress.endLsn)}: it was set back to an earlier state`,
    });
  }
  if (slotConfirmedLsn > progress.endLsn) {
    throw new RejotError("PROGRESS_BEHIND_SLOT", {
      detail: `published up to ${formatLsn(progress.endLsn)}, the slot begins at ${formatLsn(slotConfirmedLsn)}`,
    });
  }
  return { commitLsn: progress.commitLsn, endLsn: progress.endLsn, fresh: false };
}
