import type { Lsn } from "../../postgres/lsn.ts";

/** One major version of a public schema, as cursors name it. */
export interface SchemaReference {
  readonly manifestSlug: string;
  readonly name: string;
  readonly major: number;
}

/** Where reading a public schema starts: behind a transaction, at offsets, or both; neither is the beginning. */
export interface ReadCursor {
  readonly schema: SchemaReference;
  /** Commit LSN of the last transaction the reader has seen. */
  readonly after: Lsn | null;
  /** First offset to read per partition; other partitions start at their beginning. */
  readonly offsets?: ReadonlyMap<number, bigint>;
}

/** A query of GET /read. */
export interface ReadRequest {
  /** Each schema once. Empty means every schema served, from the beginning. */
  readonly cursors: readonly ReadCursor[];
  /** Operations wanted at most, 1 to 1000; a first transaction that is larger is answered whole. */
  readonly limit: number;
}

interface OperationOrigin {
  readonly sourceManifestSlug: string;
  readonly sourcePublicSchema: {
    readonly name: string;
    readonly version: { readonly major: number; readonly minor: number };
  };
}

/** One event, in ReJot's shape. */
export type ReadOperation =
  | ({ readonly type: "insert" | "update"; readonly object: Record<string, unknown> } & OperationOrigin)
  | ({ readonly type: "delete"; readonly objectKeys: Record<string, unknown> } & OperationOrigin);

/** One event with the transaction it belongs to. */
export interface ReadEvent {
  /** Text form of the source transaction's commit LSN. */
  readonly transactionId: string;
  /** Whether it is the first of its transaction; the events that follow belong to the same one until the next. */
  readonly begins: boolean;
  readonly operation: ReadOperation;
}

/** How far the events of a public schema reach. */
export interface SchemaCursor {
  readonly schema: SchemaReference;
  /** The newest transaction that is complete in Kafka; null before the first. */
  readonly transactionId: string | null;
}

/** Reads events for GET /read. */
export interface ReadPort {
  /**
   * Events in commit order, inside a transaction in the order of its changes, whole transactions only, none
   * that is not complete in Kafka. Throws READ_SCHEMA_UNKNOWN, READ_UNAVAILABLE, or the signal's reason.
   */
  read(request: ReadRequest, signal: AbortSignal): AsyncIterable<ReadEvent>;
  /** The newest readable transaction of every public schema served. Throws READ_UNAVAILABLE. */
  cursors(signal: AbortSignal): Promise<SchemaCursor[]>;
  /** Closes connections that it keeps. */
  close(): Promise<void>;
}
