/** An event that Kafka holds, as the demo read it there. */
export interface SeenEvent {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** When the source committed the change; milliseconds since 1970. */
  readonly committedMs: number;
}

/** How far a destination is in a partition. */
export interface SeenProgress {
  readonly topic: string;
  readonly partition: number;
  /** All events before this offset are in the destination. */
  readonly nextOffset: number;
}

interface PartitionState<E> {
  /** In the order of their offsets; not known to be in the destination. */
  waiting: E[];
  /** Rising; each place together with the time at which the destination was first seen there. */
  reached: { nextOffset: number; atMs: number }[];
}

/**
 * Brings together what is seen of an event in two places, in whichever order it is seen there: the topic says
 * that there is an event, the destination's progress says that it has arrived.
 */
export class Arrivals<E extends SeenEvent> {
  readonly #partitions = new Map<string, PartitionState<E>>();

  /** Events that have not arrived. */
  get waiting(): number {
    return [...this.#partitions.values()].reduce((sum, partition) => sum + partition.waiting.length, 0);
  }

  /** The event was read from its topic. Returns it with the time of its arrival if it is known to have arrived. */
  event(event: E): { event: E; arrivedMs: number }[] {
    const partition = this.#partition(event.topic, event.partition);
    partition.waiting.push(event);
    return this.#arrived(partition);
  }

  /** The destination was seen at this place. Returns the events that thereby have arrived. */
  progress(progress: SeenProgress, atMs: number): { event: E; arrivedMs: number }[] {
    const partition = this.#partition(progress.topic, progress.partition);
    if (progress.nextOffset <= (partition.reached.at(-1)?.nextOffset ?? 0)) return [];
    partition.reached.push({ nextOffset: progress.nextOffset, atMs });
    return this.#arrived(partition);
  }

  #arrived(partition: PartitionState<E>): { event: E; arrivedMs: number }[] {
    const arrived: { event: E; arrivedMs: number }[] = [];
    for (let event = partition.waiting[0]; event !== undefined; event = partition.waiting[0]) {
      const { offset } = event;
      const first = partition.reached.findIndex((place) => place.nextOffset > offset);
      if (first === -1) break;
      // Offsets only rise: what lies before is needed no more.
      partition.reached.splice(0, first);
      arrived.push({ event, arrivedMs: partition.reached[0]?.atMs as number });
      partition.waiting.shift();
    }
    return arrived;
  }

  #partition(topic: string, partition: number): PartitionState<E> {
    const key = `${topic}/${partition}`;
    let state = this.#partitions.get(key);
    if (state === undefined) {
      state = { waiting: [], reached: [] };
      this.#partitions.set(key, state);
    }
    return state;
  }
}

/** Median and 99th percentile of latencies, in milliseconds; undefined when there are none. */
export function latencySummary(
  latenciesMs: readonly number[],
): { medianMs: number; p99Ms: number } | undefined {
  if (latenciesMs.length === 0) return undefined;
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
  return { medianMs: at(0.5), p99Ms: at(0.99) };
}
