import { RejotError } from "../../shared/errors/error.ts";
import type { Change, Relation, TransactionInfo, TransactionPiece, WalMessage } from "../ports.ts";

/** When a transaction is cut into pieces. */
export interface PieceLimits {
  readonly maxRows: number;
  readonly maxBytes: number;
}

/** Ours are alone in their transactions. */
const MAX_MARKS = 16;

/** What a TRUNCATE of a used table does: it tells no rows. */
export type OnTruncate = "stop" | "ignore" | "tombstone";

/** One for all: most messages complete nothing. */
const NONE: readonly TransactionPiece[] = [];

/**
 * Puts messages together into transactions. Protocol version 1 sends a transaction only once it is committed
 * and never interleaves two, so whatever follows a begin is final and a large one can leave in pieces.
 */
export class TransactionAssembler {
  readonly #limits: PieceLimits;
  readonly #onTruncate: OnTruncate;
  readonly #onIgnored: (tables: string) => void;
  #open: TransactionInfo | undefined;
  #changes: Change[] = [];
  #bytes = 0;
  #marks: string[] = [];

  /** `onIgnored` is told of the tables whose rows stay in the topics. */
  constructor(limits: PieceLimits, onTruncate: OnTruncate, onIgnored: (tables: string) => void) {
    this.#limits = limits;
    this.#onTruncate = onTruncate;
    this.#onIgnored = onIgnored;
  }

  /** The pieces that the message completes. Throws REPLICATION_PROTOCOL, TRUNCATE_STOPS. */
  accept(message: WalMessage): readonly TransactionPiece[] {
    switch (message.kind) {
      case "begin":
        this.#open = { xid: message.xid, commitLsn: message.commitLsn, commitTimeMs: message.commitTimeMs };
        return NONE;
      case "change":
        this.#changes.push(message.change);
        this.#bytes += message.bytes;
        return this.#changes.length >= this.#limits.maxRows || this.#bytes >= this.#limits.maxBytes
          ? [this.#piece(null)]
          : NONE;
      case "truncate":
        if (this.#onTruncate === "tombstone") return this.#truncated(message.relations);
        if (this.#onTruncate === "ignore") {
          this.#onIgnored(namesOf(message.relations));
          return NONE;
        }
        throw new RejotError("TRUNCATE_STOPS", { detail: namesOf(message.relations) });
      case "mark":
        // A foreign program may send any number of them under our prefix.
        if (this.#marks.length < MAX_MARKS) this.#marks.push(message.content);
        return NONE;
      case "commit": {
        const piece = this.#piece(message.endLsn);
        this.#open = undefined;
        return [piece];
      }
    }
  }

  /** What came before it in its transaction leaves first. */
  #truncated(truncated: readonly Relation[]): TransactionPiece[] {
    const before = this.#changes.length === 0 ? [] : [this.#piece(null)];
    return [...before, { ...this.#piece(null), truncated }];
  }

  #piece(endLsn: TransactionPiece["endLsn"]): TransactionPiece {
    if (this.#open === undefined) {
      throw new RejotError("REPLICATION_PROTOCOL", { detail: "a change outside of a transaction" });
    }
    const marks = this.#marks.length === 0 ? {} : { marks: this.#marks };
    const piece = { ...this.#open, changes: this.#changes, endLsn, bytes: this.#bytes, ...marks };
    this.#marks = [];
    this.#changes = [];
    this.#bytes = 0;
    return piece;
  }
}

function namesOf(relations: readonly Relation[]): string {
  return relations.map((relation) => `${relation.schema}.${relation.name}`).join(", ");
}
