import { expect, test } from "vitest";
import { allEqual, differences, newReport, type PairReport } from "./pair-report.ts";
import { pairText, verdictLine } from "./report-text.ts";

const SOURCE = {
  kind: "source",
  manifest: "shop",
  dataStore: "db",
  publicSchema: "item.v1",
  consumerSchema: null,
  topic: "shop.item.v1",
} as const;
const COPY = { ...SOURCE, kind: "destination", manifest: "orders", consumerSchema: "copy" } as const;

function report(about: typeof SOURCE | typeof COPY, found: Partial<PairReport>): PairReport {
  return Object.assign(newReport(about), { position: "0/1A", compared: true }, found);
}

const EQUAL = report(SOURCE, { keys: 1_200, equal: 1_200 });

test("what is equal takes two lines, and one at the end", () => {
  expect(pairText(EQUAL)).toBe("item.v1: shop db → shop.item.v1 at 0/1A\n  1,200 keys: 1,200 equal");
  expect(verdictLine([EQUAL, EQUAL])).toBe("EQUAL: 2 comparisons of 2,400 keys, all equal");
});

test("what differs is named: how many, the first keys, the fields, and how many more there are", () => {
  const different = report(COPY, {
    position: { 0: "17", 1: "4" },
    keys: 12,
    equal: 5,
    missing: { count: 2, first: ['{"id":1}'] },
    extra: { count: 1, first: ['{"id":2}'] },
    different: { count: 3, fields: { name: 3, price: 1 }, first: [{ key: '{"id":3}', fields: ["name"] }] },
    undecodable: { count: 1, first: [{ at: "shop.item.v1[0]@7", key: '{"id":4}', reason: "no schema" }] },
    notes: ["its backfill is running"],
  });
  expect(pairText(different)).toBe(`copy: shop.item.v1 → orders db at offsets 0@17, 1@4
  12 keys: 5 equal, 2 missing, 1 extra, 3 different, 1 undecodable
  missing: in the topic, not in the destination
    {"id":1}
    and 1 more
  extra: in the destination, not in the topic
    {"id":2}
  different: name (3), price (1)
    {"id":3}: name
    and 2 more
  undecodable: cannot be decoded, or has values that the statement does not take
    shop.item.v1[0]@7 key {"id":4}: no schema
  note: its backfill is running`);
  expect(differences(different)).toBe(7);
  expect(verdictLine([EQUAL, different])).toBe(
    "DIFFERENT: item.v1 → copy: 5 equal, 2 missing, 1 extra, 3 different, 1 undecodable",
  );
});

test("what is allowed, unsettled or cannot be told is no difference", () => {
  const allowed = report(SOURCE, {
    keys: 4,
    equal: 1,
    extra: { count: 2, first: [] },
    extraAllowed: true,
    unsettled: { count: 1, first: ['{"id":9}'] },
  });
  expect(differences(allowed)).toBe(0);
  expect(pairText(allowed)).toContain("4 keys: 1 equal, 2 extra (allowed), 1 unsettled\n");
  expect(verdictLine([allowed])).toBe("UNSETTLED: 1 comparison of 4 keys, none different; 1 unsettled");
  expect([allEqual([allowed]), allEqual([EQUAL, allowed])]).toEqual([false, false]);
  expect(differences(report(COPY, { extra: null }))).toBe(0);
});

test("what could not be compared is never called equal", () => {
  const incomparable = report(COPY, { position: null, compared: false, incomparable: "it is no INSERT" });
  const error = { code: "POSTGRES_UNREACHABLE", message: "m", hint: "h" } as const;
  const failed = report(SOURCE, { position: null, compared: false, error });
  expect(pairText(incomparable)).toBe("copy: shop.item.v1 → orders db\n  not compared: it is no INSERT");
  expect(pairText(failed)).toContain("\n  POSTGRES_UNREACHABLE: m\n  hint: h");
  expect(verdictLine([incomparable])).toBe("NOTHING COMPARED: not compared: item.v1 → copy");
  expect(verdictLine([EQUAL, incomparable])).toMatch(/^EQUAL: .*; not compared: item\.v1 → copy$/);
  expect(verdictLine([EQUAL, failed])).toMatch(/^FAILED: .*; failed: item\.v1$/);
  expect([[], [incomparable], [EQUAL, failed], [EQUAL, incomparable], [EQUAL]].map(allEqual)).toEqual([
    false,
    false,
    false,
    true,
    true,
  ]);
});

test("what a sink that stands still has applied is told beside the error", () => {
  const error = { code: "VERIFY_SINK_BEHIND", message: "m", hint: "h" } as const;
  const missing = { count: 1, first: ['{"id":1}'] };
  const behind = report(COPY, { keys: 3, equal: 2, missing, behind: 5, error });
  expect(pairText(behind)).toBe(`copy: shop.item.v1 → orders db at 0/1A
  VERIFY_SINK_BEHIND: m
  hint: h
  3 keys: 2 equal, 1 missing
  missing: in the topic, not in the destination
    {"id":1}`);
  expect(verdictLine([behind])).toBe("DIFFERENT: item.v1 → copy: 2 equal, 1 missing; failed: item.v1 → copy");
});
