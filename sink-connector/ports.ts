import type { RejotError } from "../shared/errors/error.ts";

/** How a partition is named in maps and messages. */
export function partitionName({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

/** A consumer schema, `manifest/consumer-schema`, and the topic that it reads. */
export interface TopicConsumerSchema {
  readonly name: string;
  readonly topic: string;
}

/** The names of the consumer schemas that read a topic, in the order of the manifest. */
export function consumersOf(consumers: readonly TopicConsumerSchema[], topic: string): string[] {
  return consumers.filter((each) => each.topic === topic).map(({ name }) => name);
}

/** One partition of a topic. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** A record as Kafka delivered it: bytes are as they were published. */
export interface KafkaRecord {
  readonly offset: number;
  readonly key: Buffer | null;
  /** Null is a tombstone. */
  readonly value: Buffer | null;
  /** When the source committed the change; milliseconds since 1970. */
  readonly timestampMs: number;
  /** The `rejot.change` header. */
  readonly change: Buffer | undefined;
  /** False for a publisher without Kafka transactions, which may repeat events. */
  readonly transactional: boolean;
}

/** One consumer schema's statement with the values of one event, as Postgres text in parameter order. */
export interface StatementCall {
  /** Index into the destination's statements. */
  readonly statement: number;
  readonly values: readonly (string | null)[];
}

/** A consumer schema that an event could not be prepared for or applied by. */
export interface EventFailure {
  /** Index into the destination's consumer schemas. */
  readonly consumer: number;
  readonly error: RejotError;
}

/** One event, decoded and bound to the statements of every consumer schema that reads its topic. */
export interface SinkEvent extends TopicPartition {
  readonly record: KafkaRecord;
  /** In the order of the consumer schemas in the manifest. Empty when nothing is to be done. */
  readonly calls: readonly StatementCall[];
  /** Consumer schemas that cannot take the event: bytes that do not decode, a value without a Postgres form. */
  readonly failures: readonly EventFailure[];
  /** Consumer schemas whose dead letter is sent: the destination notes them together with the progress. */
  readonly setAside?: readonly SetAside[];
}

/** A dead letter that is durable in Kafka. */
export interface SetAside {
  /** Index into the destination's consumer schemas. */
  readonly consumer: number;
  /** Its offset in the dead letters' topic. */
  readonly letterOffset: number;
}

/** A run of events of one partition, in the order of their offsets, without gaps. */
export interface EventRun extends TopicPartition {
  readonly events: readonly SinkEvent[];
  /** The offset to read next once the run is applied; beyond the last event when control records follow it. */
  readonly endOffset: number;
  /** Bytes of keys and values. */
  readonly bytes: number;
}

/** Where a partition goes on: events before it are done with. */
export interface PartitionPlace extends TopicPartition {
  readonly nextOffset: number;
}

/** Where a consumer schema goes on. */
export interface ConsumerPlace {
  readonly offset: number;
  /** Position of the last event before it, `<commit LSN>:<index>`; null when there was none, or it is not known. */
  readonly position: string | null;
}

/** What the destination's row says of the consumer schemas that read a partition. */
export interface PlacesRow {
  /** Where the one that is furthest goes on. */
  readonly nextOffset: number;
  /** Position of the last event that it has applied; null before the first. */
  readonly position: string | null;
  /**
   * Every consumer schema that ever read the partition, by its name: null when it goes on at `nextOffset`, else its place.
   * Null in a row of a version that kept no such list: all that read it go on at `nextOffset`.
   */
  readonly consumers: Readonly<Record<string, ConsumerPlace | null>> | null;
  /** `consumers` as it is stored: whoever moves the row expects this very text. */
  readonly text: string | null;
}

/**
 * Where the consumer schemas of one partition go on. Those that a sink has are as a rule in step. One that is new begins
 * at the topic's beginning, and one that was out of the manifest for a while where it was: what the others have applied
 * already is read again for it alone, until it has come up with them.
 */
export interface ConsumerPlaces {
  readonly row: PlacesRow;
  /** Where reading goes on: every one of them has applied what comes before. */
  readonly readFrom: ConsumerPlace;
  /** Those that are behind the furthest, and where they go on. */
  readonly behind: ReadonlyMap<string, number>;
  /** Whether a consumer schema is here and has not applied the event at an offset yet. */
  needs(name: string, offset: number): boolean;
  /** Whether it is here and has applied, or set aside, the event at an offset. */
  isPast(name: string, offset: number): boolean;
  /**
   * The places once all events before `endOffset`, from `readFrom` on, are applied; `last` is the last of them that has a
   * position. Consumer schemas that this sink does not have stay where they are: another version of the manifest may have
   * them.
   */
  movedTo(endOffset: number, last: ConsumerPlace | undefined): ConsumerPlaces;
}

/** How far a partition is, as the destination's own table says: `nextOffset` is where its consumer schemas read on. */
export interface PartitionProgress extends PartitionPlace {
  readonly places: ConsumerPlaces;
}

/** What Kafka holds of a partition: offsets from `firstOffset` (inclusive) to `endOffset` (exclusive). */
export interface PartitionBounds extends TopicPartition {
  readonly firstOffset: number;
  readonly endOffset: number;
}

/** What the feed hands out: partitions whose progress must be looked up, or events to apply. */
export type FeedItem =
  | {
      readonly kind: "assigned";
      readonly generation: number;
      readonly partitions: readonly PartitionBounds[];
    }
  | { readonly kind: "events"; readonly runs: readonly EventRun[] };

/**
 * Events of the partitions this process owns at the moment, in order per partition, each once.
 * Nothing of a partition is handed out before `place` has said where it starts; after a rebalance or `displace`
 * everything read ahead is dropped and the partition is announced as assigned again.
 */
export interface EventFeed extends AsyncIterable<FeedItem> {
  /**
   * Looks at what the topics hold right before these places, with one read each.
   * Throws SINK_TOPIC_RECREATED when all of it is newer than what the destination has applied.
   */
  examine(places: readonly PartitionProgress[]): Promise<void>;
  /**
   * Starts the partitions at these places. Ignored when the generation is no longer the current one. A place behind the
   * end of its partition is not believed at first: the partition is announced again, with the end as it is then.
   * Throws SINK_TOPIC_RECREATED or SINK_EVENTS_GONE when the topic does not hold a place.
   */
  place(generation: number, places: readonly PartitionProgress[]): void;
  /** Says that the destination is elsewhere than this process believed. */
  displace(partitions: readonly TopicPartition[]): void;
  /** Whether a partition is this process's at the moment. */
  owns(partition: TopicPartition): boolean;
  /** Whether all partitions of a topic are, so that no other member of the group works on it. */
  ownsAllOf(topic: string): boolean;
  /** Drops what is read ahead of a topic and hands out nothing of it for a while; then it is announced as assigned. */
  hold(topic: string, delayMs: number): void;
  /** Announces a topic's partitions as assigned after a while, for a consumer schema's sake, and goes on until then. */
  revisit(topic: string, consumerSchema: string, delayMs: number): void;
  /** Tells Kafka for monitoring how far the destination is; never waited for, never an error. */
  report(moves: readonly ProgressMove[]): void;
}

/** A place in a topic, of one consumer schema or of all; without an offset, the whole partition. */
export interface PartitionPoint extends TopicPartition {
  readonly offset?: number | undefined;
  readonly consumerSchema?: string | undefined;
}

/** A topic, or one of its consumer schemas, that stands still, and why. */
export interface Hold {
  readonly at: PartitionPoint;
  readonly error: RejotError;
  readonly attempts: number;
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
}

/** Topics and consumer schemas that stand still because of an error of their own, while others of the destination go on. */
export interface Holds {
  /** One for each topic or consumer schema that stands still: what it failed at last. */
  readonly all: readonly Hold[];
  /** Notes what stopped a topic, or one consumer schema of it. Returns when to try again, in milliseconds from now, and whether this is news. */
  hold(at: PartitionPoint, error: RejotError): { delayMs: number; isNew: boolean };
  /** The consumer schemas of a topic that are not to be tried yet, and in how many milliseconds each is. */
  heldOf(topic: string): ReadonlyMap<string, number>;
  /** Whether all that stands still was tried since the destination moved last: what moved may have helped. */
  readonly areTried: boolean;
  /** The destination has moved to these places. */
  moved(places: readonly PartitionProgress[]): void;
  /** The destination is at these places: what stood still before one of them does so no more. */
  passed(places: readonly PartitionProgress[]): void;
  /** The group has given out its partitions anew: what stood still here may be another process's. */
  clear(): void;
}

/** Where a partition must be in the destination, and where it is, and reads on, once the batch is applied. */
export interface ProgressMove extends PartitionProgress {
  readonly from: ConsumerPlaces;
}

/** Events that are applied together with the progress they make. */
export interface EventBatch {
  readonly events: readonly SinkEvent[];
  readonly moves: readonly ProgressMove[];
}

/** What became of a write: applied and durable, or refused because somebody else has moved the progress. */
export type WriteOutcome = "applied" | "stale";

/**
 * The destination database. A resolved `write` means committed: events and progress, or nothing of either.
 * Lost connections, deadlocks and the like are tried again inside, without end, until the signal is aborted.
 */
export interface Destination {
  /**
   * Progress of the partitions; a partition or a consumer schema seen for the first time starts at `firstOffset`. Consumer
   * schemas that are held are left out of the places, unless none would be left.
   */
  progress(
    partitions: readonly PartitionBounds[],
    heldOf: (topic: string) => Pick<ReadonlySet<string>, "has">,
  ): Promise<PartitionProgress[]>;
  /**
   * Applies in one transaction. Throws CallFailed when one statement is to blame, BatchTooSlow when several events
   * together took longer than the server or we allow, else the server's error.
   */
  write(batch: EventBatch): Promise<WriteOutcome>;
  /**
   * Tries an event's calls in a transaction that is rolled back, deferred constraints included. Resolves with why the
   * destination does not take them, or undefined.
   */
  rehearse(event: SinkEvent): Promise<unknown>;
}

/** Applies runs of events by the policies of the consumer schemas. */
export interface EventApplier {
  /** Says where the destination is, before the first run of a partition and after each "stale". */
  place(places: readonly PartitionProgress[]): void;
  /**
   * Resolves when all events are durable in the destination or set aside, or when somebody else has moved the
   * progress ("stale"): then some may be applied, and the partitions must be placed anew.
   * Throws SINK_EVENT_FAILED when an event stops its topic: all before it are applied, nothing after it.
   */
  apply(runs: readonly EventRun[]): Promise<{ outcome: WriteOutcome; moves: readonly ProgressMove[] }>;
}

/** Events that could not be applied, kept for people. */
export interface DeadLetters {
  /**
   * Resolves when all brokers in sync have the letters, with the offset of each in its topic. One that was sent before,
   * and whose event was not passed since, is not sent again. Trouble with a topic of letters is tried again a few times;
   * then it throws KAFKA_* or TOPIC_NAME_INVALID with topic, partition and offset of the first event whose letter was not
   * taken in the context: that event holds up its topic.
   */
  send(letters: readonly DeadLetter[]): Promise<number[]>;
  /** The destination is at these places. */
  passed(places: readonly PartitionProgress[]): void;
}

/** One event that one consumer schema could not take. */
export interface DeadLetter {
  readonly event: SinkEvent;
  readonly failure: EventFailure;
}

/** One call of a batch made the transaction fail; nothing of the batch was applied. */
export class CallFailed extends Error {
  /** Index into the batch's events, and into that event's calls. */
  readonly eventIndex: number;
  readonly callIndex: number;

  constructor(eventIndex: number, callIndex: number, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = "CallFailed";
    this.eventIndex = eventIndex;
    this.callIndex = callIndex;
  }
}

/** A transaction of several events was ended because it took too long. Whether it was committed is not always known. */
export class BatchTooSlow extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = "BatchTooSlow";
  }
}
