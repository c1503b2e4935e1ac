import type { TopicKeys } from "../ports.ts";

/** What is left over is looked for with these. */
export interface RemovalOptions {
  readonly keys: TopicKeys;
  readonly topic: string;
  /** Partition → where it ended when the rebuild began. */
  readonly ends: Readonly<Record<string, string>>;
  /** The partition to begin at. */
  readonly partition: number;
  /** What keys begin with that can be compared with those of the stream. */
  readonly prefix: Buffer;
  readonly maxKeys?: number;
  readonly maxBytes?: number;
}

/** What is kept in memory at once. */
const MAX_KEYS = 200_000;
const MAX_BYTES = 32 * 1024 * 1024;
const MAX_MODULUS = 2 ** 30;

/** A part of all keys: those whose hash leaves this rest. */
interface KeyClass {
  readonly modulus: number;
  readonly rest: number;
}

/**
 * Finds the keys of a topic that are alive in it, and have no event behind where the topic ended when a rebuild began:
 * neither the rows that were read since nor a change have published them, so they are gone.
 *
 * Memory is bounded: when more keys are found than are kept, those of one half of all hashes go on, and the others are
 * looked for in a pass of their own. What was found stays true by reading on (`catchUp`), which costs what is new.
 */
export class Removal {
  readonly #options: RemovalOptions;
  readonly #maxKeys: number;
  readonly #maxBytes: number;
  readonly #partitions: number;
  #partition: number;
  #class: KeyClass = { modulus: 1, rest: 0 };
  #later: KeyClass[] = [];
  #found = new Set<string>();
  #bytes = 0;
  #at = 0n;
  /** Keys that are left as they are: they were written with another key schema, or by others. */
  incomparable = 0;

  constructor(options: RemovalOptions) {
    this.#options = options;
    this.#maxKeys = options.maxKeys ?? MAX_KEYS;
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
    this.#partitions = Object.keys(options.ends).length;
    this.#partition = options.partition;
  }

  /** The partition it is at; those before are done. */
  get partition(): number {
    return this.#partition;
  }

  get isOver(): boolean {
    return this.#partition >= this.#partitions;
  }

  /** Whether nothing is left of the keys that it is at. */
  get isEmpty(): boolean {
    return this.#found.size === 0;
  }

  /** Reads on to where the partition ends now. May be called again after a throw. Throws KAFKA_*, the signal's reason. */
  async catchUp(signal: AbortSignal): Promise<void> {
    const { keys, topic, ends } = this.#options;
    const all = await keys.bounds(topic, signal);
    const bounds = all.find(({ partition }) => partition === this.#partition);
    if (bounds === undefined) return;
    const wasEnd = BigInt(ends[this.#partition] ?? "0");
    if (this.#at < bounds.start) this.#at = bounds.start;
    for await (const page of keys.read(bounds, this.#at, signal)) {
      for (const { key, alive, offset } of page) this.#note(key, alive && offset < wasEnd);
      const last = page.at(-1);
      if (last !== undefined) this.#at = last.offset + 1n;
    }
    if (this.#at < bounds.end) this.#at = bounds.end;
  }

  /** Takes up to so many of the keys that are gone. `catchUp` must have been called since the last. */
  take(count: number): Buffer[] {
    const taken: Buffer[] = [];
    for (const name of this.#found) {
      if (taken.length >= count) break;
      this.#forget(name);
      const key = Buffer.from(name, "latin1");
      const { prefix } = this.#options;
      if (key.subarray(0, prefix.length).equals(prefix)) taken.push(key);
      else this.incomparable++;
    }
    return taken;
  }

  /** Goes on to further keys, or to the next partition. */
  next(): void {
    this.#found.clear();
    this.#bytes = 0;
    this.#at = 0n;
    const later = this.#later.pop();
    if (later === undefined) this.#partition++;
    this.#class = later ?? { modulus: 1, rest: 0 };
  }

  #note(key: Buffer, isLeft: boolean): void {
    const { modulus, rest } = this.#class;
    if (modulus > 1 && hashOf(key) % modulus !== rest) return;
    // A string is a copy: the buffer belongs to the whole fetched page.
    const name = key.toString("latin1");
    if (!isLeft) {
      this.#forget(name);
      return;
    }
    if (this.#found.has(name)) return;
    this.#found.add(name);
    this.#bytes += name.length;
    while (this.#isFull()) this.#halve();
  }

  #forget(name: string): void {
    if (this.#found.delete(name)) this.#bytes -= name.length;
  }

  #isFull(): boolean {
    const tooMany = this.#found.size > this.#maxKeys || this.#bytes > this.#maxBytes;
    return tooMany && this.#found.size > 1 && this.#class.modulus < MAX_MODULUS;
  }

  #halve(): void {
    const { modulus, rest } = this.#class;
    this.#later.push({ modulus: 2 * modulus, rest: rest + modulus });
    this.#class = { modulus: 2 * modulus, rest };
    for (const name of this.#found)
      if (hashOf(Buffer.from(name, "latin1")) % (2 * modulus) !== rest) this.#forget(name);
  }
}

/** FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/ */
function hashOf(key: Buffer): number {
  let hash = 0x811c9dc5;
  for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
