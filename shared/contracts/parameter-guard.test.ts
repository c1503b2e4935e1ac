import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PgType } from "../postgres/type-catalog.ts";
import type { AvroShape } from "./avro-types.ts";
import { guardOf } from "./parameter-guard.ts";
import { POSTGRES_TYPES } from "./type-table.ts";

type Kind = AvroShape["kind"];

function refusal(kind: Kind, type: string, text: string): string | undefined {
  const pg = POSTGRES_TYPES.find(({ name }) => name === type) as PgType;
  try {
    guardOf(kind, pg)?.(text);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

describe("what a parameter's type would change without a word is refused", () => {
  test.each<[Kind, string, string[], string[]]>([
    ["long", "double precision", ["9007199254740992", "0"], ["9007199254740993", "-9223372036854775807"]],
    ["decimal", "double precision", ["0.10", "-1234.50"], ["0.12345678901234567890"]],
    [
      "string",
      "double precision",
      ["0.1", "NaN", " 12 ", "1e23", "9.999999999999999e+22", "0.30000000000000004"],
      ["12345678901234567890.12"],
    ],
    ["double", "double precision", ["0.1", "1e-323"], []],
    [
      "double",
      "real",
      ["0.1", "16777216", "NaN", "-0", "1e-45", "0.5", "1.3853392e+06", "1385339.25"],
      ["16777217", "0.123456789012", "1e-60", "2e-45", "0.300000005"],
    ],
    ["decimal", "real", ["1234.50", "0.01"], ["123456789.01"]],
    ["decimal", "money", ["1.50", "1.5000", "-3"], ["0.125", "1e-3"]],
    ["string", "money", ["$1,234.56", "0.12"], ["0.125"]],
    ["long", "oid", ["0", "4294967295"], ["-1"]],
    ["string", '"char"', ["a", "", "\\377"], ["ab", "é"]],
    ["string", "name", ["x".repeat(63)], ["x".repeat(64), "é".repeat(32)]],
    [
      "timestamp-micros",
      "date",
      ["2024-02-29T00:00:00Z"],
      ["2024-02-29T00:00:01Z", "2024-02-29T12:00:00.5Z"],
    ],
    ["timestamp-micros", "time", [], ["2024-02-29T12:00:00Z"]],
    ["timestamp-micros", "timestamp", ["2024-02-29T12:00:00.123456Z"], []],
    [
      "string",
      "date",
      ["2024-02-29", "infinity", "2024-02-29 00:00:00+00"],
      ["2024-02-29 00:00:00.5", "2024-02-29 10:00"],
    ],
    ["string", "time", ["24:00:00", "12:00:00.123456"], ["2024-02-29 12:00", "12:00:00.1234567"]],
    [
      "string",
      "timestamp",
      ["2024-02-29 12:34:56", "2024-02-29 12:34:56+00", "2024-02-29T12:34:56Z", "0044-03-15 12:00:00 BC"],
      ["2024-02-29 12:34:56+05:30", "2024-02-29 12:34:56.5-03", "2024-02-29 12:34:56.1234567"],
    ],
    ["string", "timestamptz", ["2024-02-29 12:34:56.1234560+05:30"], ["2024-02-29 12:34:56.1234567+00"]],
    ["string", "interval", ["1 day 00:00:00.000001"], ["0.0000001 s"]],
  ])("%s for %s", (kind, type, taken, refused) => {
    for (const text of taken) expect(refusal(kind, type, text), text).toBeUndefined();
    for (const text of refused) expect(refusal(kind, type, text), text).toBeDefined();
  });

  test("every float4 is a real", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(refusal("double", "real", String(value))).toBeUndefined();
      }),
    );
  });
});
