import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  formatDate,
  formatTime,
  formatTimestamp,
  parseDate,
  parseTime,
  parseTimestamp,
} from "./time-text.ts";

const YEAR_1 = -62135596800_000000n;
const LAST = 2n ** 63n - 1n;

describe("dates and times as text", () => {
  test("every microsecond of the range comes back, safe integer or not", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: YEAR_1, max: LAST }), (micros) => {
        const plain = BigInt.asIntN(54, micros) === micros ? Number(micros) : micros;
        const parsed = parseTimestamp(formatTimestamp(plain));
        expect(BigInt(parsed ?? -1)).toBe(micros);
        expect(formatTimestamp(micros)).toBe(formatTimestamp(plain));
      }),
    );
  });

  test("agrees with JavaScript's calendar to the millisecond", () => {
    const dates = fc.date({
      min: new Date("0001-01-01T00:00:00Z"),
      max: new Date("9999-12-31T23:59:59Z"),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(dates, (when) => {
        const iso = when.toISOString();
        expect(BigInt(parseTimestamp(iso) ?? -1)).toBe(BigInt(when.getTime()) * 1000n);
        expect(parseTimestamp(iso.replace("T", " ").replace("Z", "+00"))).toBe(parseTimestamp(iso));
        expect(parseDate(iso.slice(0, 10))).toBe(Math.floor(when.getTime() / 86_400_000));
        expect(formatDate(Math.floor(when.getTime() / 86_400_000))).toBe(iso.slice(0, 10));
      }),
    );
  });

  test("offsets are taken into account, their absence is UTC", () => {
    const noon = Date.UTC(2024, 1, 29, 12) * 1000;
    for (const text of [
      "12:00:00",
      "12:00:00+00",
      "12:00:00Z",
      "17:30:00+05:30",
      "17:30:00+0530",
      "08:00:00-04",
      "12:00:30+00:00:30",
      "12:00",
    ]) {
      expect(parseTimestamp(`2024-02-29 ${text}`)).toBe(noon);
      expect(parseTimestamp(`2024-02-29T${text}`)).toBe(noon);
    }
  });

  test("fractions of any length up to six digits", () => {
    expect(parseTimestamp("1970-01-01 00:00:00.1+00")).toBe(100_000);
    expect(parseTimestamp("1970-01-01 00:00:00.000001")).toBe(1);
    expect(parseTimestamp("1970-01-01 00:00:00.1234567")).toBeUndefined();
    expect(parseTimestamp("1970-01-01 00:00:00.")).toBeUndefined();
    expect(parseTime("00:00:00.123456")).toBe(123_456);
    expect(formatTime(86_399_999_900)).toBe("23:59:59.9999");
  });

  test.each([
    "infinity",
    "-infinity",
    "0044-03-15 12:00:00 BC",
    "2024-02-30 00:00:00",
    "2023-02-29 00:00:00",
    "1900-02-29 00:00:00",
    "2024-13-01 00:00:00",
    "2024-00-01 00:00:00",
    "2024-01-00 00:00:00",
    "2024-01-01 24:00:00",
    "2024-01-01 00:60:00",
    "2024-01-01 00:00:60",
    "0000-01-01 00:00:00",
    "2024-01-01",
    "2024-01-01 00:00:00+",
    "2024-01-01 0a:00:00",
    "294247-01-11 00:00:00",
    "x",
    "",
  ])("%s is no timestamp", (text) => {
    expect(parseTimestamp(text)).toBeUndefined();
  });

  test("what is no date or time of day", () => {
    for (const text of ["infinity", "0044-03-15 BC", "2024-02-30", "2024-1-1", ""]) {
      expect(parseDate(text)).toBeUndefined();
    }
    for (const text of ["24:00:00", "12:60", "12:00:60", "12:00:00+01", "12", ""])
      expect(parseTime(text)).toBeUndefined();
  });
});
