import { expect, inject, test } from "vitest";
import { allFaults } from "./catalogue/all.ts";
import { runFault } from "./harness/fault.ts";

/** A selection that finds the most in the least time; `npm run test:faults` makes all of them, with other seeds. */
const QUICK = allFaults().filter(({ quickSeed }) => quickSeed !== undefined);

test.each(QUICK)("$id", async (fault) => {
  const result = await runFault(fault, fault.quickSeed ?? 0, inject("stack"));
  expect(result.complaints, `seed ${result.seed}`).toEqual([]);
});
