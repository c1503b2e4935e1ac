import { type DeadLetter, type PartitionProgress, partitionName } from "../ports.ts";

interface Sent {
  readonly eventOffset: number;
  readonly consumer: number;
  readonly letterOffset: number;
}

/**
 * Remembers which letters are in Kafka whose events the destination has not passed: an event that is tried again, because
 * another one holds up its topic, must not leave one more letter each time. Memory grows with what one batch sets aside.
 */
export class SentLetters {
  readonly #byPartition = new Map<string, Map<string, Sent>>();
  readonly #consumerNames: readonly string[];

  /** The consumer schema of each index that letters name. */
  constructor(consumerNames: readonly string[]) {
    this.#consumerNames = consumerNames;
  }

  add(letter: DeadLetter, letterOffset: number): void {
    const name = partitionName(letter.event);
    const ofPartition = this.#byPartition.get(name) ?? new Map<string, Sent>();
    const { consumer } = letter.failure;
    ofPartition.set(identity(letter), { eventOffset: letter.event.record.offset, consumer, letterOffset });
    this.#byPartition.set(name, ofPartition);
  }

  /** The letter's offset, if it was sent. */
  offsetOf(letter: DeadLetter): number | undefined {
    return this.#byPartition.get(partitionName(letter.event))?.get(identity(letter))?.letterOffset;
  }

  /** Forgets the letters of events that their consumer schemas have passed: one that is held has not. */
  passed(places: readonly PartitionProgress[]): void {
    for (const place of places) {
      const ofPartition = this.#byPartition.get(partitionName(place));
      for (const [name, { eventOffset, consumer }] of ofPartition ?? [])
        if (place.places.isPast(this.#consumerNames[consumer] ?? "", eventOffset)) ofPartition?.delete(name);
    }
  }

  /** Forgets the letters of a topic's events. */
  forget(topic: string): void {
    for (const name of this.#byPartition.keys())
      if (name.startsWith(`${topic}/`)) this.#byPartition.delete(name);
  }
}

/** A topic that was made anew has other events at its offsets. */
function identity({ event: { record }, failure }: DeadLetter): string {
  return `${record.offset} ${record.timestampMs} ${failure.consumer}`;
}
