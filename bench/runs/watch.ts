import { setTimeout as delay } from "node:timers/promises";
import type { RunningParticipant } from "../participants/participant.ts";

const FAILURE_CHECK_MS = 1_000;

/**
 * Looks again and again until `look` returns something. Throws when the participant has failed or the signal is
 * aborted.
 */
export async function watch<T>(
  running: RunningParticipant,
  { pollMs, signal }: { pollMs: number; signal: AbortSignal },
  look: () => Promise<T | undefined>,
): Promise<T> {
  let checkedAtMs = performance.now();
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() - checkedAtMs > FAILURE_CHECK_MS) {
      const failure = await running.failure();
      if (failure !== undefined) throw new Error(failure);
      checkedAtMs = performance.now();
    }
    await delay(pollMs, undefined, { signal });
  }
}
