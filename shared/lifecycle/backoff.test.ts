import { describe, expect, test } from "vitest";
import { RejotError } from "../errors/error.ts";
import { backoffDelayMs, delay, retry } from "./backoff.ts";

const lost = new RejotError("POSTGRES_UNREACHABLE");
const refused = new RejotError("POSTGRES_REFUSED");

describe("backoffDelayMs", () => {
  test("doubles up to the maximum, and jitter takes all of it", () => {
    const upper = [1, 2, 3, 10, 1_000_000].map((attempt) =>
      backoffDelayMs(attempt, { initialMs: 100, maxMs: 1_000, random: () => 1 }),
    );
    expect(upper).toEqual([100, 200, 400, 1_000, 1_000]);
    expect(backoffDelayMs(5, { random: () => 0 })).toBe(0);
  });
});

describe("retry", () => {
  test("repeats a retryable error until it succeeds", async () => {
    const seen: number[] = [];
    const result = await retry(
      async (attempt) => {
        if (attempt < 3) throw lost;
        return attempt;
      },
      { initialMs: 1, onRetry: (_error, attempt) => seen.push(attempt) },
    );
    expect(result).toBe(3);
    expect(seen).toEqual([1, 2]);
  });

  test("throws what is not retryable at once, and the last error when attempts run out", async () => {
    let calls = 0;
    const failing = (error: Error) => async () => {
      calls++;
      throw error;
    };
    await expect(retry(failing(refused))).rejects.toBe(refused);
    expect(calls).toBe(1);
    await expect(retry(failing(lost), { maxAttempts: 3, initialMs: 1 })).rejects.toBe(lost);
    expect(calls).toBe(4);
  });

  test("an abort ends the waiting with the signal's reason", async () => {
    const abort = new AbortController();
    const reason = new Error("stop");
    const waiting = retry(
      async () => {
        throw lost;
      },
      {
        signal: abort.signal,
        initialMs: 1e6,
        maxMs: 1e6,
        random: () => 1,
        onRetry: () => queueMicrotask(() => abort.abort(reason)),
      },
    );
    await expect(waiting).rejects.toBe(reason);
    await expect(delay(1, abort.signal)).rejects.toBe(reason);
  });
});
