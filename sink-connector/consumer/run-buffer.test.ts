import { expect, test } from "vitest";
import type { EventRun, SinkEvent } from "../ports.ts";
import { RunBuffer } from "./run-buffer.ts";

const run = (partition: number, first: number, count: number, bytes = count * 10): EventRun => ({
  topic: "t",
  partition,
  events: Array.from({ length: count }, (_, i) => event(partition, first + i)),
  endOffset: first + count + 1,
  bytes,
});

const event = (partition: number, offset: number): SinkEvent => ({
  topic: "t",
  partition,
  record: { offset, key: null, value: null, timestampMs: offset, change: undefined, transactional: true },
  calls: [],
  failures: [],
});

const shape = (runs: readonly EventRun[]) =>
  runs.map((r) => [r.partition, r.events.map((e) => e.record.offset), r.endOffset]);

test("what waits for several partitions is taken together, in order, up to the limit", () => {
  const buffer = new RunBuffer({ maxRows: 100, maxBytes: 10_000 });
  buffer.add(run(0, 10, 2));
  buffer.add(run(1, 50, 3));
  buffer.add(run(0, 20, 1));
  expect(shape(buffer.take(4, 10_000))).toEqual([
    [0, [10, 11], 13],
    // A run that is cut ends where its rest begins, not behind it.
    [1, [50, 51], 52],
  ]);
  expect(shape(buffer.take(4, 10_000))).toEqual([
    [1, [52], 54],
    [0, [20], 22],
  ]);
  expect(buffer.isEmpty).toBe(true);
  expect(buffer.rows).toBe(0);
});

test("bytes limit a batch too, but one run always passes", () => {
  const buffer = new RunBuffer({ maxRows: 100, maxBytes: 10_000 });
  buffer.add(run(0, 0, 2, 500));
  buffer.add(run(1, 0, 2, 500));
  expect(buffer.take(100, 100)).toHaveLength(1);
  expect(buffer.take(100, 1_000)).toHaveLength(1);
});

test("it is full by rows or by bytes, and has room again when something is taken or dropped", () => {
  const buffer = new RunBuffer({ maxRows: 3, maxBytes: 1_000 });
  buffer.add(run(0, 0, 3));
  expect(buffer.isFull).toBe(true);
  buffer.take(2, 1_000);
  expect(buffer.isFull).toBe(false);
  buffer.add(run(1, 0, 1, 5_000));
  expect(buffer.isFull).toBe(true);
  buffer.drop(new Set(["t/1"]));
  expect(buffer.isFull).toBe(false);
  expect(buffer.oldestTimestampMs).toBe(2);
  buffer.drop();
  expect(buffer.isEmpty).toBe(true);
});

test("runs without events are kept: they move the progress", () => {
  const buffer = new RunBuffer({ maxRows: 3, maxBytes: 1_000 });
  buffer.add(run(0, 5, 0));
  expect(shape(buffer.take(10, 10))).toEqual([[0, [], 6]]);
});
