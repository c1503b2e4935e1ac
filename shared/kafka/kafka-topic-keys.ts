import type { KafkaReader, PartitionBounds } from "./kafka-reader.ts";

/** A record of a topic, without its value. */
export interface KeyRecord {
  /** Shares its memory with the page that was fetched. */
  readonly key: Buffer;
  /** False for a tombstone. */
  readonly alive: boolean;
  readonly offset: bigint;
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
    yield page.records.flatMap(({ key, value, offset }) =>
      key !== null && offset < bounds.end ? [{ key, alive: value !== null, offset }] : [],
    );
    at = page.nextOffset;
  }
}
