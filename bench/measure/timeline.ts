import type { Usage } from "./process-usage.ts";

/** How far a topic was at a moment: per partition, the offset below which everything is committed. */
export interface TopicSample {
  /** On the clock of performance.now(). */
  readonly atMs: number;
  readonly ends: readonly number[];
  /** Of the participant, at this moment. */
  readonly usage: Usage | undefined;
}

/** When events arrived. Times are on the clock of performance.now(). */
export interface Arrival {
  readonly firstAtMs: number;
  /** Events there were when the first was seen: they came together. */
  readonly eventsAtFirst: number;
  readonly lastAtMs: number;
  readonly usageAtFirst: Usage | undefined;
  readonly usageAtLast: Usage | undefined;
}

/**
 * When the records at the given offsets (ascending, per partition) became readable. Undefined while the samples do
 * not reach the last of them. Offsets are not counts: markers of transactions take offsets too.
 */
export function arrivalOf(
  samples: readonly TopicSample[],
  offsets: readonly (readonly number[])[],
): Arrival | undefined {
  const first = samples.find(({ ends }) => offsets.some((list, p) => (list[0] ?? Infinity) < (ends[p] ?? 0)));
  const last = samples.find(({ ends }) => offsets.every((list, p) => (list.at(-1) ?? -1) < (ends[p] ?? 0)));
  if (first === undefined || last === undefined) return undefined;
  return {
    firstAtMs: first.atMs,
    eventsAtFirst: offsets.reduce((sum, list, p) => sum + countBelow(list, first.ends[p] ?? 0), 0),
    lastAtMs: last.atMs,
    usageAtFirst: first.usage,
    usageAtLast: last.usage,
  };
}

function countBelow(offsets: readonly number[], end: number): number {
  const index = offsets.findIndex((offset) => offset >= end);
  return index < 0 ? offsets.length : index;
}
