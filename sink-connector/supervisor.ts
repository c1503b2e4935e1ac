import { isRetryable } from "../shared/errors/error.ts";
import { backoffDelayMs, delay } from "../shared/lifecycle/backoff.ts";

/** What the supervisor tells about failures. */
export interface SupervisorListener {
  onRetry(error: unknown, delayMs: number): void;
  onFailed(error: unknown): void;
}

/** An attempt that lived this long starts the backoff anew. */
const HEALTHY_MS = 30_000;

/** Runs sessions of one destination, one after the other, until stopped or until one fails for good. */
export class Supervisor {
  readonly #session: (drain: AbortSignal) => Promise<void>;
  readonly #listener: SupervisorListener;
  readonly #drain = new AbortController();
  #done: Promise<void> | undefined;

  /** A session finishes the batch it has begun and resolves when its signal is aborted. */
  constructor(session: (drain: AbortSignal) => Promise<void>, listener: SupervisorListener) {
    this.#session = session;
    this.#listener = listener;
  }

  /** Starts in the background. Settles when the supervisor has ended; rejects with what stops the destination. */
  run(): Promise<void> {
    this.#done ??= this.#loop();
    return this.#done;
  }

  /** Has the session end; does not wait. */
  drain(): void {
    this.#drain.abort(new DOMException("the sink stops", "AbortError"));
  }

  /** Has the session finish the batch that is being applied, and waits for it. Never throws. */
  async stop(): Promise<void> {
    this.drain();
    await this.#done?.catch(() => {});
  }

  async #loop(): Promise<void> {
    for (let attempt = 1; !this.#drain.signal.aborted; attempt++) {
      const startedAtMs = Date.now();
      try {
        await this.#session(this.#drain.signal);
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
