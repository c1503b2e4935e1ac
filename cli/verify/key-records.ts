import type { SpillFile } from "./spill-file.ts";

/**
 * A row as the public schema's SQL gives it; an event up to the position, which is live, a tombstone, or cannot be
 * decoded; an event behind the position; a key that an earlier round could not settle.
 */
export const KIND = { row: 0, live: 1, tombstone: 2, undecodable: 3, later: 4, suspect: 5 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** Where an event stands. */
export interface Place {
  readonly partition: number;
  readonly offset: bigint;
}

/** Something known of a key, as it is kept on disk. */
export interface KeyRecord {
  readonly kind: Kind;
  readonly key: Buffer;
  /** The highest commit LSN of its partition so far: orders events of a key also where partitions were added. */
  readonly sequence: bigint;
  readonly place: Place;
  /** Stands for the value; of one that cannot be decoded, the reason as text; else empty. */
  readonly print: Buffer;
}

/** A place as a map's key. */
export function placeName({ partition, offset }: Place): string {
  return `${partition}@${offset}`;
}

/** No event. */
export const NOWHERE: Place = { partition: 0, offset: -1n };

const FIXED_BYTES = 1 + 4 + 4 + 8 + 4 + 8;
const NO_PRINT = Buffer.alloc(0);

/** A record of what is known of a key. */
export function keyRecord(
  kind: Kind,
  key: Buffer,
  { sequence = 0n, place = NOWHERE, print = NO_PRINT }: Partial<KeyRecord> = {},
): KeyRecord {
  return { kind, key, sequence, place, print };
}

/** Writes a record; `readKeyRecords` reads any number of them. */
export function encodeKeyRecord({ kind, key, sequence, place, print }: KeyRecord): Buffer {
  const bytes = Buffer.allocUnsafe(FIXED_BYTES + key.length + print.length);
  bytes[0] = kind;
  bytes.writeUInt32LE(key.length, 1);
  bytes.writeUInt32LE(print.length, 5);
  bytes.writeBigInt64LE(sequence, 9);
  bytes.writeUInt32LE(place.partition, 17);
  bytes.writeBigInt64LE(place.offset, 21);
  key.copy(bytes, FIXED_BYTES);
  print.copy(bytes, FIXED_BYTES + key.length);
  return bytes;
}

/** The records of a bucket, one part of it in memory at a time. */
export function* recordsOf(file: SpillFile, bucket: number): Generator<KeyRecord> {
  for (const part of file.parts(bucket)) yield* readKeyRecords(part);
}

/** Keys and prints share the memory of `bytes`. */
export function* readKeyRecords(bytes: Buffer): Generator<KeyRecord> {
  for (let at = 0; at < bytes.length; ) {
    const keyEnd = at + FIXED_BYTES + bytes.readUInt32LE(at + 1);
    const end = keyEnd + bytes.readUInt32LE(at + 5);
    yield {
      kind: bytes[at] as Kind,
      sequence: bytes.readBigInt64LE(at + 9),
      place: { partition: bytes.readUInt32LE(at + 17), offset: bytes.readBigInt64LE(at + 21) },
      key: bytes.subarray(at + FIXED_BYTES, keyEnd),
      print: bytes.subarray(keyEnd, end),
    };
    at = end;
  }
}
