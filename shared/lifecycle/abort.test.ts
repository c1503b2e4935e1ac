import { expect, test } from "vitest";
import { untilAborted } from "./abort.ts";

test("gives what the work gives, or the signal's reason, whichever is first", async () => {
  const abort = new AbortController();
  const reason = new Error("enough");
  expect(await untilAborted(Promise.resolve(1), abort.signal)).toBe(1);
  await expect(untilAborted(Promise.reject(new Error("lost")), abort.signal)).rejects.toThrow("lost");
  const work = Promise.withResolvers<number>();
  const waiting = untilAborted(work.promise, abort.signal);
  abort.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  work.reject(new Error("too late to matter"));
  await expect(untilAborted(new Promise(() => {}), abort.signal)).rejects.toBe(reason);
});
