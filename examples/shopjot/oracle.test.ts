import { expect, test } from "vitest";
import { compareRows } from "./oracle.ts";

test("rows are compared by key, in any order, nulls apart from empty text", () => {
  expect(
    compareRows(
      [
        ["2", "b"],
        ["1", null],
      ],
      [
        ["1", null],
        ["2", "b"],
      ],
      1,
    ),
  ).toEqual([]);
  expect(compareRows([["1", null]], [["1", ""]], 1)).toEqual([
    { key: "1", expected: '["1",null]', actual: '["1",""]' },
  ]);
});

test("rows missing on either side are told", () => {
  expect(compareRows([["1", "a"]], [["2", "a"]], 1)).toEqual([
    { key: "1", expected: '["1","a"]', actual: null },
    { key: "2", expected: null, actual: '["2","a"]' },
  ]);
});
