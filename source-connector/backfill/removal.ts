import type { PartitionBounds } from "../../shared/kafka/kafka-reader.ts";
import type { KeyRecord } from "../../shared/kafka/kafka-topic-keys.ts";
import { comparePositions, type Position, parseChange } from "../../shared/kafka/position.ts";
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
/** What the position of a key's event takes, generously. */
const POSITION_BYTES = 120;

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
 *
 * A key is judged by its partition, to which all of its events go. Where partitions were added, keys have older events in
 * partitions that the newer do not go to: such a key is gone if no partition has an event of it behind the end, and it is
 * taken where its latest event is. For that the other partitions are read too.
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
  /** Of the keys that were found: those whose events may be in other partitions too, and the position of their last here. */
  readonly #astray = new Map<string, Position>();
  /** How far the other partitions are read for them. */
  readonly #elsewhere = new Map<number, bigint>();
  /** How many partitions the topic has. */
  #count = 0;
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
    // What was found was judged by another number.
    if (all.length !== this.#count) this.#forgetAll();
    this.#count = all.length;
    const wasEnd = BigInt(ends[this.#partition] ?? "0");
    if (this.#at < bounds.start) this.#at = bounds.start;
    for await (const page of keys.read(bounds, this.#at, signal)) {
      for (const record of page) this.#note(record, record.alive && record.offset < wasEnd);
      const last = page.at(-1);
      if (last !== undefined) this.#at = last.offset + 1n;
    }
    if (this.#at < bounds.end) this.#at = bounds.end;
    for (const other of all)
      if (other.partition !== this.#partition && this.#astray.size > 0) await this.#judge(other, signal);
  }

  /** Forgets keys that have an event in another partition which is behind the end, or newer. */
  async #judge(bounds: PartitionBounds, signal: AbortSignal): Promise<void> {
    const { keys, ends } = this.#options;
    const { partition, start, end } = bounds;
    const wasEnd = BigInt(ends[partition] ?? "0");
    const known = this.#elsewhere.get(partition) ?? start;
    for await (const page of keys.read(bounds, known < start ? start : known, signal)) {
      for (const { key, offset, change } of page) {
        const name = key.toString("latin1");
        const mine = this.#astray.get(name);
        if (mine === undefined) continue;
        const position = positionOf(change);
        if (offset >= wasEnd || position === undefined || comparePositions(position, mine) > 0)
          this.#forget(name);
      }
      const last = page.at(-1);
      if (last !== undefined) this.#elsewhere.set(partition, last.offset + 1n);
    }
    if ((this.#elsewhere.get(partition) ?? start) < end) this.#elsewhere.set(partition, end);
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
    this.#forgetAll();
    const later = this.#later.pop();
    if (later === undefined) this.#partition++;
    this.#class = later ?? { modulus: 1, rest: 0 };
  }

  #forgetAll(): void {
    this.#found.clear();
    this.#astray.clear();
    this.#elsewhere.clear();
    this.#bytes = 0;
    this.#at = 0n;
  }

  #note({ key, change }: KeyRecord, isLeft: boolean): void {
    const { modulus, rest } = this.#class;
    if (modulus > 1 && hashOf(key) % modulus !== rest) return;
    // A string is a copy: the buffer belongs to the whole fetched page.
    const name = key.toString("latin1");
    if (!isLeft) {
      this.#forget(name);
      return;
    }
    if (this.#found.has(name) && !this.#astray.has(name)) return;
    if (this.#isAstray(key)) {
      const position = positionOf(change);
      this.#forget(name);
      // Of other programs: there is no telling which event is the latest.
      if (position === undefined) return void this.incomparable++;
      this.#astray.set(name, position);
      this.#bytes += POSITION_BYTES;
    }
    this.#found.add(name);
    this.#bytes += name.length;
    while (this.#isFull()) this.#halve();
  }

  /** Whether events of the key may be in other partitions: its newer ones go elsewhere, or did while the rebuild went on. */
  #isAstray(key: Buffer): boolean {
    if (this.#count !== this.#partitions) return true;
    return this.#options.keys.partitionOf(key, this.#count) !== this.#partition;
  }

  #forget(name: string): void {
    if (this.#found.delete(name)) this.#bytes -= name.length;
    if (this.#astray.delete(name)) this.#bytes -= POSITION_BYTES;
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

function positionOf(change: Buffer | undefined): Position | undefined {
  try {
    return parseChange(change).position;
  } catch {
    return undefined;
  }
}

/** FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/ */
function hashOf(key: Buffer): number {
  let hash = 0x811c9dc5;
  for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
