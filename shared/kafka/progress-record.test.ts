import { describe, expect, test } from "vitest";
import { parseLsn } from "../postgres/lsn.ts";
import {
  decodeInstance,
  decodeProgress,
  encodeInstance,
  encodeProgress,
  type ProgressRecord,
} from "./progress-record.ts";

const RECORD: ProgressRecord = {
  commitLsn: parseLsn("0/FFFFFF00"),
  endLsn: parseLsn("1/10"),
  commitTimeMs: 1_700_000_000_123,
  systemIdentifier: "7312345678901234567",
  timeline: 2,
  instance: "a.b",
  ends: { "t.v1": { "0": "9007199254740993", "5": "1" } },
};

describe("progress records", () => {
  test("are JSON that anybody can read, LSNs as Postgres writes them, large numbers as text", () => {
    expect(JSON.parse(encodeProgress(RECORD))).toEqual({
      commitLsn: "0/FFFFFF00",
      endLsn: "1/10",
      commitTime: 1_700_000_000_123,
      systemIdentifier: "7312345678901234567",
      timeline: 2,
      instance: "a.b",
      ends: { "t.v1": { "0": "9007199254740993", "5": "1" } },
    });
  });

  test("come back as they were", () => {
    expect(decodeProgress(encodeProgress(RECORD))).toEqual(RECORD);
    expect(decodeInstance(encodeInstance("a.b"))).toBe("a.b");
  });

  test.each(["", "{}", "[]", "null", '{"commitLsn":"x"}', encodeProgress(RECORD).replace("1/10", "1-10")])(
    "%j is refused",
    (value) => {
      expect(() => decodeProgress(value)).toThrow(
        expect.objectContaining({ code: "PROGRESS_RECORD_INVALID" }),
      );
    },
  );

  test("an owner without an instance is refused", () => {
    expect(() => decodeInstance("{}")).toThrow(expect.objectContaining({ code: "PROGRESS_RECORD_INVALID" }));
  });
});
