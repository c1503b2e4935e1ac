import type { Delivery, Participant } from "./participants/participant.ts";

/** Parts of the bridge that can be measured. */
export const PARTS = ["source", "sink"] as const;
/** What is measured against what. */
export type Part = (typeof PARTS)[number];

export const DELIVERIES: readonly Delivery[] = ["exactly-once", "at-least-once"];

/** One run of one participant, in its place in the order. */
export interface PlannedRun {
  /** Name of the run: letters, digits and underscores. */
  readonly run: string;
  /** Counted from 1. */
  readonly round: number;
  readonly delivery: Delivery;
  readonly participant: Participant["name"];
}

/**
 * The order of the runs of one workload: in every round each participant once for each delivery, and the participant
 * that was first in one round is second in the next, so that neither always gets the warmer machine.
 */
export function planRuns(
  prefix: string,
  participants: readonly Participant["name"][],
  deliveries: readonly Delivery[],
  rounds: number,
): PlannedRun[] {
  const runs: PlannedRun[] = [];
  for (let round = 1; round <= rounds; round++) {
    const order = round % 2 === 1 ? participants : [...participants].reverse();
    for (const delivery of deliveries) {
      for (const participant of order) {
        const run = `${prefix}_${SHORT[delivery]}_${round}_${participant}`.replace(/\W/g, "_");
        runs.push({ run, round, delivery, participant });
      }
    }
  }
  return runs;
}

const SHORT: Record<Delivery, string> = { "exactly-once": "eo", "at-least-once": "al" };
