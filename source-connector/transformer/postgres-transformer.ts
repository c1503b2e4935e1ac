import { RejotError } from "../../shared/errors/error.ts";
import { type PostgresClient, postgresError, sqlState } from "../../shared/postgres/client.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import type { Batch, Change, TextEvent, Transformer } from "../ports.ts";
import { EventOrder, type Transformed } from "./event-order.ts";
import { beginContaining, endOutdated } from "./postgres-snapshot.ts";
import { FailedRun, StatementRuns } from "./statement-runs.ts";
import type { SchemaPlan, TablePlan, TablePlans } from "./table-plans.ts";

/** So many transactions without a statement may pass before a snapshot is asked for all the same. */
const MAX_UNPROVEN = 10_000;

/** By statement_timeout, or by someone. */
const QUERY_CANCELED = "57014";

/** Runs transformations on one connection, one batch at a time. */
export class PostgresTransformer implements Transformer {
  readonly #client: PostgresClient;
  readonly #plans: TablePlans;
  readonly #signal: AbortSignal;
  readonly #order: EventOrder;
  readonly #unproven = new Set<number>();

  /** `keyFields` of each public schema of the source, in the order of the plans' schemas. */
  constructor(
    client: PostgresClient,
    plans: TablePlans,
    keyFields: readonly (readonly string[])[],
    signal: AbortSignal,
  ) {
    this.#client = client;
    this.#plans = plans;
    this.#order = new EventOrder(keyFields);
    this.#signal = signal;
  }

  /**
   * Transactions that passed and that no snapshot was seen to contain yet, by the 32 bits of the wire. Whatever passed
   * before is in every snapshot from now on.
   */
  get unproven(): ReadonlySet<number> {
    return this.#unproven;
  }

  async transform(batch: Batch): Promise<TextEvent[]> {
    try {
      await this.#prepare(batch);
      const work = await this.#run(batch);
      return this.#order.events(batch, work);
    } catch (error) {
      throw await this.#final(error);
    }
  }

  number(commitLsn: Lsn, count: number): number {
    return this.#order.number(commitLsn, count);
  }

  async #prepare(batch: Batch): Promise<void> {
    for (const piece of batch) {
      for (const { relation } of piece.changes) {
        if (this.#plans.get(relation) === undefined) await this.#plans.prepare(relation);
      }
    }
  }

  async #run(batch: Batch): Promise<Transformed[][]> {
    for (;;) {
      const work = await this.#runOnce(batch);
      if (work !== "outdated") return work;
    }
  }

  /** "outdated" where a table that was read has been rewritten since the snapshot, to which it looks empty. */
  async #runOnce(batch: Batch): Promise<Transformed[][] | "outdated"> {
    const runs = new StatementRuns();
    const work = batch.map((piece) => piece.changes.flatMap((change) => this.#ask(runs, change)));
    for (const { xid } of batch) this.#unproven.add(xid);
    if (runs.isEmpty && this.#unproven.size < MAX_UNPROVEN) return work;
    await beginContaining(this.#client, this.#unproven, this.#signal);
    this.#unproven.clear();
    await runs.execute(this.#client);
    for (const transformed of work.flat()) this.#askForLeft(runs, transformed);
    await runs.execute(this.#client);
    if (runs.hasReadTables) return (await endOutdated(this.#client)) ? "outdated" : work;
    await this.#client.query("COMMIT");
    return work;
  }

  #ask(runs: StatementRuns, change: Change): Transformed[] {
    const plan = this.#planOf(change);
    const result: Transformed[] = [];
    for (const schema of plan.schemas) {
      const before = this.#moved(schema, plan, change)
        ? runs.add(schema.delete as NonNullable<SchemaPlan["delete"]>, change.before ?? [], plan.columnIndex)
        : undefined;
      const own = change.op === "c" ? schema.insert : change.op === "u" ? schema.update : undefined;
      const after =
        own === undefined || change.after === null
          ? undefined
          : runs.add(own, change.after, plan.columnIndex);
      if (before !== undefined || after !== undefined)
        result.push({ schema: schema.schema, change, before, after, left: undefined });
    }
    return result;
  }

  /** A deleted row, or an updated one whose delete transformation would say something else than before. */
  #moved(schema: SchemaPlan, plan: TablePlan, { op, before, after }: Change): boolean {
    if (schema.delete === undefined || before === null) return false;
    if (op === "d") return true;
    // The row image takes more columns than the SQL has placeholders: a key may hold any of them.
    return (schema.delete.rowImage ?? schema.delete.table).parameters.some((name) => {
      const i = plan.columnIndex.get(name) ?? -1;
      return before[i] !== after?.[i];
    });
  }

  /** No row came back: the object left the public schema, and its table's delete transformation says how. */
  #askForLeft(runs: StatementRuns, transformed: Transformed): void {
    const { schema, change, after } = transformed;
    if (after === undefined || after.rows.length > 0 || change.after === null) return;
    const plan = this.#planOf(change);
    const onDelete = plan.schemas.find((candidate) => candidate.schema === schema)?.delete;
    if (onDelete !== undefined) transformed.left = runs.add(onDelete, change.after, plan.columnIndex);
  }

  #planOf(change: Change): TablePlan {
    const plan = this.#plans.get(change.relation);
    if (plan === undefined)
      throw new RejotError("INTERNAL_ERROR", { detail: `no plan for ${change.relation.name}` });
    return plan;
  }

  async #final(error: unknown): Promise<unknown> {
    if (error instanceof FailedRun) {
      await this.#client.query("ROLLBACK");
      return error.findFailingRow(this.#client).catch(() => error.error);
    }
    if (error instanceof RejotError || this.#signal.aborted) return error;
    const state = sqlState(error);
    if (state === QUERY_CANCELED)
      return new RejotError("TRANSFORMATION_TOO_SLOW", { detail: (error as Error).message, cause: error });
    return state !== undefined && /^42501/.test(state)
      ? new RejotError("POSTGRES_REFUSED", { detail: (error as Error).message, cause: error })
      : postgresError(error, "while transforming");
  }
}
