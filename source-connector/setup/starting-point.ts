import { RejotError } from "../../shared/errors/error.ts";
import type { ProgressRecord } from "../../shared/kafka/progress-record.ts";
import { formatLsn, type Lsn, parseLsn } from "../../shared/postgres/lsn.ts";

/** Which cluster this is; LSNs compare only within one, and only along one line of its history. */
export interface SystemIdentity {
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** Earlier timelines that this one descends from, each with the LSN where it was left. */
  readonly history: ReadonlyMap<number, Lsn>;
}

/** What is known when a source has read the progress topic to its end. */
export interface KnownSource extends SystemIdentity {
  readonly progress: ProgressRecord | undefined;
  /** Where the server's WAL ends now. */
  readonly walEndLsn: Lsn;
}

/** What is known when it has the slot too. */
export interface Known extends KnownSource {
  /** Where the server would begin to stream. */
  readonly slotConfirmedLsn: Lsn;
}

/** Where a source goes on: transactions up to `commitLsn` are in the topics. */
export interface StartingPoint {
  readonly commitLsn: Lsn;
  readonly endLsn: Lsn;
  /** No progress was ever written: the source begins where the slot begins. */
  readonly fresh: boolean;
  /**
   * Commit time of the last published transaction, if the stream begins before it: it must come again then, and if it
   * does not, this is another history.
   */
  readonly comesAgainFromMs: number | undefined;
}

/**
 * Decides where to go on, and that nothing lies between what was published and what the slot still has.
 * Throws SOURCE_REPLACED when the LSNs are another history's, PROGRESS_BEHIND_SLOT when changes are missing.
 */
export function startingPoint(known: Known): StartingPoint {
  const { progress, slotConfirmedLsn } = known;
  requireSameHistory(known);
  // A commit record may begin exactly where the slot does: it is not published yet.
  if (progress === undefined) {
    const commitLsn = (slotConfirmedLsn - 1n) as Lsn;
    return { commitLsn, endLsn: slotConfirmedLsn, fresh: true, comesAgainFromMs: undefined };
  }
  if (slotConfirmedLsn > progress.endLsn) {
    throw new RejotError("PROGRESS_BEHIND_SLOT", {
      detail: `published up to ${formatLsn(progress.endLsn)}, the slot begins at ${formatLsn(slotConfirmedLsn)}`,
    });
  }
  const { commitLsn, endLsn, commitTimeMs } = progress;
  const comesAgainFromMs = slotConfirmedLsn <= commitLsn ? commitTimeMs : undefined;
  return { commitLsn, endLsn, fresh: false, comesAgainFromMs };
}

/**
 * Checks that the server is the one that the topics were written from, or was promoted from a standby of it that had
 * everything published. Throws SOURCE_REPLACED.
 */
export function requireSameHistory({ progress, ...known }: KnownSource): void {
  if (progress === undefined) return;
  if (progress.systemIdentifier !== known.systemIdentifier) {
    throw replaced(
      `the system identifier is ${known.systemIdentifier}, the topics were written from ${progress.systemIdentifier}`,
    );
  }
  const published = `published is up to ${formatLsn(progress.endLsn)} of timeline ${progress.timeline}`;
  if (known.timeline !== progress.timeline) {
    const leftAt = known.history.get(progress.timeline);
    if (leftAt === undefined)
      throw replaced(
        `the server is on timeline ${known.timeline}, which does not descend from it; ${published}`,
      );
    if (leftAt < progress.endLsn)
      throw replaced(
        `the server left that timeline at ${formatLsn(leftAt)}, without what came after; ${published}`,
      );
  }
  if (known.walEndLsn < progress.endLsn) {
    throw replaced(
      `the server's WAL ends at ${formatLsn(known.walEndLsn)}: it was set back to an earlier state; ${published}`,
    );
  }
}

/** Reads a timeline history file: `<timeline> <LSN where it was left> <reason>` a line. */
export function parseTimelineHistory(text: string): Map<number, Lsn> {
  const lines = text.split("\n").map((line) => /^\s*(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/.exec(line));
  return new Map(
    lines.flatMap((line) => (line === null ? [] : [[Number(line[1]), parseLsn(line[2] ?? "")] as const])),
  );
}

/** The error that says that this is not the history that was published. */
export function replaced(detail: string): RejotError {
  return new RejotError("SOURCE_REPLACED", { detail });
}
