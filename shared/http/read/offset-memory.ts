import type { Lsn } from "../../postgres/lsn.ts";

/** Entries kept: about 5 MB. */
const MAX_ENTRIES = 50_000;

/**
 * Remembers behind which offset of a partition the events after a transaction begin, so that a reader who comes back
 * with the cursor it was given costs no search. What is forgotten is searched for again.
 */
export class OffsetMemory {
  readonly #offsets = new Map<string, bigint>();

  get(topic: string, partition: number, after: Lsn): bigint | undefined {
    return this.#offsets.get(identity(topic, partition, after));
  }

  set(topic: string, partition: number, after: Lsn, offset: bigint): void {
    const key = identity(topic, partition, after);
    this.#offsets.delete(key);
    this.#offsets.set(key, offset);
    if (this.#offsets.size <= MAX_ENTRIES) return;
    const oldest = this.#offsets.keys().next();
    if (oldest.done !== true) this.#offsets.delete(oldest.value);
  }
}

function identity(topic: string, partition: number, after: Lsn): string {
  return `${topic}/${partition}/${after}`;
}
