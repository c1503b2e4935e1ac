import { describe, expect, test } from "vitest";
import type { ProgressRecord } from "../../shared/kafka/progress-record.ts";
import { type Lsn, parseLsn } from "../../shared/postgres/lsn.ts";
import { startingPoint } from "./starting-point.ts";

const lsn = (text: string): Lsn => parseLsn(text);

function known(slot: string, progress?: Partial<ProgressRecord>) {
  const record: ProgressRecord = {
    commitLsn: lsn("0/FFFFFF00"),
    endLsn: lsn("1/10"),
    commitTimeMs: 1,
    systemIdentifier: "7",
    timeline: 2,
    instance: "i",
    ends: {},
    ...progress,
  };
  return {
    progress: progress === undefined ? undefined : record,
    slotConfirmedLsn: lsn(slot),
    walEndLsn: lsn("9/0"),
    systemIdentifier: "7",
    timeline: 2,
  };
}

describe("startingPoint", () => {
  test("goes on after the last published transaction", () => {
    expect(startingPoint(known("0/FFFFFF00", {}))).toEqual({
      commitLsn: lsn("0/FFFFFF00"),
      endLsn: lsn("1/10"),
      fresh: false,
    });
  });

  test("a server whose WAL ends before what was published was set back: its LSNs come a second time", () => {
    expect(() => startingPoint({ ...known("0/FFFFFF00", {}), walEndLsn: lsn("1/8") })).toThrow(
      expect.objectContaining({ code: "SOURCE_REPLACED" }),
    );
    expect(startingPoint({ ...known("0/FFFFFF00", {}), walEndLsn: lsn("1/10") }).fresh).toBe(false);
  });

  test("a slot exactly at the end of the last one misses nothing", () => {
    expect(startingPoint(known("1/10", {})).fresh).toBe(false);
  });

  test("without progress it begins where the slot does, with a commit that lies exactly there", () => {
    const start = startingPoint(known("1/0"));
    expect(start).toEqual({ commitLsn: lsn("0/FFFFFFFF"), endLsn: lsn("1/0"), fresh: true });
    expect(lsn("1/0") > start.commitLsn).toBe(true);
  });

  test("a slot beyond the last published transaction has lost changes", () => {
    expect(() => startingPoint(known("1/11", {}))).toThrow(
      expect.objectContaining({ code: "PROGRESS_BEHIND_SLOT", message: expect.stringContaining("1/10") }),
    );
    // As text, "10/0" comes before "2/0".
    expect(() => startingPoint(known("10/0", { endLsn: lsn("2/0") }))).toThrow(
      expect.objectContaining({ code: "PROGRESS_BEHIND_SLOT" }),
    );
  });

  test("another cluster, or an older timeline of this one, is refused; a promoted standby is not", () => {
    const replaced = expect.objectContaining({ code: "SOURCE_REPLACED" });
    expect(() => startingPoint(known("0/1", { systemIdentifier: "8" }))).toThrow(replaced);
    expect(() => startingPoint(known("0/1", { timeline: 3 }))).toThrow(replaced);
    expect(startingPoint(known("0/1", { timeline: 1 })).fresh).toBe(false);
  });
});
