import { RejotError } from "../../shared/errors/error.ts";
import { comparePositions, type Position, parseChange } from "../../shared/kafka/position.ts";
import { parseLsn } from "../../shared/postgres/lsn.ts";
import type { KafkaRecord, PartitionBounds, PartitionProgress } from "../ports.ts";

/** How often a partition may be sent back to where it has to be before something is clearly wrong. */
const MAX_SEEKS = 5;

/** What to do with a fetched batch. */
export type FetchDecision = "take" | "seek" | "broken";

/** Where one partition is being read: decides whether what Kafka's consumer brings continues it without a gap. */
export class FetchPosition {
  /** The next offset to hand out. */
  nextOffset: number;
  /** One beyond the last offset Kafka has told of. */
  highWatermark: number;
  #position: Position | undefined;
  #seeks = 0;
  #gapAt: number | undefined;

  constructor(progress: PartitionProgress, bounds: PartitionBounds) {
    checkPlace(progress, bounds);
    this.nextOffset = progress.nextOffset;
    this.highWatermark = bounds.endOffset;
    this.#position = progress.position === null ? undefined : parsePosition(progress.position);
  }

  /**
   * A batch continues the partition only if it was fetched from exactly the next offset: batches that were on
   * their way when the group was rebalanced, and the beginning of a recreated topic, are not taken for news.
   */
  offer(fetchedOffset: number): FetchDecision {
    if (fetchedOffset === this.nextOffset) {
      this.#seeks = 0;
      return "take";
    }
    return this.#sendBack();
  }

  /** Records that were passed over without being shown: control records, aborted or compacted ones. */
  skip(firstOffset: number | null, lastOffset: number): FetchDecision {
    const from = firstOffset ?? lastOffset;
    if (from < this.nextOffset && lastOffset < this.nextOffset) return "take";
    if (from > this.nextOffset && this.#gapAt !== this.nextOffset) {
      // Compaction leaves gaps, so this may be right: it is if a second read from the same place shows it again.
      this.#gapAt = this.nextOffset;
      return this.#sendBack();
    }
    this.#seeks = 0;
    this.nextOffset = lastOffset + 1;
    return "take";
  }

  /**
   * Leaves out what a publisher without transactions has repeated: records whose position is not above the last
   * one. A record without a header counts as new. Changes nothing here: the batch may be read again.
   */
  withoutRepeats(records: readonly KafkaRecord[]): {
    records: readonly KafkaRecord[];
    position: Position | undefined;
  } {
    const last = records.at(-1);
    if (last === undefined || records.every((record) => record.transactional)) {
      return {
        records,
        position: last === undefined ? this.#position : later(this.#position, positionOf(last)),
      };
    }
    let seen = this.#position;
    const fresh = records.filter((record) => {
      const position = positionOf(record);
      const before = seen;
      seen = later(before, position);
      if (record.transactional || position === undefined || before === undefined) return true;
      return comparePositions(position, before) > 0;
    });
    return { records: fresh, position: seen };
  }

  /** The batch is taken: the next one follows it. */
  advance(nextOffset: number, position: Position | undefined): void {
    this.nextOffset = nextOffset;
    this.#position = position;
  }

  #sendBack(): FetchDecision {
    this.#seeks += 1;
    return this.#seeks > MAX_SEEKS ? "broken" : "seek";
  }
}

function later(a: Position | undefined, b: Position | undefined): Position | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return comparePositions(a, b) >= 0 ? a : b;
}

function positionOf(record: KafkaRecord): Position | undefined {
  try {
    return record.change === undefined ? undefined : parseChange(record.change).position;
  } catch {
    return undefined;
  }
}

function parsePosition(text: string): Position | undefined {
  const match = /^([0-9A-F]+\/[0-9A-F]+):(\d+)$/.exec(text);
  return match?.[1] === undefined ? undefined : { commitLsn: parseLsn(match[1]), index: Number(match[2]) };
}

/** Throws SINK_TOPIC_RECREATED or SINK_EVENTS_GONE when the topic does not hold the place any more. */
function checkPlace({ topic, partition, nextOffset }: PartitionProgress, bounds: PartitionBounds): void {
  const context = {
    topic,
    partition,
    nextOffset,
    firstOffset: bounds.firstOffset,
    endOffset: bounds.endOffset,
  };
  if (nextOffset > bounds.endOffset) {
    throw new RejotError("SINK_TOPIC_RECREATED", {
      detail: `${topic} partition ${partition} ends at offset ${bounds.endOffset}, the destination is at ${nextOffset}`,
      context,
    });
  }
  if (nextOffset < bounds.firstOffset) {
    throw new RejotError("SINK_EVENTS_GONE", {
      detail: `${topic} partition ${partition} begins at offset ${bounds.firstOffset}, the destination is at ${nextOffset}`,
      context,
    });
  }
}
