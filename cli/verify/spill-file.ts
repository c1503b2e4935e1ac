import { randomUUID } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { RejotError } from "../../shared/errors/error.ts";

/** What all buckets together keep in memory before it is written. */
const BUFFERED_BYTES = 8 * 1024 * 1024;
const SMALLEST_BUFFER_BYTES = 2 * 1024;
const RECORDS_IN_BUCKET = 8_000;
const MOST_BUCKETS = 2_048;

interface Bucket {
  /** Where its parts stand in the file: position and length, one after the other. */
  readonly extents: number[];
  readonly pending: Buffer;
  used: number;
}

/**
 * More records than memory holds, in buckets that fit: what has to be found together goes into the same bucket. One
 * file that has no name any more once it is open, so that nothing is left behind however the process ends.
 */
export class SpillFile implements Disposable {
  readonly buckets: number;
  readonly #buckets: readonly Bucket[];
  readonly #directory: string;
  readonly #file: number;
  #end = 0;

  /** `expectedRecords` decides how many buckets there are. Throws VERIFY_WORK_DIR. */
  constructor(directory: string, expectedRecords: number) {
    this.buckets = Math.max(1, Math.min(MOST_BUCKETS, Math.ceil(expectedRecords / RECORDS_IN_BUCKET)));
    this.#directory = directory;
    const bytes = Math.max(SMALLEST_BUFFER_BYTES, Math.floor(BUFFERED_BYTES / this.buckets / 4) * 4);
    this.#buckets = Array.from({ length: this.buckets }, () => {
      return { extents: [], pending: Buffer.allocUnsafe(Math.min(bytes, 64 * 1024)), used: 0 };
    });
    const path = join(directory, `rejot-verify-${randomUUID()}`);
    try {
      this.#file = openSync(path, "wx+", 0o600);
      unlinkSync(path);
    } catch (cause) {
      throw new RejotError("VERIFY_WORK_DIR", { detail: `${directory}: ${(cause as Error).message}`, cause });
    }
  }

  /** The bucket of a key. */
  bucketOf(key: Buffer): number {
    // FNV-1a: keys differ in few bits.
    let hash = 0x811c9dc5;
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ (key[i] as number), 0x01000193);
    return ((hash ^ (hash >>> 15)) >>> 0) % this.buckets;
  }

  /** Copies the record. Throws VERIFY_WORK_DIR when the disk is full. */
  append(index: number, record: Buffer): void {
    const bucket = this.#bucket(index);
    if (bucket.used + record.length > bucket.pending.length) this.#flush(bucket);
    if (record.length > bucket.pending.length) {
      this.#write(bucket, record);
      return;
    }
    bucket.used += record.copy(bucket.pending, bucket.used);
  }

  /**
   * All records of a bucket, as they were appended, in parts of whole records: a key that changed all the time may have
   * more of them than memory holds. Throws VERIFY_WORK_DIR.
   */
  *parts(index: number): Generator<Buffer> {
    const { extents, pending, used } = this.#bucket(index);
    for (let i = 0; i < extents.length; i += 2)
      yield this.#read(extents[i] as number, extents[i + 1] as number);
    if (used > 0) yield Buffer.from(pending.subarray(0, used));
  }

  /** Size on disk. */
  get bytes(): number {
    return fstatSync(this.#file).size;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #read(position: number, size: number): Buffer {
    const bytes = Buffer.allocUnsafe(size);
    for (let done = 0; done < size; ) {
      const count = this.#checked(() => readSync(this.#file, bytes, done, size - done, position + done));
      if (count === 0) throw new RejotError("INTERNAL_ERROR", { detail: "a spilled bucket is cut short" });
      done += count;
    }
    return bytes;
  }

  #flush(bucket: Bucket): void {
    if (bucket.used > 0) this.#write(bucket, bucket.pending.subarray(0, bucket.used));
    bucket.used = 0;
  }

  #write(bucket: Bucket, bytes: Buffer): void {
    const position = this.#end;
    for (let done = 0; done < bytes.length; )
      done += this.#checked(() => writeSync(this.#file, bytes, done, bytes.length - done, position + done));
    this.#end += bytes.length;
    bucket.extents.push(position, bytes.length);
  }

  #checked<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      throw new RejotError("VERIFY_WORK_DIR", {
        detail: `${this.#directory}: ${(cause as Error).message}`,
        cause,
      });
    }
  }

  #bucket(index: number): Bucket {
    const bucket = this.#buckets[index];
    if (bucket === undefined) throw new RejotError("INTERNAL_ERROR", { detail: `no bucket ${index}` });
    return bucket;
  }
}
