import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { answered, disconnect } from "./kafka-answers.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("gives what is answered, or its error, and leaves no timer behind", async () => {
  expect(await answered(Promise.resolve(1))).toBe(1);
  await expect(answered(Promise.reject(new Error("refused")))).rejects.toThrow("refused");
  expect(vi.getTimerCount()).toBe(0);
});

test("gives up on a question that is not answered", async () => {
  const question = Promise.withResolvers<number>();
  const waiting = expect(answered(question.promise)).rejects.toThrow("no answer for 20 s");
  await vi.advanceTimersByTimeAsync(20_000);
  await waiting;
  question.reject(new Error("too late to matter"));
});

test("closes a client, and waits a second at most for one that waits for answers", async () => {
  const client = { disconnect: vi.fn(() => Promise.reject(new Error("gone"))) };
  await disconnect(client);
  expect(client.disconnect).toHaveBeenCalledOnce();
  const closing = disconnect({ disconnect: () => new Promise(() => {}) });
  await vi.advanceTimersByTimeAsync(1_000);
  await closing;
  expect(vi.getTimerCount()).toBe(0);
});
