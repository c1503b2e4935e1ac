import type { CommittedRecord } from "../../kafka/committed-records.ts";
import type { KafkaReader, PartitionBounds } from "../../kafka/kafka-reader.ts";
import {
  CHANGE_HEADER,
  type ChangeOp,
  comparePositions,
  type Position,
  parseChange,
} from "../../kafka/position.ts";
import type { Lsn } from "../../postgres/lsn.ts";

/** An event as it stands in its topic. */
export interface TopicEvent {
  readonly op: ChangeOp;
  readonly position: Position;
  readonly offset: bigint;
  /** Commit time at the source, milliseconds since 1970. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

/** What is read of a partition. */
export interface Stretch {
  readonly bounds: PartitionBounds;
  readonly from: bigint;
  /** Events of this transaction and of earlier ones are left out. */
  readonly after: Lsn | null;
  /** Events behind this transaction are left out. */
  readonly upTo: Lsn;
  /** About how much one fetch brings, and thus holds in memory. */
  readonly fetchBytes: number;
}

/** A read for few events should not move many: fetches begin with this and grow. */
const FIRST_FETCH_BYTES = 32 * 1024;

/** Reads a record. Throws CHANGE_HEADER_INVALID. */
export function topicEvent(record: CommittedRecord): TopicEvent {
  const header = record.headers[CHANGE_HEADER];
  const { op, position } = parseChange(Array.isArray(header) ? undefined : header);
  const { offset, timestampMs, key, value } = record;
  return { op, position, offset, timestampMs, key, value };
}

/**
 * The events of a partition in the order of their positions, for one pass. An event that the partition has twice,
 * because an at-least-once publisher repeated it, comes once.
 */
export class PartitionEvents implements AsyncIterable<TopicEvent> {
  readonly stretch: Stretch;
  /** Whether all of the partition was passed on: nothing in it is behind `upTo`. */
  reachedEnd = false;
  readonly #reader: KafkaReader;
  readonly #signal: AbortSignal;

  constructor(reader: KafkaReader, stretch: Stretch, signal: AbortSignal) {
    this.#reader = reader;
    this.stretch = stretch;
    this.#signal = signal;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TopicEvent> {
    const { bounds, from, after, upTo } = this.stretch;
    let offset = from;
    let fetchBytes = Math.min(FIRST_FETCH_BYTES, this.stretch.fetchBytes);
    let last: Position | undefined;
    while (offset < bounds.end) {
      const page = await this.#reader.fetch(bounds, offset, fetchBytes, this.#signal);
      for (const record of page.records) {
        if (record.offset >= bounds.end) break;
        const event = topicEvent(record);
        const { position } = event;
        if (position.commitLsn > upTo) return;
        if (last !== undefined && comparePositions(position, last) <= 0) continue;
        last = position;
        if (after === null || position.commitLsn > after) yield event;
      }
      offset = page.nextOffset;
      fetchBytes = Math.min(fetchBytes * 4, this.stretch.fetchBytes);
    }
    this.reachedEnd = true;
  }
}
