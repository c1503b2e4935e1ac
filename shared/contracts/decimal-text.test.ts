import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  canonicalNumber,
  decimalBytes,
  decimalText,
  exactDouble,
  exactInteger,
  smallUnscaledDecimal,
  unscaledDecimal,
  unscaledOfBytes,
} from "./decimal-text.ts";

describe("numbers as text", () => {
  test("texts of the same number have one canonical spelling", () => {
    for (const text of ["12.5", "12.50", "+012.5", "125e-1", "0.125E2", "1250e-2"]) {
      expect(canonicalNumber(text)).toBe("125e-1");
    }
    expect(["0", "-0", "0.000", "0e7"].map(canonicalNumber)).toEqual(["0e0", "0e0", "0e0", "0e0"]);
    expect(["", "abc", "1.2.3", "0x10", " 1", "1 ", "NaN", ".5", "--1"].map(canonicalNumber)).toEqual(
      Array(9).fill(undefined),
    );
  });

  test("a numeric of all its 131,072 digits is read in no time", () => {
    const longest = `1${"0".repeat(131_070)}1`;
    expect(canonicalNumber(longest)).toBe(`${longest}e0`);
    expect(exactDouble(longest)).toBeUndefined();
  });

  test("every double is exactly its own text", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(exactDouble(String(value))).toBe(value === 0 ? Number(String(value)) : value);
      }),
    );
  });

  test("a number beyond a double has none", () => {
    const texts = [
      "9007199254740993",
      "0.1234567890123456789",
      "1e400",
      "1e-400",
      "12345678901234567.8",
      "abc",
    ];
    for (const text of texts) expect(exactDouble(text)).toBeUndefined();
  });

  test("whole numbers in any spelling", () => {
    expect(["12", "12.00", "1.2e1", "-0"].map(exactInteger)).toEqual([12, 12, 12, 0]);
    expect(exactInteger("9223372036854775808")).toBe(9223372036854775808n);
    expect(["1.5", "1e-1", "1e30", "x"].map(exactInteger)).toEqual(Array(4).fill(undefined));
  });

  test("a decimal of any size comes back digit for digit", () => {
    const decimals = fc.tuple(
      fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }),
      fc.integer({ min: 0, max: 45 }),
    );
    fc.assert(
      fc.property(decimals, ([unscaled, scale]) => {
        expect(BigInt(unscaledOfBytes(decimalBytes(unscaled)))).toBe(unscaled);
        expect(unscaledDecimal(decimalText(unscaled, scale), 60, scale)).toBe(unscaled);
      }),
    );
  });

  test("the short way agrees with the long one wherever it answers", () => {
    const digits = fc.bigInt({ min: -(10n ** 16n), max: 10n ** 16n });
    const size = fc.integer({ min: 0, max: 20 });
    const texts = fc.oneof(
      fc.tuple(digits, size).map(([unscaled, scale]) => decimalText(unscaled, scale)),
      fc.constantFrom("", "-", ".", "1.2.3", "1e5", "NaN", "0", "-0.00", "00012", "1.", "--1", "1-"),
    );
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 20 }), size, (text, precision, scale) => {
        const small = smallUnscaledDecimal(text, precision, scale);
        if (small !== undefined) expect(BigInt(small)).toBe(unscaledDecimal(text, precision, scale));
      }),
      { numRuns: 3000 },
    );
  });

  test("a decimal has no more digits than its precision and scale allow", () => {
    expect(unscaledDecimal("99.99", 4, 2)).toBe(9999n);
    expect(unscaledDecimal("-1.5", 4, 2)).toBe(-150n);
    expect(unscaledDecimal("1.5000", 4, 2)).toBe(150n);
    expect(unscaledDecimal("100", 4, 2)).toBeUndefined();
    expect(unscaledDecimal("0.001", 4, 2)).toBeUndefined();
    expect(unscaledDecimal("NaN", 4, 2)).toBeUndefined();
  });

  test("the bytes of a decimal are as few as they can be", () => {
    const lengths = [0n, 127n, 128n, -128n, -129n, 32767n, -32768n, 32768n].map(
      (n) => decimalBytes(n).length,
    );
    expect(lengths).toEqual([1, 1, 2, 1, 2, 2, 2, 3]);
  });
});
