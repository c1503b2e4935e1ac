import { expect, test } from "vitest";
import { arrivalOf } from "./timeline.ts";

const sample = (atMs: number, ...ends: number[]) => ({ atMs, ends, usage: undefined });

test("an arrival is from the first sample with a record to the first with all of them", () => {
  const samples = [sample(10, 0, 0), sample(20, 3, 0), sample(30, 3, 2), sample(40, 6, 2), sample(50, 7, 2)];
  // Offsets 2 and 6 of the first partition are markers.
  expect(
    arrivalOf(samples, [
      [0, 1, 3, 4, 5],
      [0, 1],
    ]),
  ).toMatchObject({ firstAtMs: 20, eventsAtFirst: 2, lastAtMs: 40 });
});

test("a partition without records holds nothing up", () => {
  expect(arrivalOf([sample(10, 0, 1)], [[], [0]])).toMatchObject({ firstAtMs: 10, lastAtMs: 10 });
});

test("there is no arrival while a record is missing", () => {
  expect(arrivalOf([sample(10, 1)], [[0, 1]])).toBeUndefined();
  expect(arrivalOf([], [[0]])).toBeUndefined();
});
