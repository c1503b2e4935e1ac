import { RejotError } from "../../shared/errors/error.ts";
import type { Position } from "../../shared/kafka/position.ts";
import {
  type EventFeed,
  type EventRun,
  type FeedItem,
  type KafkaRecord,
  type PartitionBounds,
  type PartitionProgress,
  type ProgressMove,
  partitionName,
  type TopicPartition,
} from "../ports.ts";
import { checkBefore, FetchPosition, isExaminable } from "./fetch-position.ts";
import { type BufferLimits, oldestTimestampMs, RunBuffer } from "./run-buffer.ts";

/** What Kafka holds of a partition, and how many partitions its topic has. */
export interface CountedBounds extends PartitionBounds {
  readonly partitionCount: number;
}

/** What the feed has Kafka's consumer do. */
export interface FetchControl {
  pause(partition: TopicPartition): void;
  /** Reads on from an offset. */
  resumeAt(partition: TopicPartition, offset: number): void;
  /** What the topics hold of these partitions at the moment. */
  bounds(partitions: readonly TopicPartition[]): Promise<CountedBounds[]>;
  /** Positions of some of the last committed events before the end of these bounds, as far as they are still there. */
  positionsBefore(bounds: PartitionBounds): Promise<Position[]>;
  report(moves: readonly ProgressMove[]): void;
}

/** Limits of what is read ahead and of what is handed out at once. */
export interface FeedLimits {
  readonly ahead: BufferLimits;
  readonly batchMaxRows: number;
  readonly batchMaxBytes: number;
}

/** A fetched batch as the consumer delivers it. */
export interface FetchedBatch extends TopicPartition {
  readonly fetchedOffset: number;
  readonly lastOffset: number;
  readonly highWatermark: number;
  readonly records: readonly KafkaRecord[];
}

/** A promise to take the records of a batch, if nothing has changed when they are decoded. */
export interface Ticket {
  readonly records: readonly KafkaRecord[];
  /** Position of the last of them, or of what came before. */
  readonly position: Position | undefined;
  readonly nextOffset: number;
  readonly lastOffset: number;
  readonly place: FetchPosition;
}

/** How far a feed is. */
export interface FeedOverview {
  /** Events that are read ahead; the batch that is being applied is not among them. */
  readonly bufferedRows: number;
  /** When the oldest event that is read and not applied was committed at the source, in milliseconds since 1970. */
  readonly oldestTimestampMs: number | undefined;
  readonly partitions: readonly (TopicPartition & {
    /** Null until the destination has said where the partition starts. */
    readonly fetchedOffset: number | null;
    /** Whether everything before `fetchedOffset` is applied. */
    readonly isApplied: boolean;
    readonly highWatermark: number | null;
  })[];
}

interface Assigned {
  readonly partition: TopicPartition;
  /** Undefined until the destination has said where the partition starts. */
  place: FetchPosition | undefined;
}

/** The port over an assignment that Kafka may change at any moment. All state, no I/O: the adapter calls it. */
export class AssignmentFeed implements EventFeed {
  readonly #limits: FeedLimits;
  readonly #control: FetchControl;
  readonly #buffer: RunBuffer;
  readonly #bounds = new Map<string, CountedBounds>();
  /** Places that lay behind the end of their partition when they were told. */
  readonly #doubted = new Map<string, number>();
  #assigned = new Map<string, Assigned>();
  #unplaced = new Set<string>();
  readonly #held = new Map<string, NodeJS.Timeout>();
  readonly #revisits = new Map<string, NodeJS.Timeout>();
  /** Announced as assigned, and not displaced since. */
  #placing = new Set<string>();
  /** Handed out, and not done yet. */
  #inHand: readonly EventRun[] = [];
  #generation = 0;
  #end: { readonly error?: unknown } | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(limits: FeedLimits, control: FetchControl) {
    this.#limits = limits;
    this.#control = control;
    this.#buffer = new RunBuffer(limits.ahead);
  }

  /** The group has given this process these partitions, and only these. */
  assign(partitions: readonly TopicPartition[]): void {
    this.#generation += 1;
    this.#doubted.clear();
    this.#buffer.drop();
    this.#releaseAll();
    this.#assigned = new Map(
      partitions.map((partition) => [partitionName(partition), { partition, place: undefined }]),
    );
    this.#unplaced = new Set(this.#assigned.keys());
    for (const partition of partitions) this.#control.pause(partition);
    this.#wake();
  }

  /** Ends the iteration: in good order after what was handed out, or with an error. */
  end(error?: unknown): void {
    this.#end ??= error === undefined ? {} : { error };
    this.#releaseAll();
    this.#wake();
  }

  get isEnded(): boolean {
    return this.#end !== undefined;
  }

  /** Resolves when the buffer has room or the feed has ended. */
  async room(): Promise<void> {
    while (this.#buffer.isFull && this.#end === undefined) await this.#changed.promise;
  }

  get isFull(): boolean {
    return this.#buffer.isFull && this.#end === undefined;
  }

  /** Whether a fetched batch continues its partition; sends the consumer back where it has to read when not. */
  offer(batch: FetchedBatch): Ticket | undefined {
    const assigned = this.#assigned.get(partitionName(batch));
    const place = assigned?.place;
    if (place === undefined) return undefined;
    place.highWatermark = Math.max(place.highWatermark, batch.highWatermark);
    if (!this.#follow(batch, place, place.offer(batch.fetchedOffset))) return undefined;
    return {
      ...place.withoutRepeats(batch.records),
      nextOffset: place.nextOffset,
      lastOffset: batch.lastOffset,
      place,
    };
  }

  /** Buffers the run made from a ticket, unless the partition was taken away or moved in the meantime. */
  put(ticket: Ticket, run: EventRun): void {
    const place = this.#assigned.get(partitionName(run))?.place;
    if (place !== ticket.place || place.nextOffset !== ticket.nextOffset) return;
    place.advance(run.endOffset, ticket.position);
    this.#buffer.add(run);
    this.#wake();
  }

  /** The consumer has passed over records without showing them. */
  skip(partition: TopicPartition, firstOffset: number | null, lastOffset: number): void {
    const place = this.#assigned.get(partitionName(partition))?.place;
    if (place !== undefined) this.#follow(partition, place, place.skip(firstOffset, lastOffset));
  }

  async examine(places: readonly PartitionProgress[]): Promise<void> {
    await Promise.all(
      places.map(async (place) => {
        const bounds = this.#bounds.get(partitionName(place));
        if (bounds === undefined || !isExaminable(place, bounds)) return;
        const endOffset = place.places.row.nextOffset;
        checkBefore(place, await this.#control.positionsBefore({ ...bounds, endOffset }));
      }),
    );
  }

  place(generation: number, places: readonly PartitionProgress[]): void {
    if (generation !== this.#generation) return;
    for (const progress of places) {
      const name = partitionName(progress);
      const assigned = this.#assigned.get(name);
      const bounds = this.#bounds.get(name);
      if (assigned === undefined || bounds === undefined || this.#held.has(progress.topic)) continue;
      // Who is to be read for has changed since: it is announced again.
      if (!this.#placing.has(name)) continue;
      if (this.#isDoubtful(name, progress, bounds)) continue;
      assigned.place = new FetchPosition(progress, bounds);
      this.#unplaced.delete(name);
      this.#doubted.delete(name);
      this.#control.resumeAt(assigned.partition, progress.nextOffset);
    }
  }

  /**
   * A partition's end is asked for before the destination's progress, and another sink may go on in between, as the one
   * that had the partition until now does. Only an end that was asked for later tells whether records are missing.
   */
  #isDoubtful(name: string, { places }: PartitionProgress, { endOffset }: PartitionBounds): boolean {
    const { nextOffset } = places.row;
    if (nextOffset <= endOffset || (this.#doubted.get(name) ?? 0) > endOffset) return false;
    this.#doubted.set(name, nextOffset);
    return true;
  }

  displace(partitions: readonly TopicPartition[]): void {
    this.#buffer.drop(new Set(partitions.map(partitionName)));
    for (const partition of partitions) {
      const assigned = this.#assigned.get(partitionName(partition));
      this.#placing.delete(partitionName(partition));
      if (assigned === undefined || this.#held.has(partition.topic)) continue;
      assigned.place = undefined;
      this.#unplaced.add(partitionName(partition));
      this.#control.pause(partition);
    }
    this.#wake();
  }

  owns(partition: TopicPartition): boolean {
    return this.#assigned.has(partitionName(partition));
  }

  ownsAllOf(topic: string): boolean {
    const own = this.#partitionsOf(topic);
    const [any] = own;
    const count = any === undefined ? undefined : this.#bounds.get(partitionName(any))?.partitionCount;
    return count !== undefined && own.length >= count;
  }

  hold(topic: string, delayMs: number): void {
    if (this.#end !== undefined) return;
    const partitions = this.#partitionsOf(topic);
    this.displace(partitions);
    for (const partition of partitions) this.#unplaced.delete(partitionName(partition));
    clearTimeout(this.#held.get(topic));
    this.#held.set(
      topic,
      setTimeout(() => this.#release(topic), delayMs),
    );
  }

  revisit(topic: string, consumerSchema: string, delayMs: number): void {
    if (this.#end !== undefined) return;
    const name = JSON.stringify([topic, consumerSchema]);
    clearTimeout(this.#revisits.get(name));
    const revisit = (): void => {
      this.#revisits.delete(name);
      this.displace(this.#partitionsOf(topic));
    };
    this.#revisits.set(name, setTimeout(revisit, delayMs));
  }

  report(moves: readonly ProgressMove[]): void {
    this.#control.report(moves.filter((move) => this.#assigned.has(partitionName(move))));
  }

  /** What is read and not applied yet, and how far each partition is read; for status pages. */
  overview(): FeedOverview {
    const unapplied = [...this.#inHand, ...this.#buffer.runs];
    const behind = new Set(unapplied.map(partitionName));
    return {
      bufferedRows: this.#buffer.rows,
      oldestTimestampMs: oldestTimestampMs(unapplied),
      partitions: [...this.#assigned.values()].map(({ partition, place }) => ({
        ...partition,
        fetchedOffset: place?.nextOffset ?? null,
        isApplied: !behind.has(partitionName(partition)),
        highWatermark: place?.highWatermark ?? this.#bounds.get(partitionName(partition))?.endOffset ?? null,
      })),
    };
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<FeedItem> {
    for (;;) {
      if (this.#end !== undefined) {
        if ("error" in this.#end) throw this.#end.error;
        return;
      }
      const generation = this.#generation;
      if (this.#unplaced.size > 0) {
        const partitions = await this.#control.bounds(this.#unplacedPartitions());
        if (generation !== this.#generation) continue;
        for (const bounds of partitions) this.#bounds.set(partitionName(bounds), bounds);
        this.#placing = new Set(partitions.map(partitionName));
        yield { kind: "assigned", generation, partitions };
      } else if (!this.#buffer.isEmpty) {
        const runs = this.#buffer.take(this.#limits.batchMaxRows, this.#limits.batchMaxBytes);
        this.#wake();
        this.#inHand = runs;
        yield { kind: "events", runs };
        this.#inHand = [];
      } else {
        await this.#changed.promise;
      }
    }
  }

  #release(topic: string): void {
    this.#held.delete(topic);
    for (const partition of this.#partitionsOf(topic)) this.#unplaced.add(partitionName(partition));
    this.#wake();
  }

  #releaseAll(): void {
    for (const timer of [...this.#held.values(), ...this.#revisits.values()]) clearTimeout(timer);
    this.#held.clear();
    this.#revisits.clear();
  }

  #partitionsOf(topic: string): TopicPartition[] {
    return [...this.#assigned.values()].flatMap(({ partition }) =>
      partition.topic === topic ? [partition] : [],
    );
  }

  #unplacedPartitions(): TopicPartition[] {
    return [...this.#unplaced].flatMap((name) => this.#assigned.get(name)?.partition ?? []);
  }

  #follow(partition: TopicPartition, place: FetchPosition, decision: "take" | "seek" | "broken"): boolean {
    if (decision === "take") return true;
    if (decision === "seek") this.#control.resumeAt(partition, place.nextOffset);
    else {
      this.end(
        new RejotError("SINK_FEED_BROKEN", { detail: `${partitionName(partition)} at ${place.nextOffset}` }),
      );
    }
    return false;
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
