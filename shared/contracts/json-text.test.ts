import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jsonElements, jsonKind, jsonMembers, jsonString, jsonValue } from "./json-text.ts";

describe("JSON taken apart", () => {
  test.each([undefined, 2, "\t"])("gives the parts that it was made of, indented by %s", (indent) => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.dictionary(fc.string(), fc.jsonValue()), (array, object) => {
        const elements = jsonElements(JSON.stringify(array, null, indent));
        expect(elements.map((text) => jsonValue(text, Number))).toEqual(withoutMinusZero(array));
        const members = jsonMembers(JSON.stringify(object, null, indent));
        expect([...members.keys()]).toEqual(Object.keys(object));
        for (const [name, text] of members)
          expect(jsonValue(text, Number)).toEqual(withoutMinusZero(object[name]));
      }),
    );
  });

  test("member names are right where JSON.parse of Node 24 is wrong", () => {
    const texts = ['{"x":1,"\\\\":1}', '{"x":1,"\\"":1}', '{"x":1,"\\n":1}'];
    expect(texts.map((text) => [...jsonMembers(text).keys()][1])).toEqual(["\\", '"', "\n"]);
  });

  test("leaves numbers as they are spelled", () => {
    expect(jsonElements("[1.50, 12345678901234567890 ,1e400]")).toEqual([
      "1.50",
      "12345678901234567890",
      "1e400",
    ]);
  });

  test("keeps the last of members of one name", () => {
    expect(jsonMembers('{"a": 1, "a" :[2,{"a":3}] }')).toEqual(new Map([["a", '[2,{"a":3}]']]));
  });

  test("tells strings from structure", () => {
    expect(jsonElements('["]\\"}", "\\\\", {"]": "["}]')).toEqual(['"]\\"}"', '"\\\\"', '{"]": "["}']);
    expect(jsonString('"a\\"b\\u00e9"')).toBe('a"bé');
    expect(["{}", "[]", '""', "true", "false", "null", "-1"].map(jsonKind)).toEqual([
      "object",
      "array",
      "string",
      "boolean",
      "boolean",
      "null",
      "number",
    ]);
  });
});

/** JSON.stringify writes -0 as 0. */
function withoutMinusZero(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMinusZero);
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? 0 : value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withoutMinusZero(each)]));
}
