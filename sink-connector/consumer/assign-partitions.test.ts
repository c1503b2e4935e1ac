import { expect, test } from "vitest";
import { assignPartitions } from "./assign-partitions.ts";

const partitions = (topic: string, count: number) =>
  Array.from({ length: count }, (_, partition) => ({ topic, partition }));
const member = (memberId: string, ...topics: string[]) => ({ memberId, topics: new Set(topics) });
const sizes = (dealt: ReadonlyMap<string, readonly unknown[]>) =>
  Object.fromEntries([...dealt].map(([id, hand]) => [id, hand.length]));

test("partitions are dealt out evenly, each once", () => {
  const dealt = assignPartitions(
    [member("b", "x", "y"), member("a", "x", "y")],
    [...partitions("x", 3), ...partitions("y", 4)],
  );
  expect(sizes(dealt)).toEqual({ a: 4, b: 3 });
  const all = [...dealt.values()].flat().map(({ topic, partition }) => `${topic}${partition}`);
  expect(new Set(all).size).toBe(7);
});

test("a member that does not read a topic gets none of its partitions", () => {
  const dealt = assignPartitions(
    [member("a", "x"), member("b", "x", "y")],
    [...partitions("x", 2), ...partitions("y", 2)],
  );
  expect(dealt.get("a")?.every(({ topic }) => topic === "x")).toBe(true);
  expect([...dealt.values()].flat()).toHaveLength(4);
});

test("members beyond the partitions get none; a topic nobody reads is left out", () => {
  const dealt = assignPartitions(
    [member("a", "x"), member("b", "x")],
    [...partitions("x", 1), ...partitions("z", 5)],
  );
  expect(sizes(dealt)).toEqual({ a: 1, b: 0 });
});
