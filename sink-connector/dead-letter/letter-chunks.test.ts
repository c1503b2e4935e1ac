import { expect, test } from "vitest";
import { chunksOf } from "./letter-chunks.ts";

const letter = (bytes: number) => ({
  record: { key: null, value: Buffer.alloc(bytes), headers: { h: "x" } },
});

test("letters are cut by their number and by their bytes, in order, and none is left out", () => {
  const many = Array.from({ length: 1_100 }, () => letter(10));
  expect(chunksOf(many).map((chunk) => chunk.length)).toEqual([500, 500, 100]);
  const large = [200_000, 300_000, 100_000, 600_000, 1, 2].map(letter);
  expect(chunksOf(large).map((chunk) => chunk.map(({ record }) => record.value.length))).toEqual([
    [200_000, 300_000],
    [100_000],
    [600_000],
    [1, 2],
  ]);
  expect(chunksOf(large).flat()).toEqual(large);
  expect(chunksOf([])).toEqual([]);
});
