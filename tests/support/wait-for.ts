import { setTimeout as delay } from "node:timers/promises";

export interface WaitOptions<T> {
  /** Default 30,000. */
  timeoutMs?: number;
  /** Default 50. */
  intervalMs?: number;
  /** What was waited for, for the message; a function sees the last value. */
  describe: string | ((last: T | undefined) => string);
}

/**
 * Asks again and again until the condition gives something other than false, null or undefined, and returns it.
 * A throw counts as "not yet" and is the cause of the final error.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitOptions<T>,
): Promise<NonNullable<T>> {
  const timeoutMs = options.timeoutMs ?? 30_000;
  const deadline = Date.now() + timeoutMs;
  let last: T | undefined;
  let cause: unknown;
  for (;;) {
    try {
      last = await condition();
      cause = undefined;
      if (last !== false && last !== null && last !== undefined) return last;
    } catch (error) {
      cause = error;
    }
    if (Date.now() >= deadline) break;
    await delay(options.intervalMs ?? 50);
  }
  const what = typeof options.describe === "string" ? options.describe : options.describe(last);
  throw new Error(`after ${timeoutMs} ms still waiting for: ${what}`, cause === undefined ? {} : { cause });
}
