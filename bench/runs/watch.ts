import { setTimeout as delay } from "node:timers/promises";
import type { RunningParticipant } from "../participants/participant.ts";

const FAILURE_CHECK_MS = 1_000;

/** How a participant is watched. */
export interface WatchOptions {
  readonly pollMs: number;
  /** Ends the watch: the run has taken too long. */
  readonly signal: AbortSignal;
  /** How far it has come, for the message when it has taken too long. */
  readonly describe: () => string;
}

/**
 * Looks again and again until `look` returns something. Throws when the participant has failed or the signal is
 * aborted.
 */
export async function watch<T>(
  running: RunningParticipant,
  { pollMs, signal, describe }: WatchOptions,
  look: () => Promise<T | undefined>,
): Promise<T> {
  let checkedAtMs = performance.now();
  for (;;) {
    if (signal.aborted) throw new Error(`it took too long: ${describe()}`);
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() - checkedAtMs > FAILURE_CHECK_MS) {
      const failure = await running.failure();
      if (failure !== undefined) throw new Error(failure);
      checkedAtMs = performance.now();
    }
    await delay(pollMs);
  }
}
