import { expect, test } from "vitest";
import { type KeyRecord, KIND, type Kind, keyRecord } from "./key-records.ts";
import { keyStates, maybeOvertaken, verdictOf } from "./key-states.ts";

const KEY = Buffer.from("k");

const record = (kind: Kind, print = "", sequence = 1n, offset = 1n, partition = 0): KeyRecord =>
  keyRecord(kind, KEY, { print: Buffer.from(print), sequence, place: { partition, offset } });
const row = (print: string) => record(KIND.row, print);
const live = (print: string, offset = 1n) => record(KIND.live, print, offset, offset);
const tombstone = (offset = 1n) => record(KIND.tombstone, "", offset, offset);
const later = record(KIND.later, "", 9n, 9n);

test.each<[string, KeyRecord[], string]>([
  ["the same on both sides", [live("a"), row("a")], "equal"],
  ["the latest event counts", [live("b", 1n), live("a", 2n), row("a")], "equal"],
  ["the latest event counts, not the last seen", [live("a", 2n), live("b", 1n), row("a")], "equal"],
  ["other values", [live("b"), row("a")], "different"],
  ["no event", [row("a")], "missing"],
  ["deleted in the topic only", [live("a", 1n), tombstone(2n), row("a")], "missing"],
  ["no row", [live("a")], "extra"],
  ["deleted on both sides", [live("a", 1n), tombstone(2n)], "absent"],
  ["made anew after a delete", [tombstone(1n), live("a", 2n), row("a")], "equal"],
  ["new behind the position", [later], "absent"],
  ["changed behind the position, and equal at it", [live("a"), later, row("a")], "equal"],
  ["changed behind the position, the event before it compacted away", [later, row("a")], "moving"],
  ["changed behind the position, an older event left over", [live("b"), later, row("a")], "moving"],
  ["changed behind the position, its delete compacted away", [live("b"), later], "moving"],
  ["several rows of one key, of which any may come last", [live("b"), row("a"), row("b")], "equal"],
  ["several rows of one key, none of them published", [live("c"), row("a"), row("b")], "different"],
  ["an event that cannot be decoded", [record(KIND.undecodable, "why"), row("a")], "undecodable"],
  ["a suspect of an earlier round says nothing itself", [record(KIND.suspect)], "absent"],
])("%s", (_what, records, verdict) => {
  const [state] = keyStates(records).values();
  expect(state === undefined ? undefined : verdictOf(state)).toBe(verdict);
});

test("where partitions were added, the commit decides which event of a key is the latest", () => {
  const old = record(KIND.live, "old", 5n, 1_000n, 0);
  const moved = record(KIND.live, "new", 6n, 3n, 4);
  for (const records of [
    [old, moved],
    [moved, old],
  ]) {
    const [state] = keyStates([...records, row("new")]).values();
    expect(state === undefined ? undefined : verdictOf(state)).toBe("equal");
  }
});

const laterIn = (partition: number): KeyRecord => record(KIND.later, "", 9n, 9n, partition);

test.each<[string, KeyRecord[], boolean]>([
  ["nothing later", [live("a")], false],
  ["later in the same partition: both were compacted, or none", [live("a"), laterIn(0)], false],
  ["later in another partition, which compacts by itself", [live("a"), laterIn(1)], true],
  ["later in both", [live("a"), laterIn(1), laterIn(0)], true],
  ["nothing but a later one", [laterIn(0)], true],
])("may the event of the position have been overtaken: %s", (_what, records, expected) => {
  const [state] = keyStates(records).values();
  expect(state === undefined ? undefined : maybeOvertaken(state)).toBe(expected);
});
