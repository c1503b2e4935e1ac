import type pg from "pg";
import { describeError, RejotError } from "../../shared/errors/error.ts";
import type { PostgresConnection } from "../../shared/manifest/schema.ts";
import type { Logger } from "../../shared/observability/logger.ts";
import {
  connectPostgres,
  endPostgres,
  isTransientPostgresError,
  sqlState,
} from "../../shared/postgres/client.ts";
import { integerArrayLiteral, textArrayLiteral } from "../../shared/postgres/text-array.ts";
import {
  CallFailed,
  type EventBatch,
  type PartitionBounds,
  type PartitionProgress,
  type SinkEvent,
  type TopicConsumerSchema,
  type WriteOutcome,
} from "../ports.ts";
import {
  APPLY_CALL,
  applyFunctionSql,
  failedCall,
  moveProgressSql,
  STALE_PROGRESS_STATE,
} from "./apply-function.ts";
import { forgetUnpassed, noteSetAside } from "./postgres-letters.ts";
import {
  type AcceptedStatements,
  type DescribedStatement,
  describeAgain,
  type StatementParameters,
} from "./postgres-parameters.ts";
import { readProgress } from "./postgres-progress.ts";
import { ensureTable, isUsable, LETTERS_TABLE, PROGRESS_TABLE } from "./postgres-tables.ts";
import type { SinkStatement } from "./statements.ts";

/** What a session with a destination is made from. */
export interface SessionOptions {
  readonly connection: PostgresConnection;
  readonly group: string;
  readonly statements: readonly SinkStatement[];
  /** What was accepted before need not be now: its events fail, those of others are applied. Default: nothing was. */
  readonly accepted?: AcceptedStatements;
  /** The destination's consumer schemas, by index. */
  readonly consumers: readonly TopicConsumerSchema[];
  /** Whether events may be set aside, which the destination then keeps account of. */
  readonly keepsLetters: boolean;
  readonly lockTimeoutMs: number;
  readonly applyTimeoutMs: number;
  readonly logger: Logger;
}

/** How batches are applied: by one function call, or statement by statement where functions are not allowed. */
export type ApplyMode = "function" | "statements";

const MOVE_BY_PARAMETERS = moveProgressSql({
  group: "$1::text",
  topics: "$2::text[]",
  partitions: "$3::int[]",
  expected: "$4::bigint[]",
  expectedConsumers: "$5::text[]",
  next: "$6::bigint[]",
  nextConsumers: "$7::text[]",
  positions: "$8::text[]",
});

/** One connection to a destination, with everything prepared that lives as long as the connection. */
export class PostgresSession {
  readonly mode: ApplyMode;
  readonly parameters: readonly StatementParameters[];
  readonly #client: pg.Client;
  readonly #options: SessionOptions;
  readonly #rejections: ReadonlyMap<number, RejotError>;
  #notedCall: number | undefined;

  private constructor(
    client: pg.Client,
    options: SessionOptions,
    described: readonly DescribedStatement[],
    mode: ApplyMode,
  ) {
    this.#client = client;
    this.#options = options;
    this.parameters = described.map(({ parameters }) => parameters);
    this.#rejections = new Map(
      described.flatMap(({ rejection }, i) => (rejection === undefined ? [] : [[i, rejection]])),
    );
    this.mode = mode;
    client.on("notice", (notice) => {
      this.#notedCall = failedCall(notice.message ?? "") ?? this.#notedCall;
    });
  }

  /** Connects and prepares. Throws POSTGRES_*, SINK_PROGRESS_DENIED, SINK_SQL_REJECTED, or a transient error. */
  static async open(options: SessionOptions): Promise<PostgresSession> {
    const { connection, statements } = options;
    const client = await connectPostgres(connection, {
      applicationName: options.group,
      settings: { lock_timeout: String(options.lockTimeoutMs) },
      // node-pg gives up on an answer that never comes, such as from a host that is gone without a word.
      queryTimeoutMs: options.applyTimeoutMs,
    });
    try {
      await ensureTable(client, connection.user, PROGRESS_TABLE);
      if (options.keepsLetters) await ensureTable(client, connection.user, LETTERS_TABLE);
      // Letters of a time when events were set aside are kept account of all the same.
      const keepsLetters = options.keepsLetters || (await isUsable(client, LETTERS_TABLE));
      const described = await describeAgain(client, statements, options.accepted ?? new Map());
      const mode = await createFunction(client, options, described);
      return new PostgresSession(client, { ...options, keepsLetters }, described, mode);
    } catch (error) {
      await endPostgres(client);
      throw error;
    }
  }

  /** The parameter types in one text: bound values stay valid as long as it stays the same. */
  get fingerprint(): string {
    return JSON.stringify(
      this.parameters.map(({ shape, types }) =>
        types.map((type, i) => [shape.names[i], type.oid, type.name]),
      ),
    );
  }

  async progress(
    partitions: readonly PartitionBounds[],
    heldOf?: (topic: string) => Pick<ReadonlySet<string>, "has">,
  ): Promise<PartitionProgress[]> {
    const { group, consumers, keepsLetters } = this.#options;
    const places = await readProgress(this.#client, group, consumers, partitions, heldOf);
    if (keepsLetters) await forgetUnpassed(this.#client, group, consumers, partitions);
    return places;
  }

  /** The first call whose statement the destination does not take now. */
  rejectedCall(events: readonly SinkEvent[]): CallFailed | undefined {
    if (this.#rejections.size === 0) return undefined;
    for (const [eventIndex, { calls }] of events.entries()) {
      for (const [callIndex, { statement }] of calls.entries()) {
        const rejection = this.#rejections.get(statement);
        if (rejection !== undefined) return new CallFailed(eventIndex, callIndex, rejection);
      }
    }
    return undefined;
  }

  /** Applies a batch in one transaction; see the port for what a throw means. */
  async write(batch: EventBatch): Promise<WriteOutcome> {
    const noted = batch.events.some(({ setAside = [] }) => setAside.length > 0);
    // A lone statement is a transaction of its own: one round trip.
    if (this.mode === "function" && !noted) return this.#apply(batch);
    return this.transaction(async (client) => {
      const outcome = await this.#apply(batch);
      const { group, consumers } = this.#options;
      if (outcome === "applied" && noted) await noteSetAside(client, group, consumers, batch.events);
      return { result: outcome, commit: outcome === "applied" };
    });
  }

  /** Applies one event's calls in a transaction that is open. Throws CallFailed, or a transient error. */
  async applyInside(event: SinkEvent): Promise<void> {
    await this.#apply({ events: [event], moves: [] });
  }

  /** Applies one event's calls and takes them back. Throws CallFailed, or the error that committing them would give. */
  rehearse(event: SinkEvent): Promise<void> {
    return this.transaction(async (client) => {
      await this.applyInside(event);
      await client.query("SET CONSTRAINTS ALL IMMEDIATE");
      return { result: undefined, commit: false };
    });
  }

  /** Runs work in a transaction, which is rolled back when it throws or says so. */
  async transaction<T>(work: (client: pg.ClientBase) => Promise<{ result: T; commit: boolean }>): Promise<T> {
    await this.#client.query("BEGIN");
    try {
      const { result, commit } = await work(this.#client);
      await this.#client.query(commit ? "COMMIT" : "ROLLBACK");
      return result;
    } catch (error) {
      await this.#client.query("ROLLBACK").catch(() => {});
      throw error;
    }
  }

  /** Closes the connection, at once if a query is still running. Never throws. */
  async close(): Promise<void> {
    await endPostgres(this.#client);
  }

  async #apply(batch: EventBatch): Promise<WriteOutcome> {
    const rejected = this.rejectedCall(batch.events);
    if (rejected !== undefined) throw rejected;
    return this.mode === "function" ? this.#applyByFunction(batch) : this.#applyByStatements(batch);
  }

  async #applyByFunction(batch: EventBatch): Promise<WriteOutcome> {
    const calls: number[] = [];
    const values: (string | null)[] = [];
    for (const event of batch.events) {
      for (const call of event.calls) {
        calls.push(call.statement);
        for (const value of call.values) values.push(value);
      }
    }
    this.#notedCall = undefined;
    try {
      await this.#query("rejot_apply", APPLY_CALL, [
        ...this.#moveParameters(batch),
        integerArrayLiteral(calls),
        textArrayLiteral(values),
      ]);
      return "applied";
    } catch (error) {
      if (sqlState(error) === STALE_PROGRESS_STATE) return "stale";
      if (this.#notedCall === undefined || isTransientPostgresError(error)) throw error;
      throw callFailed(batch, this.#notedCall, error);
    }
  }

  async #applyByStatements(batch: EventBatch): Promise<WriteOutcome> {
    const moved = await this.#query("rejot_move", MOVE_BY_PARAMETERS, this.#moveParameters(batch));
    if (moved.rowCount !== batch.moves.length) return "stale";
    for (const [eventIndex, event] of batch.events.entries()) {
      for (const [callIndex, call] of event.calls.entries()) {
        await this.#runCall(call.statement, call.values).catch((error: unknown) => {
          throw isTransientPostgresError(error) ? error : new CallFailed(eventIndex, callIndex, error);
        });
      }
    }
    return "applied";
  }

  async #runCall(statement: number, values: readonly (string | null)[]): Promise<void> {
    const shape = this.parameters[statement]?.shape;
    if (shape === undefined) throw new RejotError("INTERNAL_ERROR", { detail: `statement ${statement}` });
    await this.#query(
      `rejot_call_${statement}`,
      shape.render((index) => `$${index + 1}`),
      [...values],
    );
  }

  #moveParameters({ moves }: EventBatch): string[] {
    return [
      this.#options.group,
      textArrayLiteral(moves.map((m) => m.topic)),
      integerArrayLiteral(moves.map((m) => m.partition)),
      integerArrayLiteral(moves.map((m) => m.from.row.nextOffset)),
      textArrayLiteral(moves.map((m) => m.from.row.text)),
      integerArrayLiteral(moves.map((m) => m.places.row.nextOffset)),
      textArrayLiteral(moves.map((m) => m.places.row.text)),
      textArrayLiteral(moves.map((m) => m.places.row.position)),
    ];
  }

  #query(name: string, text: string, values: (string | null)[] = []): Promise<pg.QueryResult> {
    return this.#client.query({
      name,
      text,
      values,
    });
  }
}

function callFailed(batch: EventBatch, flatIndex: number, cause: unknown): CallFailed {
  let before = 0;
  for (const [eventIndex, event] of batch.events.entries()) {
    if (flatIndex < before + event.calls.length) return new CallFailed(eventIndex, flatIndex - before, cause);
    before += event.calls.length;
  }
  throw new RejotError("INTERNAL_ERROR", { detail: `call ${flatIndex} of ${before}`, cause });
}

async function createFunction(
  client: pg.Client,
  { connection, statements, logger }: SessionOptions,
  described: readonly DescribedStatement[],
): Promise<ApplyMode> {
  const parts = statements.flatMap(({ template }, i) => {
    const { parameters, rejection } = described[i] ?? {};
    return parameters === undefined ? [] : [{ template, ...parameters, isRejected: rejection !== undefined }];
  });
  try {
    await client.query(applyFunctionSql(parts));
    return "function";
  } catch (cause) {
    if (isTransientPostgresError(cause)) throw cause;
    const grant = `GRANT TEMPORARY ON DATABASE ${quoted(connection.database)} TO ${quoted(connection.user)};`;
    const warning = new RejotError("SINK_TEMP_DENIED", {
      detail: `${connection.database}: ${(cause as Error).message}`,
      hint: `As an owner of the database run: ${grant} Then restart the sink.`,
      cause,
    });
    logger.warn({ code: warning.code }, describeError(warning));
    return "statements";
  }
}

function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}
