import { RejotError } from "../../shared/errors/error.ts";
import {
  type EventRun,
  type PartitionProgress,
  type ProgressMove,
  partitionName,
  type SinkEvent,
} from "../ports.ts";

/** Where this process believes each partition of the destination to be. The destination's own table decides. */
export class ProgressBook {
  readonly #nextOffsets = new Map<string, number>();

  place(places: readonly PartitionProgress[]): void {
    for (const place of places) this.#nextOffsets.set(partitionName(place), place.nextOffset);
  }

  /** The moves that applying the runs makes; runs of one partition are in order. */
  movesOf(runs: readonly EventRun[]): ProgressMove[] {
    const moves = new Map<string, ProgressMove>();
    for (const run of runs) {
      const name = partitionName(run);
      const { topic, partition } = run;
      const before = moves.get(name);
      moves.set(name, {
        topic,
        partition,
        expectedOffset: before?.expectedOffset ?? this.#expected(name),
        nextOffset: run.endOffset,
        position: lastPosition(run.events) ?? before?.position ?? null,
      });
    }
    return [...moves.values()];
  }

  /** Notes moves that are durable. */
  advance(moves: readonly ProgressMove[]): void {
    for (const move of moves) this.#nextOffsets.set(partitionName(move), move.nextOffset);
  }

  #expected(name: string): number {
    const offset = this.#nextOffsets.get(name);
    if (offset === undefined) throw new RejotError("INTERNAL_ERROR", { detail: `${name} was not placed` });
    return offset;
  }
}

/** The first `count` events of the runs, and the rest: a run that is cut ends before the first event of its rest. */
export function splitRuns(runs: readonly EventRun[], count: number): [EventRun[], EventRun[]] {
  const head: EventRun[] = [];
  const tail: EventRun[] = [];
  let left = count;
  for (const run of runs) {
    const cut = run.events[left];
    if (left >= run.events.length && tail.length === 0) {
      head.push(run);
      left -= run.events.length;
    } else if (left > 0 && cut !== undefined) {
      head.push({ ...run, events: run.events.slice(0, left), endOffset: cut.record.offset });
      tail.push({ ...run, events: run.events.slice(left) });
      left = 0;
    } else {
      tail.push(run);
      left = 0;
    }
  }
  return [head, tail];
}

/** The position in the header of the last event that has one: the header is `<op>:<commit LSN>:<index>`. */
function lastPosition(events: readonly SinkEvent[]): string | null {
  for (let i = events.length - 1; i >= 0; i--) {
    const change = events[i]?.record.change;
    if (change !== undefined && change.length > 2) return change.toString("latin1", 2);
  }
  return null;
}
