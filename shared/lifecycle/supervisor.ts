import { isRetryable, isRetryableOnceWorked } from "../errors/error.ts";
import { backoffDelayMs, delay } from "./backoff.ts";

/** How a session is told to end. */
export interface SessionControl {
  /** Aborted when the session should finish what it has begun and resolve. */
  readonly drain: AbortSignal;
  /** Aborted when the session must end at once. */
  readonly abort: AbortSignal;
  /**
   * Says that all servers have taken what they were given. From then on refusals are waited out too, for two minutes:
   * credentials that are changed under a running connector may come back.
   */
  readonly worked: () => void;
}

/** What is told about failures. */
export interface SupervisorListener {
  /** Before the wait for the next session. */
  onRetry(error: unknown, delayMs: number): void;
  /** After an error that no further session can mend. */
  onFailed(error: unknown): void;
}

/** A session that lived this long starts the backoff anew. */
const HEALTHY_MS = 30_000;
/** Secrets are read when a process starts: new ones need a new process, so refusals are not waited out for ever. */
const PATIENCE_MS = 120_000;

/**
 * Runs sessions one after the other until it is stopped or one fails in a way that trying again cannot mend.
 * A failure never leaves a session half alive: the next one begins from what is durable.
 */
export class Supervisor {
  readonly #session: (control: SessionControl) => Promise<void>;
  readonly #listener: SupervisorListener;
  readonly #drain = new AbortController();
  readonly #abort = new AbortController();
  #done: Promise<void> | undefined;
  readonly #patienceMs: number;
  #hasWorked = false;
  #refusedSinceMs: number | undefined;

  constructor(
    session: (control: SessionControl) => Promise<void>,
    listener: SupervisorListener,
    patienceMs = PATIENCE_MS,
  ) {
    this.#session = session;
    this.#listener = listener;
    this.#patienceMs = patienceMs;
  }

  /** Starts in the background. Settles when the supervisor has ended; rejects with the error that ended it. */
  run(): Promise<void> {
    this.#done ??= this.#loop();
    return this.#done;
  }

  /** Has the session finish what it has begun; does not wait. */
  drain(): void {
    this.#drain.abort(new DOMException("the connector stops", "AbortError"));
  }

  /** Ends the session at once; does not wait. */
  abort(): void {
    this.drain();
    this.#abort.abort(new DOMException("the connector is forced to stop", "AbortError"));
  }

  /** Drains and waits for the end. Never throws. */
  async stop(): Promise<void> {
    this.drain();
    await this.#done?.catch(() => {});
  }

  #isMendable(error: unknown): boolean {
    if (isRetryable(error)) return true;
    if (!this.#hasWorked || !isRetryableOnceWorked(error)) return false;
    this.#refusedSinceMs ??= performance.now();
    return performance.now() - this.#refusedSinceMs < this.#patienceMs;
  }

  async #loop(): Promise<void> {
    for (let attempt = 1; !this.#drain.signal.aborted; attempt++) {
      const startedAtMs = performance.now();
      try {
        await this.#session({
          drain: this.#drain.signal,
          abort: this.#abort.signal,
          worked: () => {
            this.#hasWorked = true;
            this.#refusedSinceMs = undefined;
          },
        });
        return;
      } catch (error) {
        const stopping = this.#drain.signal.aborted;
        const mendable = this.#isMendable(error);
        // Trouble while stopping is no failure: the next start goes on from what is durable.
        if (stopping && (mendable || isAbort(error))) return;
        if (!mendable) {
          this.#listener.onFailed(error);
          throw error;
        }
        if (performance.now() - startedAtMs > HEALTHY_MS) attempt = 1;
        const delayMs = backoffDelayMs(attempt);
        this.#listener.onRetry(error, delayMs);
        await delay(delayMs, this.#drain.signal).catch(() => {});
      }
    }
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
