import { RejotError } from "../../shared/errors/error.ts";
import { type PostgresClient, sqlState } from "../../shared/postgres/client.ts";
import { textArrayLiteral } from "../../shared/postgres/text-array.ts";
import { type RowImage, UNCHANGED } from "../ports.ts";
import type { Outcome } from "./event-order.ts";
import type { BatchStatement, TransformationPlan } from "./plan.ts";

interface Run {
  readonly plan: TransformationPlan;
  readonly statement: BatchStatement;
  readonly arguments: (string | null)[][];
  readonly outcomes: Outcome[];
}

/** A row may hold megabytes, and its message goes into logs, statuses and topics. */
const SHOWN_VALUE_CHARACTERS = 80;
const SHOWN_ROW_CHARACTERS = 800;

function shortened(text: string, characters: number): string {
  return text.length > characters ? `${text.slice(0, characters)}…` : text;
}

/** Collects what is to be transformed, statement by statement, and runs each statement once for all its rows. */
export class StatementRuns {
  #runs = new Map<BatchStatement, Run>();
  #hasReadTables = false;

  /**
   * Asks for a transformation of a row image; the outcome is filled by `execute`. A row image that lacks a TOAST
   * value makes the table be read. Throws TRANSFORMATION_VALUE_MISSING when a parameter itself is lacking.
   */
  add(plan: TransformationPlan, image: RowImage, columnIndex: ReadonlyMap<string, number>): Outcome {
    const complete = plan.rowImage !== null && isComplete(plan.rowImage, image, columnIndex);
    const statement = complete ? (plan.rowImage as BatchStatement) : plan.table;
    let run = this.#runs.get(statement);
    if (run === undefined) {
      run = { plan, statement, arguments: statement.parameters.map(() => []), outcomes: [] };
      this.#runs.set(statement, run);
    }
    for (const [i, name] of statement.parameters.entries()) {
      const value = image[columnIndex.get(name) ?? -1] ?? null;
      if (value === UNCHANGED)
        throw new RejotError("TRANSFORMATION_VALUE_MISSING", { detail: `${name} in ${plan.schemaName}` });
      run.arguments[i]?.push(value);
    }
    const outcome: Outcome = { plan, columns: statement.result, rows: [] };
    run.outcomes.push(outcome);
    return outcome;
  }

  get isEmpty(): boolean {
    return this.#runs.size === 0;
  }

  /** Whether a statement that was executed names a table that it reads. */
  get hasReadTables(): boolean {
    return this.#hasReadTables;
  }

  /** Runs what was added. Throws TRANSFORMATION_FAILED, naming the row, when the SQL fails; other errors as they are. */
  async execute(client: PostgresClient): Promise<void> {
    for (const run of this.#runs.values()) {
      this.#hasReadTables ||= run.statement.readsTables;
      const rows = await query(client, run, 0, run.outcomes.length);
      for (const row of rows) {
        const ord = Number(row.shift());
        run.outcomes[ord - 1]?.rows.push(row);
      }
    }
    this.#runs = new Map();
  }
}

function isComplete(statement: BatchStatement, image: RowImage, index: ReadonlyMap<string, number>): boolean {
  for (const name of statement.parameters) {
    if (image[index.get(name) ?? -1] === UNCHANGED) return false;
  }
  return true;
}

async function query(
  client: PostgresClient,
  run: Run,
  from: number,
  to: number,
): Promise<(string | null)[][]> {
  try {
    const result = await client.query<(string | null)[]>({
      name: run.statement.name,
      text: run.statement.text,
      values: run.arguments.map((values) =>
        textArrayLiteral(from === 0 && to === values.length ? values : values.slice(from, to)),
      ),
      rowMode: "array",
    });
    return result.rows;
  } catch (cause) {
    const state = sqlState(cause);
    if (state === undefined || !/^(2|42|0A|P0|XX)/.test(state)) throw cause;
    const error = new RejotError("TRANSFORMATION_FAILED", {
      detail: `${run.plan.schemaName}, ${run.plan.operation}: ${(cause as Error).message}`,
      cause,
      context: { sqlState: state },
    });
    throw new FailedRun(error, run.statement, run.arguments);
  }
}

/** A statement that failed for one of its rows; which one is found out by `findFailingRow`. */
export class FailedRun extends Error {
  readonly error: RejotError;
  readonly #statement: BatchStatement;
  readonly #arguments: readonly (string | null)[][];

  constructor(error: RejotError, statement: BatchStatement, args: readonly (string | null)[][]) {
    super(error.message, { cause: error });
    this.error = error;
    this.#statement = statement;
    this.#arguments = args;
  }

  /**
   * The error with the values of the first row that fails alone, found by halving; TRANSFORMATION_OUTDATED when
   * none does: a table was altered since the statement was prepared. The client must be idle.
   */
  async findFailingRow(client: PostgresClient): Promise<RejotError> {
    let [from, to] = [0, this.#arguments[0]?.length ?? 0];
    if (!(await this.#fails(client, from, to))) {
      return new RejotError("TRANSFORMATION_OUTDATED", {
        detail: this.error.detail,
        cause: this.error.cause,
        context: this.error.context,
      });
    }
    while (to - from > 1) {
      const middle = (from + to) >> 1;
      if (await this.#fails(client, from, middle)) to = middle;
      else from = middle;
    }
    const row = this.#statement.parameters
      .map((name, i) => `${name}=${shortened(this.#arguments[i]?.[from] ?? "NULL", SHOWN_VALUE_CHARACTERS)}`)
      .join(", ");
    return new RejotError("TRANSFORMATION_FAILED", {
      detail: `${this.error.detail} (row ${shortened(row, SHOWN_ROW_CHARACTERS)})`,
      cause: this.error.cause,
      context: this.error.context,
    });
  }

  async #fails(client: PostgresClient, from: number, to: number): Promise<boolean> {
    try {
      const values = this.#arguments.map((column) => textArrayLiteral(column.slice(from, to)));
      await client.query({ text: this.#statement.text, values });
      return false;
    } catch {
      return true;
    }
  }
}
