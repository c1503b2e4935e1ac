import { expect, test } from "vitest";
import type { SinkEvent } from "../ports.ts";
import { failingCalls } from "./failing-calls.ts";

const eventOf = (calls: number): SinkEvent => ({
  topic: "t",
  partition: 0,
  record: { offset: 0, key: null, value: null, timestampMs: 0, change: undefined, transactional: true },
  calls: Array.from({ length: calls }, (_, statement) => ({ statement, values: [] })),
  failures: [],
});

/** Which calls fail where a set of them is taken only if `accepts` says so. */
const failing = async (calls: number, accepts: (statements: readonly number[]) => boolean) => {
  const found = await failingCalls(eventOf(calls), async (event) => {
    const statements = event.calls.map(({ statement }) => statement);
    return accepts(statements) ? undefined : new Error(statements.join());
  });
  return found.map(({ callIndex }) => callIndex);
};

test("one or several of the calls are found, whichever they are", async () => {
  expect(await failing(3, (s) => !s.includes(1))).toEqual([1]);
  expect(await failing(4, (s) => !s.includes(0) && !s.includes(3))).toEqual([0, 3]);
  expect(await failing(2, () => false)).toEqual([0, 1]);
  expect(await failing(2, () => true)).toEqual([]);
});

test("a call that needs a later one is not to blame for a third", async () => {
  const parentThere = (s: readonly number[]) => !s.includes(0) || s.includes(2);
  expect(await failing(4, (s) => parentThere(s) && !s.includes(3))).toEqual([3]);
  expect(await failing(4, (s) => parentThere(s) && !s.includes(2))).toEqual([0, 2]);
});
