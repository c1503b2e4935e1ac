import { expect, test } from "vitest";
import { partitionOf } from "./kafka-key-partition.ts";

test("keys have the partitions that Java's murmur2 gives them", () => {
  const partitions = (count: number) =>
    ["a", "b", "21", "foobar"].map((key) => partitionOf(Buffer.from(key), count));
  expect(partitions(1_000)).toEqual([524, 796, 340, 166]);
  expect(partitions(1)).toEqual([0, 0, 0, 0]);
});
