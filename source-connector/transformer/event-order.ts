import type { ChangeOp } from "../../shared/kafka/position.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import type { Batch, Change, ResultColumns, TextEvent, TransactionPiece } from "../ports.ts";
import type { TransformationPlan } from "./plan.ts";

/** The rows that a transformation gave for one changed row. */
export interface Outcome {
  readonly plan: TransformationPlan;
  readonly columns: ResultColumns;
  rows: (string | null)[][];
}

/** What became of one change in one public schema. */
export interface Transformed {
  readonly schema: number;
  readonly change: Change;
  /** The delete transformation over the row as it was, where the change may have moved the object. */
  readonly before: Outcome | undefined;
  /** The change's own transformation. */
  readonly after: Outcome | undefined;
  /** The delete transformation over the row as it is, where `after` gave nothing. */
  left: Outcome | undefined;
}

const OPS: Record<Change["op"], ChangeOp> = { c: "c", u: "u", d: "u" };

/**
 * Makes events of outcomes, in the order of the changes, and numbers them inside their transaction, also when
 * that comes in several batches.
 */
export class EventOrder {
  readonly #keyFields: readonly (readonly string[])[];
  #commitLsn: Lsn | undefined;
  #index = 0;

  /** `keyFields` of each public schema of the source. */
  constructor(keyFields: readonly (readonly string[])[]) {
    this.#keyFields = keyFields;
  }

  /** `work` has one entry per piece of the batch. */
  events(batch: Batch, work: readonly (readonly Transformed[])[]): TextEvent[] {
    const events: TextEvent[] = [];
    for (const [i, piece] of batch.entries()) {
      this.#begin(piece.commitLsn);
      for (const transformed of work[i] ?? []) this.#append(events, piece, transformed);
    }
    return events;
  }

  /** Keeps `count` numbers of the transaction free, and tells the first. */
  number(commitLsn: Lsn, count: number): number {
    this.#begin(commitLsn);
    this.#index += count;
    return this.#index - count;
  }

  #begin(commitLsn: Lsn): void {
    if (commitLsn === this.#commitLsn) return;
    this.#commitLsn = commitLsn;
    this.#index = 0;
  }

  #append(
    events: TextEvent[],
    piece: TransactionPiece,
    { schema, change, before, after, left }: Transformed,
  ): void {
    if (before !== undefined) {
      const kept = new Set(after?.rows.map((row) => this.#keyOf(schema, row, after.columns)));
      for (const row of before.rows) {
        const tombstone = before.plan.emit === "tombstone";
        // The object goes on under the same key: a tombstone in between would make it vanish for a moment.
        if (tombstone && kept.has(this.#keyOf(schema, row, before.columns))) continue;
        events.push(this.#event(piece, schema, tombstone ? "d" : OPS[change.op], row, before));
      }
    }
    for (const row of after?.rows ?? []) {
      if (after !== undefined) events.push(this.#event(piece, schema, OPS[change.op], row, after));
    }
    for (const row of left?.rows ?? []) {
      if (left === undefined) continue;
      events.push(
        this.#event(piece, schema, left.plan.emit === "tombstone" ? "d" : OPS[change.op], row, left),
      );
    }
  }

  #event(
    piece: TransactionPiece,
    schema: number,
    op: ChangeOp,
    row: readonly (string | null)[],
    outcome: Outcome,
  ): TextEvent {
    return {
      schema,
      op,
      position: { commitLsn: piece.commitLsn, index: this.#index++ },
      commitTimeMs: piece.commitTimeMs,
      row: op === "d" ? null : row,
      keyRow: row,
      columns: outcome.columns,
    };
  }

  #keyOf(schema: number, row: readonly (string | null)[], columns: ResultColumns): string {
    const fields = this.#keyFields[schema] ?? [];
    return JSON.stringify(
      fields.map((field) => row[columns.list.findIndex((column) => column.name === field)]),
    );
  }
}
