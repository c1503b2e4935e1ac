import { isRetryable, RejotError } from "../../shared/errors/error.ts";
import { retry } from "../../shared/lifecycle/backoff.ts";
import {
  isOverdue,
  isTransientPostgresError,
  postgresError,
  sqlState,
} from "../../shared/postgres/client.ts";
import {
  BatchTooSlow,
  CallFailed,
  type Destination,
  type EventBatch,
  type PartitionBounds,
  type PartitionProgress,
  type SinkEvent,
  type WriteOutcome,
} from "../ports.ts";
import type { StatementParameters } from "./postgres-parameters.ts";
import { type ApplyMode, PostgresSession, type SessionOptions } from "./postgres-session.ts";

/** What the destination tells its owner about trouble that it works on by itself. */
export interface TroubleListener {
  /** Told before each further attempt. */
  onRetry(error: unknown): void;
  /** Told when an attempt after trouble has succeeded. */
  onRecovery(): void;
}

/** Errors after which the connection is as good as before. */
const CONNECTION_KEPT = new Set(["40001", "40P01", "55P03", "57014"]);

/** Many events that fail one after the other must not cost a connection each. */
const TYPES_VALID_MS = 2_000;

/** The port over sessions: connects again when a connection is lost, and repeats what was not answered. */
export class PostgresDestination implements Destination {
  readonly #options: SessionOptions;
  readonly #listener: TroubleListener;
  readonly #signal: AbortSignal;
  #session: PostgresSession | undefined;
  #fingerprint: string | undefined;
  #typedAtMs = 0;

  constructor(options: SessionOptions, listener: TroubleListener, signal: AbortSignal) {
    this.#options = options;
    this.#listener = listener;
    this.#signal = signal;
  }

  /** Connects. Resolves with what the server says of the statements; throws what no retry can mend. */
  open(): Promise<{ parameters: readonly StatementParameters[]; mode: ApplyMode }> {
    return this.#attempt(async ({ parameters, mode }) => ({ parameters, mode }));
  }

  progress(
    partitions: readonly PartitionBounds[],
    heldOf: (topic: string) => Pick<ReadonlySet<string>, "has">,
  ): Promise<PartitionProgress[]> {
    return this.#attempt((session) => session.progress(partitions, heldOf));
  }

  /**
   * A batch whose outcome is unknown is simply written again: if it was committed, its progress has moved and the
   * answer is "stale". So is one that took too long, but for several events, which fewer may mend.
   */
  async write(batch: EventBatch): Promise<WriteOutcome> {
    const several = batch.events.length > 1;
    if (this.#session?.rejectedCall(batch.events) !== undefined) await this.#checkTypes();
    try {
      return await this.#attempt(
        (session) => session.write(batch),
        (error) => !(several && isTooSlow(error)),
      );
    } catch (error) {
      if (error instanceof CallFailed) {
        await this.#checkTypes();
        throw this.#session?.rejectedCall(batch.events.slice(0, error.eventIndex + 1)) ?? error;
      }
      if (!several || !isTooSlow(error)) throw error;
      this.#listener.onRetry(this.#named(error));
      throw new BatchTooSlow(error);
    }
  }

  async rehearse(event: SinkEvent): Promise<unknown> {
    try {
      await this.#attempt((session) => session.rehearse(event));
      return undefined;
    } catch (error) {
      if (error instanceof CallFailed) return error.cause;
      // A deferred constraint names no call.
      if (sqlState(error) !== undefined) return error;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#session?.close();
    this.#session = undefined;
  }

  /**
   * A session types its parameters when it begins. Before an event is blamed for a value that does not fit, or for a
   * table that is not there, a new session tells whether the tables have changed since. Throws SINK_DESTINATION_CHANGED
   * if the types of parameters have.
   */
  async #checkTypes(): Promise<void> {
    if (performance.now() - this.#typedAtMs < TYPES_VALID_MS) return;
    await this.close();
    await this.open();
  }

  async #attempt<T>(
    work: (session: PostgresSession) => Promise<T>,
    worthRepeating: (error: unknown) => boolean = () => true,
  ): Promise<T> {
    let troubled = false;
    const result = await retry(
      async () => {
        try {
          return await work(await this.#connected());
        } catch (error) {
          await this.#dropUnlessKept(error);
          throw error;
        }
      },
      {
        signal: this.#signal,
        retryable: (error) => isMendable(error) && worthRepeating(error),
        onRetry: (error) => {
          troubled = true;
          this.#listener.onRetry(this.#named(error));
        },
      },
    );
    if (troubled) this.#listener.onRecovery();
    return result;
  }

  async #connected(): Promise<PostgresSession> {
    if (this.#session !== undefined) return this.#session;
    const session = await PostgresSession.open(this.#options);
    if (this.#fingerprint !== undefined && this.#fingerprint !== session.fingerprint) {
      await session.close();
      throw new RejotError("SINK_DESTINATION_CHANGED", { detail: this.#server });
    }
    this.#fingerprint = session.fingerprint;
    this.#typedAtMs = performance.now();
    this.#session = session;
    return session;
  }

  async #dropUnlessKept(error: unknown): Promise<void> {
    if (!isMendable(error) || CONNECTION_KEPT.has(sqlState(error) ?? "")) return;
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }

  /** The error with a code of ours: the server may be gone, or there and busy. */
  #named(error: unknown): RejotError {
    if (error instanceof RejotError) return error;
    const state = sqlState(error);
    if (state === undefined || /^(08|57P)/.test(state)) return postgresError(error, this.#server);
    const detail = `${this.#server}: ${(error as Error).message}`;
    return new RejotError("SINK_DESTINATION_BUSY", { detail, cause: error, context: { sqlState: state } });
  }

  get #server(): string {
    const { host, port, database } = this.#options.connection;
    return `${host}:${port ?? 5432}/${database}`;
  }
}

/** statement_timeout and somebody's pg_cancel_backend; transaction_timeout. */
const TOO_SLOW = new Set(["57014", "25P04"]);

/** Ended by the server, or `applyTimeoutMs` without an answer. */
function isTooSlow(error: unknown): boolean {
  return TOO_SLOW.has(sqlState(error) ?? "") || isOverdue(error);
}

/** Values already bound do not fit changed types, so that error has to reach whoever bound them. */
function isMendable(error: unknown): boolean {
  if (error instanceof RejotError) return isRetryable(error) && error.code !== "SINK_DESTINATION_CHANGED";
  if (error instanceof CallFailed || error instanceof TypeError || error instanceof RangeError) return false;
  return isTransientPostgresError(error);
}
