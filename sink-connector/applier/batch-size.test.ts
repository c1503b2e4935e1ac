import { expect, test } from "vitest";
import { BatchSize } from "./batch-size.ts";

/** Lets a server that manages so many events in time take `count` transactions; gives those that were too slow. */
function run(size: BatchSize, manages: number, count: number): number {
  let slow = 0;
  for (let i = 0; i < count; i++) {
    const events = Math.min(5_000, size.limit);
    if (events > manages) {
      slow++;
      size.tooSlow(events);
    } else {
      size.inTime(events, 5_000);
    }
  }
  return slow;
}

test("halves down to one event", () => {
  const size = new BatchSize();
  expect(size.limit).toBe(Number.POSITIVE_INFINITY);
  expect(run(size, 0, 100)).toBe(100);
  expect(size.limit).toBe(1);
});

test("finds what the server manages, and is seldom above it", () => {
  const size = new BatchSize();
  run(size, 300, 20);
  expect(run(size, 300, 400)).toBeLessThan(400 / 6);
  expect(size.limit).toBeGreaterThan(140);
});

test("has no limit again once the trouble is over", () => {
  const size = new BatchSize();
  run(size, 0, 20);
  expect(run(size, 5_000, 90)).toBe(0);
  expect(size.limit).toBe(Number.POSITIVE_INFINITY);
});

test("small transactions say nothing about large ones", () => {
  const size = new BatchSize();
  size.tooSlow(1_000);
  for (let i = 0; i < 100; i++) size.inTime(3, 5_000);
  expect(size.limit).toBe(500);
});
