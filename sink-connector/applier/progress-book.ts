import { RejotError } from "../../shared/errors/error.ts";
import {
  type ConsumerPlace,
  type ConsumerPlaces,
  consumersOf,
  type EventRun,
  type PartitionProgress,
  type ProgressMove,
  partitionName,
  type SinkEvent,
  type TopicConsumerSchema,
  type TopicPartition,
} from "../ports.ts";

/** Where this process believes each partition of the destination to be. The destination's own table decides. */
export class ProgressBook {
  readonly #places = new Map<string, ConsumerPlaces>();
  /** The consumer schema of each index that events name. */
  readonly #consumers: readonly TopicConsumerSchema[];
  readonly #consumerOfStatement: readonly number[];

  constructor(consumers: readonly TopicConsumerSchema[], consumerOfStatement: readonly number[]) {
    this.#consumers = consumers;
    this.#consumerOfStatement = consumerOfStatement;
  }

  place(places: readonly PartitionProgress[]): void {
    for (const place of places) this.#places.set(partitionName(place), place.places);
  }

  /** The runs without what is not for consumer schemas now: those ahead of others have applied it, others are held. */
  due(runs: readonly EventRun[]): readonly EventRun[] {
    return runs.map((run) => {
      const places = this.#placesOf(run);
      const first = run.events[0]?.record.offset ?? run.endOffset;
      const readers = consumersOf(this.#consumers, run.topic);
      if (readers.every((name) => places.needs(name, first))) return run;
      return { ...run, events: run.events.map((event) => this.#due(event, places)) };
    });
  }

  /** The moves that applying the runs makes; runs of one partition are in order. */
  movesOf(runs: readonly EventRun[]): ProgressMove[] {
    const moves = new Map<string, ProgressMove>();
    const lasts = new Map<string, ConsumerPlace | undefined>();
    for (const run of runs) {
      const { topic, partition, endOffset: nextOffset } = run;
      const name = partitionName(run);
      const from = this.#placesOf(run);
      const last = lastPosition(run.events) ?? lasts.get(name);
      lasts.set(name, last);
      moves.set(name, { topic, partition, nextOffset, from, places: from.movedTo(nextOffset, last) });
    }
    return [...moves.values()];
  }

  /** Notes moves that are durable. */
  advance(moves: readonly ProgressMove[]): void {
    for (const move of moves) this.#places.set(partitionName(move), move.places);
  }

  #due(event: SinkEvent, places: ConsumerPlaces): SinkEvent {
    const needs = (consumer: number): boolean =>
      places.needs(this.#consumers[consumer]?.name ?? "", event.record.offset);
    return {
      ...event,
      calls: event.calls.filter(({ statement }) => needs(this.#consumerOfStatement[statement] ?? 0)),
      failures: event.failures.filter(({ consumer }) => needs(consumer)),
    };
  }

  #placesOf(partition: TopicPartition): ConsumerPlaces {
    const places = this.#places.get(partitionName(partition));
    if (places === undefined)
      throw new RejotError("INTERNAL_ERROR", { detail: `${partitionName(partition)} was not placed` });
    return places;
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

/** The last event with a position in its header, which is `<op>:<commit LSN>:<index>`. */
function lastPosition(events: readonly SinkEvent[]): ConsumerPlace | undefined {
  for (let i = events.length - 1; i >= 0; i--) {
    const { change, offset } = (events[i] as SinkEvent).record;
    if (change !== undefined && change.length > 2) return { offset, position: change.toString("latin1", 2) };
  }
  return undefined;
}
