import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ArrayText, arrayElementText, parseArrayText } from "./array-text.ts";

const literal = (array: ArrayText): string =>
  `{${array.map((each) => (Array.isArray(each) ? literal(each) : arrayElementText(each))).join(",")}}`;

describe("Postgres' array literals", () => {
  test("come back element for element, NULL and the word NULL apart", () => {
    const element = fc.option(
      fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("NULL", "null", "", "{}", ",", '"', "\\")),
    );
    fc.assert(
      fc.property(fc.array(element), (array) => {
        expect(parseArrayText(literal(array))).toEqual(array);
        expect(parseArrayText(literal([array, array]))).toEqual([array, array]);
      }),
    );
  });

  test("are read as Postgres writes them", () => {
    expect(parseArrayText("{}")).toEqual([]);
    expect(parseArrayText('{a,"b c","d\\"e","f\\\\g",NULL,"NULL",""}')).toEqual([
      "a",
      "b c",
      'd"e',
      "f\\g",
      null,
      "NULL",
      "",
    ]);
    expect(parseArrayText("{{1,2},{3,NULL}}")).toEqual([
      ["1", "2"],
      ["3", null],
    ]);
    expect(parseArrayText("{(1,1),(0,0);(2,2),(1,1)}", ";")).toEqual(["(1,1),(0,0)", "(2,2),(1,1)"]);
  });

  test.each(["", "a", "{", "{a", "{a,}", "{,a}", "{a}b", '{"a}', '{a"b"}', "[0:1]={a,b}", "{{a}", "{a\\,b}"])(
    "%s is none that can be carried",
    (text) => {
      expect(parseArrayText(text)).toBeUndefined();
    },
  );
});
