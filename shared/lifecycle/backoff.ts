import { setTimeout as sleep } from "node:timers/promises";
import { isRetryable } from "../errors/error.ts";

/** How delays grow. */
export interface BackoffOptions {
  /** Upper bound of the first delay. Default 100. */
  initialMs?: number;
  /** Upper bound of any delay. Default 10,000. */
  maxMs?: number;
  /** From 0 (inclusive) to 1 (exclusive). Default Math.random. */
  random?: () => number;
}

/** How a failed call is repeated. */
export interface RetryOptions extends BackoffOptions {
  /** Ends the waiting; `retry` then throws the signal's reason. */
  signal?: AbortSignal;
  /** Calls in all, the first included. Default: without end. */
  maxAttempts?: number;
  /** Whether an error is worth another attempt. Default: `retryable` of a RejotError. */
  retryable?: (error: unknown) => boolean;
  /** Told before each wait. */
  onRetry?: (error: unknown, attempt: number, delayMs: number) => void;
}

/**
 * The delay before the attempt after `attempt` (1 for the first that failed): exponential with full jitter,
 * so that many processes which lost the same server do not come back in step.
 */
export function backoffDelayMs(attempt: number, options: BackoffOptions = {}): number {
  const { initialMs = 100, maxMs = 10_000, random = Math.random } = options;
  return random() * Math.min(maxMs, initialMs * 2 ** Math.min(attempt - 1, 30));
}

/** Waits. Throws the signal's reason when it is aborted, at once if it already was. */
export async function delay(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  try {
    await sleep(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/** Calls `work` until it succeeds, fails for good, or runs out of attempts; throws the last error then. */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  const { signal, maxAttempts = Number.POSITIVE_INFINITY, retryable = isRetryable, onRetry } = options;
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await work(attempt);
    } catch (error) {
      signal?.throwIfAborted();
      if (attempt >= maxAttempts || !retryable(error)) throw error;
      const delayMs = backoffDelayMs(attempt, options);
      onRetry?.(error, attempt, delayMs);
      await delay(delayMs, signal);
    }
  }
}
