import { describe, expect, test } from "vitest";
import { comparePositions, formatChange, parseChange } from "../kafka/position.ts";
import { formatLsn, type Lsn, parseLsn } from "./lsn.ts";

describe("LSNs", () => {
  test("are read and written as Postgres does, across the border of 32 bits", () => {
    for (const text of ["0/0", "0/1", "0/FFFFFFFF", "1/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"]) {
      expect(formatLsn(parseLsn(text))).toBe(text);
    }
    expect(parseLsn("0/ffffffff") + 1n).toBe(parseLsn("1/0"));
    expect(formatLsn(parseLsn("00000001/00000ABC"))).toBe("1/ABC");
  });

  test("order as integers where their text does not", () => {
    const ascending = ["0/9", "0/10", "0/9000000", "0/10000000", "0/FFFFFFFF", "1/0", "9/0", "10/0"];
    const sorted = ascending.map(parseLsn).toSorted((a, b) => (a < b ? -1 : 1));
    expect(sorted.map((lsn) => formatLsn(lsn))).toEqual(ascending);
    expect(ascending.toSorted()).not.toEqual(ascending);
  });

  test.each(["", "0", "0/", "/0", "0/0/0", "0/G", "000000001/0", "0/100000000", "-1/0"])(
    "%j is none",
    (text) => {
      expect(() => parseLsn(text)).toThrow(expect.objectContaining({ code: "INTERNAL_ERROR" }));
    },
  );
});

describe("positions", () => {
  const at = (lsn: string, index: number) => ({ commitLsn: parseLsn(lsn), index });

  test("order by commit, then by index, both as numbers", () => {
    const ascending = [at("0/9", 10), at("0/10000000", 9), at("0/10000000", 10), at("1/0", 0)];
    for (const [i, a] of ascending.entries()) {
      for (const [j, b] of ascending.entries())
        expect(Math.sign(comparePositions(a, b))).toBe(Math.sign(i - j));
    }
  });

  test("the header says what happened and where", () => {
    const position = { commitLsn: 0x1_0000_0abcn as Lsn, index: 12 };
    expect(formatChange("u", position)).toBe("u:1/ABC:12");
    expect(parseChange("u:1/ABC:12")).toEqual({ op: "u", position });
    expect(parseChange(Buffer.from("r:0/0:0")).op).toBe("r");
  });

  test.each([undefined, "", "x:0/0:0", "u:0/0", "u:0/0:-1", "u:0/0:1 ", "u:0:1"])(
    "%j is refused",
    (header) => {
      expect(() => parseChange(header)).toThrow(expect.objectContaining({ code: "CHANGE_HEADER_INVALID" }));
    },
  );
});
