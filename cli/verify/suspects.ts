import { encodeKeyRecord, KIND, type Kind, keyRecord, type Place, recordsOf } from "./key-records.ts";
import { SpillFile } from "./spill-file.ts";

/** More of them, and the next round looks at all keys instead of at them alone. */
const MOST_IN_MEMORY = 50_000;

/** Stands for an event that could not be judged, because a later one may have taken its place. */
export const MOVING: Place = { partition: 0, offset: -2n };

/**
 * What a round leaves to the next: keys that do not fit or could not be judged, with the event that was judged. Those
 * whose difference stands are kept too: the next round has to find them again to say so again.
 */
export class Suspects implements Disposable {
  readonly #file: SpillFile;
  /** By the key's bytes as latin1; undefined when there are too many. */
  #places: Map<string, Place> | undefined = new Map();
  /** Keys that are still to be settled. */
  open = 0;
  #kept = 0;

  constructor(directory: string, expectedRecords: number) {
    this.#file = new SpillFile(directory, expectedRecords);
  }

  /** A key whose difference does not stand yet. */
  add(key: Buffer, place: Place): void {
    this.open++;
    this.#keep(KIND.suspect, key, place);
  }

  /** A key whose difference stands. */
  addSettled(key: Buffer, place: Place): void {
    this.#keep(KIND.live, key, place);
  }

  /** False for keys that are none of them; where there are too many to know, true for all. */
  mayHave(key: Buffer): boolean {
    return this.#places?.has(key.toString("latin1")) ?? true;
  }

  /** Whether the same event was judged. Where there are too many to know: what so many have in common stands. */
  mayHaveBeen(key: Buffer, place: Place): boolean {
    if (this.#places === undefined) return true;
    const judged = this.#places.get(key.toString("latin1"));
    return judged !== undefined && isSamePlace(judged, place);
  }

  /** The events that were judged, by the key's bytes as latin1. */
  inBucket(bucket: number): ReadonlyMap<string, Place> {
    const found = new Map<string, Place>();
    for (const { key, place } of recordsOf(this.#file, bucket)) found.set(key.toString("latin1"), place);
    return found;
  }

  /** The keys that are still to be settled. */
  *openKeys(): Generator<Buffer> {
    for (let bucket = 0; bucket < this.#file.buckets; bucket++)
      for (const { kind, key } of recordsOf(this.#file, bucket)) if (kind === KIND.suspect) yield key;
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }

  #keep(kind: Kind, key: Buffer, place: Place): void {
    this.#kept++;
    this.#places?.set(key.toString("latin1"), place);
    if (this.#kept > MOST_IN_MEMORY) this.#places = undefined;
    this.#file.append(this.#file.bucketOf(key), encodeKeyRecord(keyRecord(kind, key, { place })));
  }
}

/** Whether two places are one. */
export function isSamePlace(a: Place, b: Place): boolean {
  return a.partition === b.partition && a.offset === b.offset;
}
