import { describe, expect, test } from "vitest";
import type { ProgressRecord } from "../../shared/kafka/progress-record.ts";
import { type Lsn, parseLsn } from "../../shared/postgres/lsn.ts";
import { parseTimelineHistory, requireSameHistory, startingPoint } from "./starting-point.ts";

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
    history: new Map([[1, lsn("0/5000000")]]),
  };
}

describe("startingPoint", () => {
  test("goes on after the last published transaction", () => {
    expect(startingPoint(known("0/FFFFFF00", {}))).toEqual({
      commitLsn: lsn("0/FFFFFF00"),
      endLsn: lsn("1/10"),
      fresh: false,
      comesAgainFromMs: 1,
    });
  });

  test("what the slot still has of the published must come again; what it has not, cannot", () => {
    expect(startingPoint(known("0/FFFFFF01", {})).comesAgainFromMs).toBeUndefined();
    expect(startingPoint(known("0/10", { commitTimeMs: 77 })).comesAgainFromMs).toBe(77);
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
    expect(start).toEqual({
      commitLsn: lsn("0/FFFFFFFF"),
      endLsn: lsn("1/0"),
      fresh: true,
      comesAgainFromMs: undefined,
    });
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

  const replaced = expect.objectContaining({ code: "SOURCE_REPLACED" });

  test("another cluster is refused, also before there is a slot", () => {
    expect(() => startingPoint(known("0/1", { systemIdentifier: "8" }))).toThrow(replaced);
    expect(() => requireSameHistory(known("0/1", { systemIdentifier: "8" }))).toThrow(replaced);
    requireSameHistory(known("0/1", {}));
    requireSameHistory(known("0/1"));
  });

  test("a promoted standby is taken if it had everything that was published", () => {
    const before = { timeline: 1, commitLsn: lsn("0/4FFFF00"), endLsn: lsn("0/5000000") };
    expect(startingPoint(known("0/1", before)).fresh).toBe(false);
    expect(() => startingPoint(known("0/1", { ...before, endLsn: lsn("0/5000001") }))).toThrow(replaced);
    // Not an ancestor: an older timeline after a newer one, or a branch beside it.
    expect(() => startingPoint(known("0/1", { timeline: 3 }))).toThrow(replaced);
    expect(() =>
      startingPoint({ ...known("0/1", { timeline: 1 }), timeline: 4, history: new Map() }),
    ).toThrow(replaced);
  });
});

test("a timeline history file", () => {
  expect(
    parseTimelineHistory("1\t0/5000148\tno recovery target specified\n\n2\t1/A0\tbefore 2000-01-01\n"),
  ).toEqual(
    new Map([
      [1, lsn("0/5000148")],
      [2, lsn("1/A0")],
    ]),
  );
});
