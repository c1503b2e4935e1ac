import type { ResolvedConsumer, ResolvedDestination } from "../../shared/manifest/workspace.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";

/** A record of a topic as it was read: key and value in Confluent's wire format. */
export interface TopicEvent {
  readonly partition: number;
  readonly offset: bigint;
  readonly key: Buffer;
  /** Null is a tombstone. */
  readonly value: Buffer | null;
}

/** Partition → the offset of the next event that a consumer schema will apply: all below is applied, nothing else is. */
export type AppliedOffsets = ReadonlyMap<number, bigint>;

/** How far a sink is. */
export interface SinkProgress {
  /** What the consumer schema that is compared has applied of its topic; undefined when it never applied anything. */
  readonly applied: AppliedOffsets | undefined;
  /** What is stored of the partitions of each topic of the sink. */
  readonly stored: ReadonlyMap<string, readonly StoredPlaces[]>;
}

/** A row of `rejot.progress`. */
export interface StoredPlaces {
  readonly partition: number;
  readonly nextOffset: bigint;
  /** Where each consumer schema goes on; null in a row that has no list of them. */
  readonly places: ReadonlyMap<string, bigint> | null;
}

/**
 * What a destination is compared by: the offsets of its snapshot, with what is left out of the comparison; or why its
 * consumer schema cannot be compared, by its nature.
 */
export type Opened =
  | { readonly kind: "open"; readonly progress: SinkProgress; readonly notes: readonly string[] }
  | { readonly kind: "incomparable"; readonly reason: string };

/** An event whose row is there with other values. */
export interface DifferentEvent {
  readonly event: TopicEvent;
  /** The fields of the public schema that the row does not show. */
  readonly fields: readonly string[];
}

/** What comparing a batch has found; every event of the batch counts once. */
export interface BatchComparison {
  readonly equal: number;
  /** Events that have no row. */
  readonly missing: readonly TopicEvent[];
  readonly different: readonly DifferentEvent[];
  /** Events that cannot be decoded, or whose values the statement cannot take: the sink could not apply them. */
  readonly undecodable: readonly { readonly event: TopicEvent; readonly reason: string }[];
}

/** Rows of a destination that no live event stands for. */
export type Extras =
  /** JSON of what tells each apart; to be read before the check is closed. */
  | { readonly kind: "found"; readonly keys: Iterable<string> }
  /** Not to be told, with the reason: deletes are ignored, the table holds other rows too. */
  | { readonly kind: "unknown"; readonly reason: string };

/**
 * Compares what one consumer schema has stored with the events of its topic, in one snapshot of the destination.
 * Call `open` first; then `skip` and `compare`, each event once, in any order; then `extras`; `close` at last, whatever
 * happened before. Memory is bounded by a batch. All throw POSTGRES_* and
 * VERIFY_* when the destination is lost, refuses or keeps silent.
 */
export interface DestinationCheck {
  /** Opens the snapshot, and reads the sink's progress in it. */
  open(): Promise<Opened>;
  /**
   * Compares the latest event of each key below the applied offsets, none of them a tombstone; about 1,000 at once.
   * Throws REGISTRY_* too.
   */
  compare(events: readonly TopicEvent[]): Promise<BatchComparison>;
  /**
   * Keys whose latest event below the applied offsets is not in the topic any more: compaction took it, because a later
   * one, which is handed over here, is not applied yet. Their rows count neither as equal nor as extra.
   */
  skip(events: readonly TopicEvent[]): Promise<void>;
  /** What is left over once all live events were compared. */
  extras(): Promise<Extras>;
  /** The sink's progress as it is now. The snapshot is over then. */
  progress(): Promise<SinkProgress>;
  /** Never throws. */
  close(): Promise<void>;
}

/** What a check is made from. */
export interface DestinationCheckOptions {
  readonly destination: ResolvedDestination;
  readonly consumer: ResolvedConsumer;
  /** All other consumer schemas of the same database, whoever's they are. */
  readonly others: readonly ResolvedConsumer[];
  /** The consumer group by which `rejot.progress` names the sink. */
  readonly group: string;
  readonly registry: SchemaRegistry;
  /** A directory of the check's own for what does not fit into memory; whoever gives it removes it. */
  readonly workDir: string;
  /** What a lock or an answer may take. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}
