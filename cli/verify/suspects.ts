import { encodeKeyRecord, KIND, keyRecord, type Place, readKeyRecords } from "./key-records.ts";
import { SpillFile } from "./spill-file.ts";

/** More of them, and the next round looks at all keys instead of at them alone. */
const MOST_IN_MEMORY = 50_000;

/** Stands for an event that could not be judged, because a later one may have taken its place. */
export const MOVING: Place = { partition: 0, offset: -2n };

/** What a round leaves to the next: keys that do not fit or could not be judged, with the event that was judged. */
export class Suspects implements Disposable {
  readonly #file: SpillFile;
  #names: Set<string> | undefined = new Set();
  count = 0;

  constructor(directory: string, expectedRecords: number) {
    this.#file = new SpillFile(directory, expectedRecords);
  }

  add(key: Buffer, place: Place): void {
    this.count++;
    this.#names?.add(key.toString("latin1"));
    if (this.count > MOST_IN_MEMORY) this.#names = undefined;
    this.#file.append(this.#file.bucketOf(key), encodeKeyRecord(keyRecord(KIND.suspect, key, { place })));
  }

  /** False for keys that are none of them; where there are too many to know, true for all. */
  mayHave(key: Buffer): boolean {
    return this.#names?.has(key.toString("latin1")) ?? true;
  }

  /** The events that were judged, by the key's bytes as latin1. */
  inBucket(bucket: number): ReadonlyMap<string, { readonly key: Buffer; readonly place: Place }> {
    const found = new Map<string, { key: Buffer; place: Place }>();
    for (const { key, place } of readKeyRecords(this.#file.read(bucket)))
      found.set(key.toString("latin1"), { key, place });
    return found;
  }

  /** All of them. */
  *all(): Generator<Buffer> {
    for (let bucket = 0; bucket < this.#file.buckets; bucket++)
      for (const { key } of readKeyRecords(this.#file.read(bucket))) yield key;
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}
