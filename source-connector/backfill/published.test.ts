import { expect, test } from "vitest";
import { comparePublished, type PublishedKnown } from "./published.ts";

function compared(now: Record<string, string[]>, known: Partial<PublishedKnown> = {}) {
  const nothing = { before: undefined, backfilled: new Map<string, string[]>(), hasEvents: () => false };
  const { record, missed } = comparePublished({ ...nothing, ...known, now: new Map(Object.entries(now)) });
  return { schemas: record.schemas, missed: Object.fromEntries(missed) };
}

/** What is written by sources with these schemas, one after the other. */
function after(...starts: Record<string, string[]>[]) {
  let before: PublishedKnown["before"];
  for (const now of starts) before = { schemas: compared(now, { before }).schemas };
  return before;
}

test("a schema that is new, or uses a further table, has missed nothing", () => {
  expect(compared({ a: ["t"] }).missed).toEqual({});
  expect(compared({ a: ["t"], b: ["t"] }, { before: after({ a: ["t"] }) }).missed).toEqual({});
  expect(compared({ a: ["t", "u"] }, { before: after({ a: ["t"] }) })).toEqual({
    schemas: { a: { uses: ["t", "u"], left: [] } },
    missed: {},
  });
});

test("one that comes back has missed what changed meanwhile, whichever tables it uses now", () => {
  const before = after({ a: ["t"], b: ["t", "u"] }, { a: ["t"] });
  expect(before?.schemas).toEqual({ a: { uses: ["t"], left: [] }, b: { uses: [], left: ["t", "u"] } });
  expect(compared({ a: ["t"], b: ["t", "x"] }, { before })).toEqual({
    schemas: { a: { uses: ["t"], left: [] }, b: { uses: ["t", "x"], left: ["u"] } },
    missed: { b: ["t", "x"] },
  });
});

test("so has one that uses a table again, and not once more at the next start", () => {
  const before = after({ a: ["t", "u"] }, { a: ["t"] });
  expect(compared({ a: ["t", "u", "v"] }, { before }).missed).toEqual({ a: ["u"] });
  expect(
    compared({ a: ["t", "u"] }, { before: after({ a: ["t", "u"] }, { a: ["t"] }, { a: ["t", "u"] }) }).missed,
  ).toEqual({});
});

test("the first start that keeps it takes the manifest's schemas for published, and others that had a backfill for left", () => {
  const backfilled = new Map([
    ["a", ["t", "u"]],
    ["b", ["t"]],
  ]);
  const first = compared({ a: ["t"] }, { backfilled });
  expect(first).toEqual({
    schemas: { a: { uses: ["t"], left: ["u"] }, b: { uses: [], left: ["t"] } },
    missed: {},
  });
  const before = { schemas: first.schemas };
  expect(compared({ a: ["t", "u"], b: ["t"] }, { before, backfilled }).missed).toEqual({
    a: ["u"],
    b: ["t"],
  });
});

test("one whose topic has events was published, whether it ever had a backfill or not", () => {
  const before = after({ a: ["t"] });
  expect(compared({ a: ["t"], b: ["t"] }, { before, hasEvents: (name) => name === "b" }).missed).toEqual({
    b: ["t"],
  });
});
