import { RejotError } from "../../shared/errors/error.ts";
import { comparePositions, type Position, positionOf } from "../../shared/kafka/position.ts";
import { formatLsn, parseLsn } from "../../shared/postgres/lsn.ts";
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
    const { position } = progress.places.readFrom;
    this.#position = position === null ? undefined : parsePosition(position);
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
        position: last === undefined ? this.#position : later(this.#position, positionOf(last.change)),
      };
    }
    let seen = this.#position;
    const fresh = records.filter((record) => {
      const position = positionOf(record.change);
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

/** The place lies within what the topic holds, and the destination has said what it applied last before it. */
export function isExaminable({ places }: PartitionProgress, bounds: PartitionBounds): boolean {
  const { nextOffset, position } = places.row;
  return position !== null && nextOffset > bounds.firstOffset && nextOffset <= bounds.endOffset;
}

/**
 * Throws SINK_TOPIC_RECREATED when the records right before a place, as far as they are still there, are all newer than
 * what the destination has applied last: positions grow with the offsets, so they were never read here. One that is not
 * newer tells that the topic is the same: events may have been passed over by hand. None tells nothing, they may be
 * compacted away; nor do older ones, the last that was applied may be.
 */
export function checkBefore(
  { topic, partition, places }: PartitionProgress,
  before: readonly Position[],
): void {
  const { nextOffset, position } = places.row;
  const applied = position === null ? undefined : parsePosition(position);
  const [found] = before;
  if (applied === undefined || found === undefined) return;
  if (before.some((each) => comparePositions(each, applied) <= 0)) return;
  const holds = `${formatLsn(found.commitLsn)}:${found.index}`;
  throw new RejotError("SINK_TOPIC_RECREATED", {
    detail: `${topic} partition ${partition} has an event of position ${holds} before offset ${nextOffset}, the destination is at this offset and at position ${position}`,
    context: { topic, partition, nextOffset, position },
  });
}

function later(a: Position | undefined, b: Position | undefined): Position | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return comparePositions(a, b) >= 0 ? a : b;
}

function parsePosition(text: string): Position | undefined {
  const match = /^([0-9A-F]+\/[0-9A-F]+):(\d+)$/.exec(text);
  return match?.[1] === undefined ? undefined : { commitLsn: parseLsn(match[1]), index: Number(match[2]) };
}

/** Throws SINK_TOPIC_RECREATED or SINK_EVENTS_GONE when the topic does not hold the place any more. */
function checkPlace(
  { topic, partition, nextOffset, places }: PartitionProgress,
  bounds: PartitionBounds,
): void {
  const context = {
    topic,
    partition,
    nextOffset,
    firstOffset: bounds.firstOffset,
    endOffset: bounds.endOffset,
  };
  const furthest = Math.max(places.row.nextOffset, nextOffset);
  if (furthest > bounds.endOffset) {
    throw new RejotError("SINK_TOPIC_RECREATED", {
      detail: `${topic} partition ${partition} ends at offset ${bounds.endOffset}, the destination is at ${furthest}`,
      context: { ...context, nextOffset: furthest },
    });
  }
  if (nextOffset < bounds.firstOffset) {
    const [late] = [...places.behind].find(([, at]) => at === nextOffset) ?? [];
    throw new RejotError("SINK_EVENTS_GONE", {
      detail: `${topic} partition ${partition} begins at offset ${bounds.firstOffset}, ${late === undefined ? "the destination" : `its consumer schema ${late}`} is at ${nextOffset}`,
      // One that is behind the others is the only one to miss something.
      context: late === undefined ? context : { ...context, consumerSchema: late },
    });
  }
}
