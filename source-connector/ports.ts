import type { PartitionBounds } from "../shared/kafka/kafka-reader.ts";
import type { KeyRecord } from "../shared/kafka/kafka-topic-keys.ts";
import type { ChangeOp, Position } from "../shared/kafka/position.ts";
import type { Lsn } from "../shared/postgres/lsn.ts";

/** A column of a relation as the replication stream describes it. */
export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
  /** Part of the replica identity. */
  readonly identity: boolean;
}

/** A table as the replication stream describes it, at the time of the changes that follow. */
export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** d default, n nothing, f full, i index. */
  readonly replicaIdentity: "d" | "n" | "f" | "i";
  readonly columns: readonly RelationColumn[];
}

/** Stands for a TOAST value that the change did not touch and the stream therefore leaves out. Not null. */
export const UNCHANGED = Symbol("unchanged TOAST value");

/** The values of a row in the order of the relation's columns, as the server's text. */
export type RowImage = readonly (string | null | typeof UNCHANGED)[];

/** One row of the WAL. */
export interface Change {
  readonly op: "c" | "u" | "d";
  readonly relation: Relation;
  /** The row after an insert or update. */
  readonly after: RowImage | null;
  /** The row before: the replica identity's columns, or all of them under REPLICA IDENTITY FULL. */
  readonly before: RowImage | null;
}

/** What every piece of a transaction knows about the whole. */
export interface TransactionInfo {
  /** 32 bits, as the wire carries it. */
  readonly xid: number;
  readonly commitLsn: Lsn;
  /** Milliseconds since 1970. */
  readonly commitTimeMs: number;
}

/** A whole transaction, or a piece of one that is larger than a batch. */
export interface TransactionPiece extends TransactionInfo {
  readonly changes: readonly Change[];
  /** Set on the last piece only: where the transaction's WAL ends, what can be confirmed once it is durable. */
  readonly endLsn: Lsn | null;
  /** Set on a piece that is a TRUNCATE of these tables, and nothing else; it is a batch of its own. */
  readonly truncated?: readonly Relation[];
  /** Contents of the backfill's own messages in the transaction, in their order. */
  readonly marks?: readonly string[];
  /** Approximate size in memory. */
  readonly bytes: number;
}

/** A TRUNCATE in the course of its transaction. */
export type TruncatedPiece = TransactionPiece & { readonly truncated: readonly Relation[] };

/**
 * Pieces that go through the pipeline together, in commit order; pieces of one transaction follow each other.
 * The batch is closed when its last piece ends its transaction, else the rest of that one comes next.
 */
export type Batch = readonly TransactionPiece[];

/** What the replication stream says. */
export type WalMessage =
  | { readonly kind: "begin"; readonly commitLsn: Lsn; readonly commitTimeMs: number; readonly xid: number }
  | { readonly kind: "commit"; readonly endLsn: Lsn }
  | { readonly kind: "change"; readonly change: Change; readonly bytes: number }
  | { readonly kind: "truncate"; readonly relations: readonly Relation[] }
  | { readonly kind: "mark"; readonly content: string };

/** Prefix of the logical messages that a backfill sends through the WAL. */
export const BACKFILL_PREFIX = "rejot.backfill";

/** Takes the messages of the replication stream, in order and without waiting. */
export interface WalSink {
  accept(message: WalMessage): void;
  /** True while no more should be read; `onRoom` is called when that ends. */
  readonly full: boolean;
  onRoom(callback: () => void): void;
  /** The stream broke; whoever waits for a batch gets the error. */
  fail(error: unknown): void;
}

/**
 * Batches of whole transactions in commit order, and pieces of large ones. Asking for the next batch takes
 * what has arrived since, within the limits. Throws when the stream broke.
 */
export interface BatchSource {
  batches(): AsyncIterable<Batch>;
}

/** The connection to the write-ahead log. */
export interface ReplicationStream {
  /** The server's process that streams to us; null when it is not told. */
  readonly serverPid: number | null;
  /** Lets the server discard WAL up to here. Call it only with what is durable downstream. */
  confirm(endLsn: Lsn): void;
  stop(): Promise<void>;
}

/** An event whose values are the database's text. */
export interface TextEvent {
  /** Index into the source's public schemas. */
  readonly schema: number;
  readonly op: ChangeOp;
  readonly position: Position;
  readonly commitTimeMs: number;
  /** The output columns' values; null makes it a tombstone. */
  readonly row: readonly (string | null)[] | null;
  /** The row that holds the key: the same as `row`, or the delete transformation's row for a tombstone. */
  readonly keyRow: readonly (string | null)[];
  /** The shape of `row` and `keyRow`: names and types of the columns. */
  readonly columns: ResultColumns;
}

/** Columns of a query's result; one object per prepared statement, so it can key caches. */
export interface ResultColumns {
  readonly list: readonly { readonly name: string; readonly typeOid: number }[];
}

/**
 * Runs the teams' SQL. Events come back in the order of the changes. What tables say is read in a snapshot that
 * contains every transaction of the batch. Throws retryable errors when the database was lost, final ones when
 * the SQL fails; in either case nothing of the batch went anywhere.
 */
export interface Transformer {
  transform(batch: Batch): Promise<TextEvent[]>;
  /** Keeps `count` numbers free for other events of the transaction, and tells the first. */
  number(commitLsn: Lsn, count: number): number;
}

/**
 * Says what a TRUNCATE takes out of the topics, in portions to be published one after the other. All that comes before
 * must have been sent. Throws TRUNCATE_STOPS when that cannot be said, KAFKA_*.
 */
export interface Truncation {
  /** The topics that hold nothing after it. */
  topics(piece: TruncatedPiece): readonly string[];
  tombstones(piece: TruncatedPiece): AsyncIterable<EncodedEvent[]>;
}

/** A record ready for Kafka. */
export interface EncodedEvent {
  readonly topic: string;
  readonly key: Buffer;
  /** Null is a tombstone. */
  readonly value: Buffer | null;
  /** The value of the one header. */
  readonly change: string;
  readonly position: Position;
  readonly timestampMs: number;
}

/** Turns text into Avro. Throws VALUE_NOT_REPRESENTABLE when a value does not fit its declared type. */
export interface Encoder {
  encode(events: readonly TextEvent[]): Promise<EncodedEvent[]>;
  /** What every key of a public schema begins with: the key schema's id in the registry. */
  keyPrefix(schema: number): Buffer;
}

/** How far the publisher is once a batch is durable. */
export interface Progress {
  readonly commitLsn: Lsn;
  readonly endLsn: Lsn;
  readonly commitTimeMs: number;
}

/** A record of the progress topic that speaks of the events published with it. */
export interface ProgressNote {
  readonly key: string;
  readonly value: string;
}

/**
 * The topics. `publish` appends events and notes in order; with `progress` they are complete and become visible and
 * durable together with it before the promise resolves. Without, they wait for the call that has it.
 * A throw means that the outcome is unknown and the publisher must not be used again.
 */
export interface Publisher {
  publish(
    events: readonly EncodedEvent[],
    progress: Progress | null,
    notes?: readonly ProgressNote[],
  ): Promise<void>;
}

/**
 * Puts what a backfill has read between the events of the stream. `merge` is called for every batch, in order, and
 * keeps the order of the batch's own events.
 */
export interface Interleaver {
  /** All keys of the topic are gone: what was read of them before, too. */
  emptied(topic: string): void;
  merge(
    batch: Batch,
    events: readonly EncodedEvent[],
  ): { readonly events: readonly EncodedEvent[]; readonly notes: readonly ProgressNote[] };
}

/** Reads the keys of topics, of committed records only. What reads throws KAFKA_*, the signal's reason. */
export interface TopicKeys {
  /** Where the partitions begin and end now; resolves when everything up to there is committed or aborted. */
  bounds(topic: string, signal: AbortSignal): Promise<readonly PartitionBounds[]>;
  /** Page by page, from an offset up to the end of the bounds. */
  read(bounds: PartitionBounds, from: bigint, signal: AbortSignal): AsyncIterable<readonly KeyRecord[]>;
  /** The partition that records of the key go to in a topic of so many. */
  partitionOf(key: Buffer, partitions: number): number;
}

/** How the rows of a table are read that make a public schema's objects. */
export interface ChunkTable {
  /** As SQL writes it behind FROM: schema and table, quoted. */
  readonly table: string;
  /** The columns that rows are read in the order of. */
  readonly keyColumns: readonly string[];
  /** What that order depends on beside them: their types and collations. Records of older versions do not have it. */
  readonly keyTypes?: readonly string[] | undefined;
}

/** What is read next. */
export interface ChunkRequest {
  /** Index into the source's public schemas. */
  readonly schema: number;
  readonly table: ChunkTable;
  /** Values of the key columns behind which to read; null from the beginning. */
  readonly after: readonly (string | null)[] | null;
  /** An SQL condition on the table's columns, or null. */
  readonly where: string | null;
  readonly maxRows: number;
  /** Reading stops after the portion that goes above. */
  readonly maxBytes: number;
  /** Transactions, by the 32 bits of the wire, whose changes the chunk has to contain. */
  readonly contains: ReadonlySet<number>;
}

/** Rows of a table one after the other, and the objects that they make. */
export interface Chunk {
  /** With positions that mean nothing yet. */
  readonly events: readonly TextEvent[];
  readonly rows: number;
  /** Values of the key columns of the last row; null when there was none. */
  readonly last: readonly (string | null)[] | null;
  /** There are no rows behind. */
  readonly finished: boolean;
}

/** Reads what is already there, in short read-only transactions. */
export interface ChunkReader {
  /** Names of the tables that a public schema's transformations speak of, sorted. */
  uses(schema: number): readonly string[];
  /**
   * The tables whose rows make all objects of a public schema. Throws BACKFILL_TABLE_UNCLEAR, BACKFILL_TABLE_UNFIT.
   */
  tables(schema: number): Promise<readonly ChunkTable[]>;
  /** About how many rows will be read. Throws BACKFILL_CONDITION_INVALID when `where` is no condition on the table. */
  estimate(table: ChunkTable, where: string | null): Promise<number>;
  /** Resolves when every transaction that was running at the call has ended. */
  quiesce(): Promise<void>;
  /**
   * One snapshot, proven to contain `contains`. Throws what a Transformer throws; BACKFILL_KEY_CHANGED when rows do not
   * stand any more in the order in which they were read so far: a new session looks at the tables anew.
   */
  read(request: ChunkRequest): Promise<Chunk>;
  /** Nothing is to be read for now: gives back what was held for it. */
  rest(): Promise<void>;
}
