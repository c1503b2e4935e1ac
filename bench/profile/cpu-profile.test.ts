import { expect, test } from "vitest";
import { summarizeProfile } from "./cpu-profile.ts";

const node = (id: number, functionName: string, url = "", lineNumber = 0, children: number[] = []) => ({
  id,
  callFrame: { functionName, url, lineNumber },
  children,
});

const PROFILE = {
  nodes: [
    node(1, "(root)", "", 0, [2, 3, 4, 5, 9]),
    node(2, "(idle)"),
    node(3, "encode", "file:///repo/shared/contracts/row-encoder.ts", 9, [6]),
    node(4, "", "/repo/node_modules/kafkajs/src/encoder.js", 4),
    node(5, "(garbage collector)"),
    node(6, "slice", "node:buffer", 700, [7]),
    node(7, "utf8Slice"),
    node(8, "orphan", "file:///repo/node_modules/@scope/name/a.js"),
    node(9, "onread", "node:net"),
  ],
  samples: [3, 2, 4, 7, 8, 5, 9],
  timeDeltas: [500, 4000, 9000, 3000, 2000, 1000, 1000, 1000],
};

test("what Node's own code takes counts for the function that called it, idle time for nobody", () => {
  const summary = summarizeProfile(PROFILE, "/repo", { fromMs: 0, toMs: 1000 });
  expect(summary).toMatchObject({ idleMilliseconds: 9, busyMilliseconds: 12 });
  expect(summary.functions.map(({ place, milliseconds }) => [place, milliseconds])).toEqual([
    ["encode shared/contracts/row-encoder.ts:10", 6],
    ["(anonymous) node_modules/kafkajs/src/encoder.js:5", 3],
    ["orphan node_modules/@scope/name/a.js:1", 1],
    ["(garbage collector)", 1],
    ["onread node:net", 1],
  ]);
  expect(summary.packages.map(({ place }) => place)).toEqual([
    "shared/contracts",
    "kafkajs",
    "@scope/name",
    "(garbage collector)",
    "Node itself",
  ]);
});

test("only samples inside the window count", () => {
  const summary = summarizeProfile(PROFILE, "/repo", { fromMs: 10, toMs: 17 });
  expect(summary.functions.map(({ place }) => place)).toEqual([
    "(anonymous) node_modules/kafkajs/src/encoder.js:5",
    "encode shared/contracts/row-encoder.ts:10",
  ]);
});
