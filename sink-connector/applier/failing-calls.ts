import type { Destination, SinkEvent } from "../ports.ts";

/** A call of an event that the destination does not take, by its index, and why. */
export interface FailingCall {
  readonly callIndex: number;
  readonly cause: unknown;
}

/**
 * Which of an event's calls the destination does not take, while it takes all the others together. An error at commit
 * names none of them, and one in the middle hides those behind it. A call that fails is tried again with the later ones
 * that pass: a deferred constraint may want what those bring. Empty when all of them pass now.
 */
export async function failingCalls(
  event: SinkEvent,
  rehearse: Destination["rehearse"],
): Promise<FailingCall[]> {
  const { calls } = event;
  let passing: readonly number[] = [];
  let candidates = calls.map((_, i) => i);
  for (;;) {
    const failing: FailingCall[] = [];
    for (const callIndex of candidates) {
      const tried = [...passing, callIndex].sort((a, b) => a - b);
      const cause = await rehearse({ ...event, calls: calls.filter((_, i) => tried.includes(i)) });
      if (cause === undefined) passing = tried;
      else failing.push({ callIndex, cause });
    }
    if (failing.length === 0 || failing.length === candidates.length) return failing;
    candidates = failing.map(({ callIndex }) => callIndex);
  }
}
