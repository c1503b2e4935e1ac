import { describe, expect, test } from "vitest";
import { type Lsn, parseLsn } from "../../shared/postgres/lsn.ts";
import { type SlotKnown, slotNeed } from "./slot-need.ts";

const slot = (lsn: string, lost: string | null = null) => ({ confirmedLsn: parseLsn(lsn) as Lsn, lost });
const progress = { endLsn: parseLsn("1/0") as Lsn };

const KNOWN: SlotKnown = {
  onSlotLost: "rebuild",
  slot: slot("0/FF"),
  everPublished: true,
  progress,
  replaced: false,
};

describe("slotNeed", () => {
  test.each<[string, Partial<SlotKnown>, string, string]>([
    ["a slot that holds what was published", {}, "nothing", "nothing"],
    ["none yet at the very first start", { slot: undefined, everPublished: false }, "create", "create"],
    ["none any more", { slot: undefined }, "create", "give up"],
    ["an invalidated one", { slot: slot("0/FF", "is invalidated") }, "replace", "give up"],
    ["one of another history", { replaced: true }, "replace", "give up"],
    [
      "one of another history that others are making",
      { replaced: true, slot: slot("0/0") },
      "nothing",
      "nothing",
    ],
    [
      "one that was made for this, by a source that died since",
      { replaced: true, slot: slot("1/0") },
      "nothing",
      "nothing",
    ],
    ["one where nothing was published", { replaced: true, progress: undefined }, "nothing", "nothing"],
  ])("%s", (_what, known, rebuild, stop) => {
    expect(slotNeed({ ...KNOWN, ...known })).toBe(rebuild);
    expect(slotNeed({ ...KNOWN, ...known, onSlotLost: "stop" })).toBe(stop);
  });
});
