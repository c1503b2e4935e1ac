import { expect, test } from "vitest";
import { RejotError } from "../../shared/errors/error.ts";
import { placesAt } from "../../tests/support/places.ts";
import { HeldTopics } from "./held-topics.ts";

const error = new RejotError("SINK_EVENT_FAILED");
const at = (topic: string, partition: number, offset?: number, consumerSchema?: string) => ({
  topic,
  partition,
  offset,
  consumerSchema,
});
/** Where the destination is; those that are held are left out of its places. */
const placed = (topic: string, partition: number, nextOffset: number, names: readonly string[] = ["a"]) => ({
  topic,
  partition,
  nextOffset,
  places: placesAt(nextOffset, { names }),
});

test("the same trouble is tried again ever more rarely, up to a minute", () => {
  const holds = new HeldTopics(() => 1);
  const delays = Array.from({ length: 9 }, () => holds.hold(at("t", 0, 5), error));
  expect(delays.map(({ delayMs }) => delayMs)).toEqual([
    1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000,
  ]);
  expect(delays.map(({ isNew }) => isNew)).toEqual([true, ...Array.from({ length: 8 }, () => false)]);
});

test("trouble at another event is new", () => {
  const holds = new HeldTopics(() => 1);
  holds.hold(at("t", 0, 5), error);
  holds.hold(at("t", 0, 5), error);
  expect(holds.hold(at("t", 0, 6), error)).toEqual({ delayMs: 1_000, isNew: true });
  expect(holds.hold(at("u", 0, 5), error)).toEqual({ delayMs: 1_000, isNew: true });
});

test.each([
  ["its event is applied", placed("t", 1, 6), []],
  ["the destination is just before it", placed("t", 1, 5), ["t"]],
  ["another partition is beyond it", placed("t", 0, 9), ["t"]],
  ["another topic is beyond it", placed("u", 1, 9), ["t"]],
])("a topic that stands still, once %s", (_, place, held) => {
  const holds = new HeldTopics();
  holds.hold(at("t", 1, 5), error);
  holds.passed([place]);
  expect(holds.all.map((hold) => hold.at.topic)).toEqual(held);
});

test("a partition that could not be placed is well once it is", () => {
  const holds = new HeldTopics();
  holds.hold(at("t", 1), error);
  holds.passed([placed("t", 1, 0)]);
  expect(holds.all).toEqual([]);
});

test("trouble in two partitions of a topic is told once each, and tried ever more rarely", () => {
  const holds = new HeldTopics(() => 1);
  const turns = Array.from({ length: 8 }, (_, i) => holds.hold(at("t", i % 2, 5), error));
  expect(turns.map(({ delayMs }) => delayMs)).toEqual([
    1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000,
  ]);
  expect(turns.filter(({ isNew }) => isNew)).toHaveLength(2);
  expect(holds.all).toMatchObject([{ at: { partition: 1 }, attempts: 7 }]);
});

test("trouble that is met first at one, then at another place of a partition is no news each time", () => {
  const holds = new HeldTopics(() => 1);
  const turns = [5, 8, 5, 8].map((offset) => holds.hold(at("t", 0, offset), error));
  expect(turns.map(({ isNew }) => isNew)).toEqual([true, true, false, false]);
  expect(turns.at(-1)?.delayMs).toBe(4_000);
});

test("a partition that is beyond its trouble leaves that of the others", () => {
  const holds = new HeldTopics();
  holds.hold(at("t", 0, 5), error);
  holds.hold(at("t", 1, 7), error);
  holds.passed([placed("t", 1, 8), placed("t", 0, 5)]);
  expect(holds.all).toMatchObject([{ at: { partition: 0, offset: 5 } }]);
  expect(holds.hold(at("t", 0, 5), error).isNew).toBe(false);
});

test("a consumer schema is held until its time has come, and well once it is beyond its event itself", () => {
  let nowMs = 0;
  const holds = new HeldTopics(
    () => 1,
    () => nowMs,
  );
  expect(holds.hold(at("t", 0, 5, "a"), error).delayMs).toBe(1_000);
  expect(holds.hold(at("t", 0, 7, "b"), error).delayMs).toBe(1_000);
  nowMs = 900;
  expect([[...holds.heldOf("t")], [...holds.heldOf("u")]]).toEqual([
    [
      ["a", 100],
      ["b", 100],
    ],
    [],
  ]);
  expect(holds.hold(at("t", 0, 7, "b"), error)).toEqual({ delayMs: 2_000, isNew: false });
  nowMs = 1_000;
  expect([...holds.heldOf("t").keys()]).toEqual(["b"]);
  holds.passed([placed("t", 0, 100, ["others"])]);
  expect(holds.all.map((hold) => hold.at.consumerSchema)).toEqual(["a", "b"]);
  holds.passed([placed("t", 0, 6, ["a", "others"])]);
  expect(holds.all.map((hold) => hold.at.consumerSchema)).toEqual(["b"]);
});

test("what stands still is to be tried once more when the destination has moved since", () => {
  let nowMs = 0;
  const holds = new HeldTopics(
    () => 1,
    () => nowMs,
  );
  holds.hold(at("t", 0, 5, "a"), error);
  expect(holds.areTried).toBe(true);
  nowMs = 10;
  holds.moved([placed("t", 0, 9, ["b"])]);
  nowMs = 20;
  holds.hold(at("t", 0, 9, "b"), error);
  expect(holds.areTried).toBe(false);
  holds.hold(at("t", 0, 5, "a"), error);
  expect(holds.areTried).toBe(true);
});
