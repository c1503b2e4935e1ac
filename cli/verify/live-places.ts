import type { PartitionBounds } from "../../shared/kafka/kafka-reader.ts";
import { encodeKeyRecord, type Kind, keyRecord, type Place, placeName, recordsOf } from "./key-records.ts";
import { SpillFile } from "./spill-file.ts";
import { countWithin } from "./topic-records.ts";

const NO_KEY = Buffer.alloc(0);

/** Which events of a topic are wanted, to be asked for in the order of the partitions and offsets. */
export class LivePlaces implements Disposable {
  readonly #file: SpillFile;
  /** Where a partition begins when all are put one behind the other. */
  readonly #bases = new Map<number, bigint>();
  readonly #total: bigint;
  #loaded: number | undefined;
  #kinds = new Map<string, Kind>();

  constructor(directory: string, bounds: readonly PartitionBounds[]) {
    const total = countWithin(bounds);
    this.#file = new SpillFile(directory, total);
    this.#total = BigInt(Math.max(1, total));
    let base = 0n;
    for (const { partition, start, end } of bounds) {
      this.#bases.set(partition, base - start);
      base += end - start;
    }
  }

  add(place: Place, kind: Kind): void {
    this.#file.append(this.#bucketOf(place), encodeKeyRecord(keyRecord(kind, NO_KEY, { place })));
  }

  /** What was added of the place; quick while places that follow each other are asked for. */
  get(place: Place): Kind | undefined {
    const bucket = this.#bucketOf(place);
    if (bucket !== this.#loaded) {
      this.#kinds = new Map();
      for (const record of recordsOf(this.#file, bucket))
        this.#kinds.set(placeName(record.place), record.kind);
      this.#loaded = bucket;
    }
    return this.#kinds.get(placeName(place));
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }

  #bucketOf({ partition, offset }: Place): number {
    const at = (this.#bases.get(partition) ?? 0n) + offset;
    return Number((at * BigInt(this.#file.buckets)) / this.#total);
  }
}
