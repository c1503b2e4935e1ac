import { expect, test } from "vitest";
import { integerArrayLiteral, textArrayLiteral } from "./text-array.ts";

test("quotes every text, so that nothing in it is syntax", () => {
  expect(textArrayLiteral(["a", "", "null", "{x,y}", " b "])).toBe('{"a","","null","{x,y}"," b "}');
});

test("tells null from the text NULL", () => {
  expect(textArrayLiteral([null, "NULL"])).toBe('{NULL,"NULL"}');
});

test("escapes quotes and backslashes", () => {
  expect(textArrayLiteral(['say "hi"', "a\\b", '{"k":"\\n"}'])).toBe(
    '{"say \\"hi\\"","a\\\\b","{\\"k\\":\\"\\\\n\\"}"}',
  );
});

test("writes empty arrays and integers", () => {
  expect(textArrayLiteral([])).toBe("{}");
  expect(integerArrayLiteral([])).toBe("{}");
  expect(integerArrayLiteral([1, 9007199254740991])).toBe("{1,9007199254740991}");
});
