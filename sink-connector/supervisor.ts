import { isRetryable } from "../shared/errors/error.ts";
import { backoffDelayMs, delay } from "../shared/lifecycle/backoff.ts";

/** How a session is told to end. */
export interface SessionControl {
  /** Aborted when the session should finish the batch it has begun and resolve. */
  readonly drain: AbortSignal;
  /** Aborted when the session must end at once. */
  readonly abort: AbortSignal;
}

/** What the supervisor tells about failures. */
export interface SupervisorListener {
  onRetry(error: unknown, delayMs: number): void;
  onFailed(error: unknown): void;
}

/** An attempt that lived this long starts the backoff anew. */
const HEALTHY_MS = 30_000;

/** Runs sessions of one destination, one after the other, until stopped or until one fails for good. */
export class Supervisor {
  readonly #session: (control: SessionControl) => Promise<void>;
  readonly #listener: SupervisorListener;
  readonly #drain = new AbortController();
  readonly #abort = new AbortController();
  #done: Promise<void> | undefined;

  constructor(session: (control: SessionControl) => Promise<void>, listener: SupervisorListener) {
    this.#session = session;
    this.#listener = listener;
  }

  /** Starts in the background. Settles when the supervisor has ended; rejects with what stops the destination. */
  run(): Promise<void> {
    this.#done ??= this.#loop();
    return this.#done;
  }

  /** Finishes the batch that is being applied. Never throws. */
  async stop(): Promise<void> {
    this.#drain.abort(new DOMException("the sink stops", "AbortError"));
    await this.#done?.catch(() => {});
  }

  /** Ends at once: a batch that is being applied commits or not, and the progress tells which. */
  abort(): void {
    this.#drain.abort(new DOMException("the sink stops", "AbortError"));
    this.#abort.abort(new DOMException("the sink is forced to stop", "AbortError"));
  }

  async #loop(): Promise<void> {
    for (let attempt = 1; !this.#drain.signal.aborted; attempt++) {
      const startedAtMs = Date.now();
      try {
        await this.#session({ drain: this.#drain.signal, abort: this.#abort.signal });
        return;
      } catch (error) {
        if (!isRetryable(error)) {
          // Trouble while stopping is no failure: the next start goes on from the destination's progress.
          if (this.#drain.signal.aborted && isAbort(error)) return;
          this.#listener.onFailed(error);
          throw error;
        }
        if (this.#drain.signal.aborted) return;
        if (Date.now() - startedAtMs > HEALTHY_MS) attempt = 1;
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
