import { expect, test } from "vitest";
import { checkEnd } from "./kafka-published-ends.ts";

test("a partition that reaches what was published is well; offsets compare as integers", () => {
  checkEnd("t", "0", 10n, "10");
  checkEnd("t", "0", 10n, "9");
  checkEnd("t", "0", 9_007_199_254_740_993n, "9007199254740993");
});

test("a partition that ends before is named", () => {
  expect(() => checkEnd("t", "3", 9n, "10")).toThrow(
    "t partition 3 ends at offset 9, published was up to 10",
  );
});
