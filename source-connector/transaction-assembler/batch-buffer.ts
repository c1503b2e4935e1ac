import { RejotError } from "../../shared/errors/error.ts";
import { formatLsn, type Lsn } from "../../shared/postgres/lsn.ts";
import type { Batch, BatchSource, TransactionPiece, WalMessage, WalSink } from "../ports.ts";
import type { TransactionAssembler } from "./assembler.ts";

/** How much a batch and the buffer before it hold. */
export interface BatchLimits {
  readonly maxRows: number;
  readonly maxBytes: number;
  /** Reading from the server pauses while more than this waits. */
  readonly maxBufferedBytes: number;
}

/**
 * Stands between the socket, which cannot wait, and the pipeline, which decides the pace: while the pipeline is
 * busy, transactions gather here, and the next batch is as large as the load makes it. No timer is needed.
 */
export class BatchBuffer implements WalSink, BatchSource {
  readonly #assembler: TransactionAssembler;
  readonly #limits: BatchLimits;
  #pieces: TransactionPiece[] = [];
  #bytes = 0;
  #room: () => void = () => {};
  #waiting: PromiseWithResolvers<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #ended = false;
  /** Per batch in the pipeline: its first commit time, its last commit LSN. */
  readonly #handedOut: { readonly commitLsn: Lsn; readonly commitTimeMs: number }[] = [];
  #skipUpTo = 0n as Lsn;
  /** Commit time of the transaction that must come again before any later one. */
  #comesAgainFromMs: number | undefined;

  constructor(assembler: TransactionAssembler, limits: BatchLimits) {
    this.#assembler = assembler;
    this.#limits = limits;
  }

  get full(): boolean {
    return this.#bytes > this.#limits.maxBufferedBytes;
  }

  /**
   * Drops transactions up to here: they are in the topics already. With its commit time, the last of them must come
   * again: a server that was set back to an earlier state, and has grown past it since, does not have it.
   * Call it before the first batch is taken.
   */
  skipUpTo(commitLsn: Lsn, comesAgainFromMs?: number): void {
    this.#skipUpTo = commitLsn;
    this.#comesAgainFromMs = comesAgainFromMs;
  }

  /** Commit time of the oldest transaction that is read but not published, in milliseconds since 1970. */
  get oldestWaitingMs(): number | undefined {
    return (this.#handedOut[0] ?? this.#pieces[0])?.commitTimeMs;
  }

  /** Batches up to here are through. */
  published(commitLsn: Lsn): void {
    while (this.#handedOut[0] !== undefined && this.#handedOut[0].commitLsn <= commitLsn)
      this.#handedOut.shift();
  }

  onRoom(callback: () => void): void {
    this.#room = callback;
  }

  accept(message: WalMessage): void {
    for (const piece of this.#assembler.accept(message)) {
      this.#pieces.push(piece);
      this.#bytes += sizeOf(piece);
      this.#waiting?.resolve();
    }
  }

  /** What was assembled before is dropped as well: it comes again from the slot, and a later error must not hide. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#waiting?.resolve();
  }

  /** No further batch is handed out; the one in work is not affected. */
  end(): void {
    this.#ended = true;
    this.#waiting?.resolve();
  }

  async *batches(): AsyncGenerator<Batch> {
    for (;;) {
      while (this.#pieces.length === 0 && this.#failure === undefined && !this.#ended) {
        this.#waiting = Promise.withResolvers();
        await this.#waiting.promise;
        this.#waiting = undefined;
      }
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#ended) return;
      const batch = this.#take().filter((piece) => !this.#isPublished(piece));
      if (batch[0] === undefined) continue;
      this.#handedOut.push({
        commitLsn: batch.at(-1)?.commitLsn ?? batch[0].commitLsn,
        commitTimeMs: batch[0].commitTimeMs,
      });
      yield batch;
    }
  }

  /** Throws SOURCE_REPLACED when the stream shows another history than what was published. */
  #isPublished({ commitLsn, commitTimeMs }: TransactionPiece): boolean {
    if (commitLsn < this.#skipUpTo) return true;
    if (this.#comesAgainFromMs !== undefined) {
      if (commitLsn > this.#skipUpTo || commitTimeMs !== this.#comesAgainFromMs) {
        throw new RejotError("SOURCE_REPLACED", {
          detail: `the transaction at ${formatLsn(this.#skipUpTo)}, which was published, is not in its WAL`,
          context: { commitLsn: formatLsn(this.#skipUpTo) },
        });
      }
      this.#comesAgainFromMs = undefined;
    }
    return commitLsn === this.#skipUpTo;
  }

  #take(): Batch {
    const wasFull = this.full;
    let rows = 0;
    let bytes = 0;
    let count = 0;
    for (const piece of this.#pieces) {
      if (count > 0 && (rows + piece.changes.length > this.#limits.maxRows || bytes >= this.#limits.maxBytes))
        break;
      const alone = piece.truncated !== undefined || this.#pieces[0]?.truncated !== undefined;
      if (count > 0 && alone) break;
      rows += piece.changes.length;
      bytes += sizeOf(piece);
      count++;
    }
    const batch = this.#pieces.splice(0, count);
    this.#bytes -= bytes;
    if (wasFull && !this.full) this.#room();
    return batch;
  }
}

/** An empty transaction takes memory too. */
const PIECE_BYTES = 64;
/** What a row's objects take beside its text: a million small rows are 26 MB of WAL messages, but 300 MB here. */
const ROW_BYTES = 200;

function sizeOf(piece: TransactionPiece): number {
  return PIECE_BYTES + piece.changes.length * ROW_BYTES + piece.bytes;
}
