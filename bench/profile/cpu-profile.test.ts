import { expect, test } from "vitest";
import { summarizeProfile } from "./cpu-profile.ts";

const node = (id: number, functionName: string, url = "", lineNumber = 0) => ({
  id,
  callFrame: { functionName, url, lineNumber },
});

test("time goes to the function of the sample before it, and idle time to nobody", () => {
  const summary = summarizeProfile(
    {
      nodes: [
        node(1, "(idle)"),
        node(2, "encode", "file:///repo/shared/contracts/row-encoder.ts", 9),
        node(3, "", "file:///repo/node_modules/kafkajs/src/protocol/encoder.js", 4),
        node(4, "", "file:///repo/node_modules/@scope/name/a.js"),
        node(5, "(garbage collector)"),
        node(6, "onread", "node:net"),
      ],
      samples: [2, 1, 3, 2, 4, 5, 6],
      timeDeltas: [500, 4000, 9000, 3000, 2000, 1000, 1000, 0],
    },
    "/repo",
  );
  expect(summary.idleMilliseconds).toBe(9);
  expect(summary.busyMilliseconds).toBe(11);
  expect(summary.functions[0]).toMatchObject({
    place: "encode shared/contracts/row-encoder.ts:10",
    milliseconds: 6,
  });
  expect(summary.functions[1]?.place).toBe("(anonymous) node_modules/kafkajs/src/protocol/encoder.js:5");
  expect(summary.packages.map(({ place }) => place)).toEqual([
    "shared/contracts",
    "kafkajs",
    "@scope/name",
    "(garbage collector)",
    "node:net",
  ]);
});
