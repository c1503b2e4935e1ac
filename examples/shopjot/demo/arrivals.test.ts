import { describe, expect, test } from "vitest";
import { Arrivals, latencySummary, type SeenEvent } from "./arrivals.ts";

const event = (offset: number, partition = 0): SeenEvent => ({
  topic: "t",
  partition,
  offset,
  committedMs: 1_000 + offset,
});
const place = (nextOffset: number, partition = 0) => ({ topic: "t", partition, nextOffset });

describe("arrivals", () => {
  test("an event read before its destination has it arrives with the progress", () => {
    const arrivals = new Arrivals();
    expect(arrivals.event(event(3))).toEqual([]);
    expect(arrivals.waiting).toBe(1);
    expect(arrivals.progress(place(3), 2_000)).toEqual([]);
    expect(arrivals.progress(place(4), 2_005)).toEqual([{ event: event(3), arrivedMs: 2_005 }]);
    expect(arrivals.waiting).toBe(0);
  });

  test("an event read late arrived when the destination first was beyond it", () => {
    const arrivals = new Arrivals();
    arrivals.progress(place(5), 2_000);
    arrivals.progress(place(5), 2_100);
    arrivals.progress(place(9), 2_200);
    expect(arrivals.event(event(4))).toEqual([{ event: event(4), arrivedMs: 2_000 }]);
    expect(arrivals.event(event(5))).toEqual([{ event: event(5), arrivedMs: 2_200 }]);
  });

  test("one place brings all events before it, and partitions are apart", () => {
    const arrivals = new Arrivals();
    arrivals.event(event(1));
    arrivals.event(event(2));
    arrivals.event(event(1, 1));
    expect(arrivals.progress(place(3), 2_000).map((each) => each.event.offset)).toEqual([1, 2]);
    expect(arrivals.waiting).toBe(1);
  });
});

test("latencies are summed up as median and 99th percentile", () => {
  expect(latencySummary([])).toBeUndefined();
  expect(latencySummary([7])).toEqual({ medianMs: 7, p99Ms: 7 });
  expect(latencySummary(Array.from({ length: 200 }, (_, i) => i))).toEqual({ medianMs: 100, p99Ms: 198 });
});
