import { RejotError } from "../shared/errors/error.ts";
import { backoffDelayMs, delay } from "../shared/lifecycle/backoff.ts";
import type { Logger } from "../shared/observability/logger.ts";
import type { UnitState } from "./unit-state.ts";

/** One attempt to publish a data store: resolves when it was asked to drain, throws what ended it. */
export type Session = (control: SessionControl) => Promise<void>;

/** How a session is told to end. */
export interface SessionControl {
  /** Aborted when the session must end at once. */
  readonly signal: AbortSignal;
  /** Aborted when the session should finish what it has begun and resolve. */
  readonly drain: AbortSignal;
}

/** An attempt that lived this long starts the backoff anew. */
const HEALTHY_MS = 30_000;

/**
 * Runs sessions one after the other until it is stopped or one fails in a way that trying again cannot mend.
 * A failure never leaves a session half alive: the next one begins from the progress topic.
 */
export class Supervisor {
  readonly #session: Session;
  readonly #state: UnitState;
  readonly #logger: Logger;
  readonly #abort = new AbortController();
  readonly #drain = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  #done: Promise<void> = Promise.resolve();

  constructor(session: Session, state: UnitState, logger: Logger) {
    this.#session = session;
    this.#state = state;
    this.#logger = logger;
  }

  /** Settles when the supervisor has ended; rejects with the error that ended it. */
  get done(): Promise<void> {
    return this.#done;
  }

  /** Resolves when the first session is active, stands by, or is being tried again; rejects when it failed for good. */
  start(): Promise<void> {
    this.#done = this.#run();
    this.#done.then(
      () => this.#first.resolve(),
      (error: unknown) => this.#first.reject(error),
    );
    this.#first.promise.catch(() => {});
    return this.#first.promise;
  }

  /** The session is in the role it was started for. */
  settled(): void {
    this.#first.resolve();
  }

  /** Finishes what is begun. Never throws. */
  async stop(): Promise<void> {
    this.#drain.abort();
    await this.#done.catch(() => {});
  }

  /** Ends at once. */
  abort(): void {
    this.#drain.abort();
    this.#abort.abort();
  }

  async #run(): Promise<void> {
    for (let attempt = 1; !this.#drain.signal.aborted; attempt++) {
      const startedAt = Date.now();
      try {
        await this.#session({ signal: this.#abort.signal, drain: this.#drain.signal });
        return;
      } catch (error) {
        if (this.#drain.signal.aborted) return;
        this.#state.failed(error);
        if (!isWorthRepeating(error)) {
          this.#state.role = "failed";
          throw error;
        }
        if (Date.now() - startedAt > HEALTHY_MS) attempt = 1;
        const waitMs = backoffDelayMs(attempt);
        this.#state.role = "retrying";
        this.#first.resolve();
        this.#logger.warn({ err: error, waitMs: Math.round(waitMs) }, "the pipeline ended and starts again");
        await delay(waitMs, this.#drain.signal).catch(() => {});
      }
    }
  }
}

function isWorthRepeating(error: unknown): boolean {
  return error instanceof RejotError && error.retryable;
}
