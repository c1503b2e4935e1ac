import { describe, expect, test } from "vitest";
import { contains, parseSnapshot } from "./snapshot.ts";

const EPOCH = 2n ** 32n;

describe("snapshots", () => {
  test("the text form is read", () => {
    expect(parseSnapshot("10:20:12,15")).toEqual({ xmin: 10n, xmax: 20n, inProgress: new Set([12n, 15n]) });
    expect(parseSnapshot("10:10:")).toEqual({ xmin: 10n, xmax: 10n, inProgress: new Set() });
  });

  test("ended transactions are contained, running and later ones are not", () => {
    const snapshot = parseSnapshot("10:20:12,15");
    const contained = (xid: number) => contains(snapshot, xid);
    expect([9, 10, 11, 12, 13, 15, 19, 20, 21].map(contained)).toEqual([
      true,
      true,
      true,
      false,
      true,
      false,
      true,
      false,
      false,
    ]);
  });

  test("the wire's 32 bits are widened to the epoch nearest to the snapshot", () => {
    const e = EPOCH * 5n;
    const above = parseSnapshot(`${e + 10n}:${e + 20n}:${e + 12n}`);
    expect(contains(above, 11)).toBe(true);
    expect(contains(above, 12)).toBe(false);
    expect(contains(above, 20)).toBe(false);
    // Committed before the counter went round.
    expect(contains(above, 0xffff_fff0)).toBe(true);
    const below = parseSnapshot(`${e - 20n}:${e - 10n}:${e - 15n}`);
    expect(contains(below, Number(EPOCH - 16n))).toBe(true);
    expect(contains(below, Number(EPOCH - 15n))).toBe(false);
    // Begun after the counter went round: not there yet.
    expect(contains(below, 5)).toBe(false);
    // In progress across the turn.
    const across = parseSnapshot(`${e - 5n}:${e + 5n}:${e - 5n},${e + 3n}`);
    expect([Number(EPOCH - 5n), Number(EPOCH - 4n), 3, 4, 5].map((xid) => contains(across, xid))).toEqual([
      false,
      true,
      false,
      true,
      false,
    ]);
  });

  test("a young server's first transactions are not taken for an earlier epoch's", () => {
    const snapshot = parseSnapshot("750:752:750");
    expect(contains(snapshot, 749)).toBe(true);
    expect(contains(snapshot, 750)).toBe(false);
    expect(contains(snapshot, 752)).toBe(false);
  });
});
