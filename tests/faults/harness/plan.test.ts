import { expect, test } from "vitest";
import { randomOf } from "../../support/random.ts";
import { HUGE } from "../catalogue/transactions.ts";
import type { Fault, FaultResult } from "./fault.ts";
import {
  chosen,
  commandFor,
  exitCodeOf,
  type Outcome,
  orderOf,
  type Settings,
  settingsOf,
  summary,
  WrongInput,
} from "./plan.ts";

const IDS = ["keys", "network-cut", "network-delay", HUGE];
const FAULTS: readonly Fault[] = IDS.map((id) => ({ id, group: "1. All", title: id, run: async () => {} }));
const NOTHING: Outcome = { made: [], leftOut: new Map(), strays: 0, wasInterrupted: false };

function settings(line: string): Settings {
  return settingsOf(line === "" ? [] : line.split(" "));
}

function ids(faults: readonly Fault[]): string[] {
  return faults.map(({ id }) => id);
}

function result(id: string, passed = true): FaultResult {
  return { id, passed, seed: 7, complaints: [], transactions: 1, recoveredMs: 1, seconds: 1 };
}

/** Rounds as main.ts makes them, until there is nothing to do, or five. */
function rounds(line: string): string[][] {
  const given = settings(line);
  const all = [1, 2, 3, 4, 5].map((round) =>
    ids(orderOf(round, chosen(FAULTS, given), given, () => 0, randomOf(1))).sort(),
  );
  return all.filter((order) => order.length > 0);
}

test.each([
  ["--minutes abc", '--minutes takes a number above 0, not "abc"'],
  ["--minutes 0", '--minutes takes a number above 0, not "0"'],
  ["--minutes=-3", '--minutes takes a number above 0, not "-3"'],
  ["--runs 1.5", '--runs takes a whole number, not "1.5"'],
  ["--runs=", '--runs takes a whole number, not ""'],
  ["--seed x", '--seed takes a whole number up to 4294967295, not "x"'],
  ["--seed 4294967296", '--seed takes a whole number up to 4294967295, not "4294967296"'],
  ["--huge many", '--huge takes a whole number, not "many"'],
  ["--huge 5000 --page", "--page counts huge transactions of 2000000 rows only, not of 5000"],
  ["--only (", '--only takes a regular expression, not "("'],
  ["--forever", "Unknown option '--forever'"],
])("%s is refused in one sentence", (line, message) => {
  expect(() => settings(line)).toThrow(WrongInput);
  expect(() => settings(line)).toThrow(message);
});

test("a pattern that matches no fault is refused", () => {
  expect(() => chosen(FAULTS, settings("--only nothing"))).toThrow(WrongInput);
});

test("ten minutes are given when nothing is said, and all the time that runs need when they are counted", () => {
  expect(settings("").minutes).toBe(10);
  expect(settings("--runs 3").minutes).toBe(Number.POSITIVE_INFINITY);
  expect(settings("--runs 3 --minutes 2")).toMatchObject({ runs: 3, minutes: 2 });
  expect(settings("--minutes 0.5").runs).toBe(Number.POSITIVE_INFINITY);
});

test("the huge transaction is made once in an hour, or when it is asked for", () => {
  const others = IDS.slice(0, 3);
  const all = [...IDS].sort();
  expect(rounds("--minutes 59")).toEqual(Array(5).fill(others));
  expect(rounds("--runs 2")).toEqual([others, others]);
  expect(rounds("--minutes 60")).toEqual([all, others, others, others, others]);
  expect(rounds("--minutes 60 --runs 2")).toEqual([all, others]);
  expect(rounds("--huge 5000")).toEqual([all, others, others, others, others]);
  expect(rounds("--huge 0 --runs 1")).toEqual([others]);
  expect(rounds("--only huge")).toEqual([[HUGE]]);
  expect(rounds("--only huge --runs 3")).toEqual([[HUGE], [HUGE], [HUGE]]);
  expect(rounds("--only network --huge 5000 --runs 1")).toEqual([["network-cut", "network-delay"]]);
});

test("those with the fewest runs come first, and chance decides between equals", () => {
  const runs = new Map([
    ["keys", 3],
    ["network-cut", 1],
    ["network-delay", 1],
  ]);
  const order = (seed: number) =>
    ids(orderOf(1, FAULTS, settings(""), (id) => runs.get(id) ?? 0, randomOf(seed)));
  const orders = Array.from({ length: 20 }, (_, seed) => order(seed));
  for (const each of orders) {
    expect([each[0], each[3]]).toEqual([HUGE, "keys"]);
  }
  expect(new Set(orders.map((each) => each[1]))).toEqual(new Set(["network-cut", "network-delay"]));
  expect(order(1995)).toEqual(order(1995));
});

test("whoever gave no more time hears what was not reached, what is missing and how to repeat a failure", () => {
  const outcome: Outcome = {
    ...NOTHING,
    made: [result("keys"), result(HUGE, false)],
    leftOut: new Map([["network-cut", "no network"]]),
  };
  const given = settings("--minutes 5 --huge 4000");
  expect(summary(outcome, FAULTS, given).split("\n")).toEqual([
    "1 not reached in 5 min: network-delay",
    "1 left out because something is missing:",
    "    network-cut: no network",
    "what failed is run again by:",
    `    npm run test:faults -- --only '^${HUGE}$' --seed 7 --runs 1 --huge 4000`,
    "1 passed, 1 failed",
  ]);
  expect(summary({ ...outcome, wasInterrupted: true }, FAULTS, given)).toContain(
    "1 not reached before the interruption: network-delay",
  );
});

test("the command that repeats a run runs only that fault, with that seed, once", () => {
  const words = commandFor(result("network-cut"), settings("--huge 9")).split(" -- ")[1] ?? "";
  const again = settings(words.replaceAll("'", ""));
  expect(ids(chosen(FAULTS, again))).toEqual(["network-cut"]);
  expect(again).toMatchObject({ seed: 7, runs: 1, hugeRows: undefined });
});

test("it is a failure when a run fails, when nothing is run, and with --strict when something is missing", () => {
  const well: Outcome = { ...NOTHING, made: [result("keys")] };
  const leftOut = new Map([["network-cut", "no network"]]);
  expect(exitCodeOf(well, settings(""))).toBe(0);
  expect(exitCodeOf(NOTHING, settings(""))).toBe(1);
  expect(exitCodeOf(NOTHING, settings("--runs 0"))).toBe(0);
  expect(exitCodeOf({ ...well, made: [result("keys"), result("keys", false)] }, settings(""))).toBe(1);
  expect(exitCodeOf({ ...well, strays: 1 }, settings(""))).toBe(1);
  expect(exitCodeOf({ ...well, leftOut }, settings(""))).toBe(0);
  expect(exitCodeOf({ ...well, leftOut }, settings("--strict"))).toBe(1);
  expect(exitCodeOf({ ...well, wasInterrupted: true }, settings(""))).toBe(130);
});
