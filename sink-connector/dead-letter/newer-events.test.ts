import { expect, test } from "vitest";
import { NewerEvents } from "./newer-events.ts";

const NOBODY: ReadonlySet<string> = new Set();

const event = (offset: number, keyDigest: string, isTombstone = false) => ({
  offset,
  keyDigest,
  isTombstone,
  change: `u:0/${offset}:0`,
});

const letter = (offset: number, keyDigest = "k", consumerName = "c") => ({
  offset,
  keyDigest,
  consumerName,
  change: `u:0/${offset}:0`,
  ignoresDeletes: false,
});

test("a letter is superseded by an applied event of its key that comes after it", () => {
  const newer = new NewerEvents([letter(3), letter(5), letter(7, "l")]);
  for (const offset of [3, 4, 5]) newer.see(event(offset, "k"), offset === 4 ? NOBODY : new Set(["c"]));
  newer.see(event(7, "l"), new Set(["c"]));
  newer.see(event(8, "m"), NOBODY);
  expect(newer.judge(letter(3))).toEqual({ kind: "superseded", by: 4 });
  expect(newer.judge(letter(5))).toEqual({ kind: "newest" });
  expect(newer.judge(letter(7, "l"))).toEqual({ kind: "newest" });
});

test("a newer event that this consumer schema set aside does not count; another's does", () => {
  const newer = new NewerEvents([letter(3), letter(3, "k", "other")]);
  newer.see(event(3, "k"), new Set(["c", "other"]));
  newer.see(event(4, "k"), new Set(["c"]));
  expect(newer.judge(letter(3))).toEqual({ kind: "newest" });
  expect(newer.judge(letter(3, "k", "other"))).toEqual({ kind: "superseded", by: 4 });
});

test("a newer tombstone counts, unless the consumer schema leaves tombstones out", () => {
  const newer = new NewerEvents([letter(3)]);
  newer.see(event(3, "k"), new Set(["c"]));
  newer.see(event(4, "k", true), NOBODY);
  expect(newer.judge(letter(3))).toEqual({ kind: "superseded", by: 4 });
  expect(newer.judge({ ...letter(3), ignoresDeletes: true })).toEqual({ kind: "newest" });
});

test("an event that compaction has taken, or whose offset holds another, was replaced by a newer one", () => {
  const newer = new NewerEvents([letter(3), letter(5)]);
  newer.see(event(5, "k"), new Set(["c"]));
  expect(newer.judge(letter(3))).toEqual({ kind: "superseded", by: null });
  expect(newer.judge({ ...letter(5), change: "u:0/999:0" })).toEqual({ kind: "superseded", by: null });
});

test("events without a key replace none", () => {
  const newer = new NewerEvents([letter(3, "")]);
  newer.see(event(3, ""), new Set(["c"]));
  newer.see(event(4, ""), NOBODY);
  expect(newer.judge(letter(3, ""))).toEqual({ kind: "newest" });
});
