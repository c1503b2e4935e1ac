import type { KafkaReader, PartitionBounds } from "./kafka-reader.ts";
import { CHANGE_HEADER } from "./position.ts";

/** A record of a topic, without its value. */
export interface KeyRecord {
  /** Shares its memory with the page that was fetched. */
  readonly key: Buffer;
  /** False for a tombstone. */
  readonly alive: boolean;
  readonly offset: bigint;
  /** The header by which our events tell their position. */
  readonly change: Buffer | undefined;
}

const FETCH_BYTES = 4 * 1024 * 1024;

/**
 * The keys of a partition from an offset up to the end of its bounds, page by page; records without a key are left out.
 * What the reader sees is what comes: committed records, or all. Throws KAFKA_*, the signal's reason.
 */
export async function* readKeys(
  reader: Pick<KafkaReader, "fetch">,
  bounds: PartitionBounds,
  from: bigint,
  signal: AbortSignal,
): AsyncGenerator<KeyRecord[]> {
  for (let at = from; at < bounds.end; ) {
    const page = await reader.fetch(bounds, at, FETCH_BYTES, signal);
    yield page.records.flatMap(({ key, value, offset, headers }) => {
      if (key === null || offset >= bounds.end) return [];
      const change = headers[CHANGE_HEADER];
      return [{ key, alive: value !== null, offset, change: Array.isArray(change) ? change[0] : change }];
    });
    at = page.nextOffset;
  }
}
