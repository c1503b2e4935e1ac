import { expect, inject, test } from "vitest";
import { createDatabase } from "../support/database.ts";
import type { Fault, FaultContext } from "./harness/fault.ts";
import { runUnlessAborted } from "./harness/one-run.ts";

const FOR_EVER = new Promise<never>(() => {});
const FAULT: Fault = { id: "endless", group: "0. Tests", title: "never over", run: () => FOR_EVER };

/** Gives a run up as soon as it has come to a place, and looks for what it has left behind. */
async function giveUpAt(place: (reached: (context: FaultContext) => void) => Partial<Fault>) {
  const interruption = new AbortController();
  let context: FaultContext | undefined;
  const fault = {
    ...FAULT,
    ...place((given) => {
      context = given;
      interruption.abort(new Error("interrupted"));
    }),
  };
  const run = await runUnlessAborted(fault, 1, inject("stack"), interruption.signal);
  const { database, destination, slotName, processes } = (context as FaultContext).pipeline;
  await using asking = await createDatabase();
  const left = await asking.query(
    `SELECT datname FROM pg_database WHERE datname IN ($1, $2)
     UNION ALL SELECT slot_name FROM pg_replication_slots WHERE slot_name = $3`,
    [database.name, destination.name, slotName],
  );
  return { run, left, running: processes.filter((each) => each.running).length };
}

test("a run that is interrupted inside its fault has no result and leaves nothing behind", async () => {
  const { run, left, running } = await giveUpAt((reached) => ({
    run: (context) => {
      // As a fault does that is broken off between two of its steps.
      context.pipeline.source?.signal("SIGSTOP");
      reached(context);
      return FOR_EVER;
    },
  }));
  expect(run.result).toBeUndefined();
  expect({ left, running }).toEqual({ left: [], running: 0 });
});

test("a run that is interrupted while the fault judges has no result and leaves nothing behind", async () => {
  const { run, left, running } = await giveUpAt((reached) => ({
    run: async () => {},
    judge: (context) => {
      reached(context);
      return FOR_EVER;
    },
  }));
  expect(run.result).toBeUndefined();
  expect({ left, running }).toEqual({ left: [], running: 0 });
});

test("a run that is interrupted while its servers start ends them and begins nothing", async () => {
  const interruption = new AbortController();
  let ended = false;
  const fault: Fault = {
    ...FAULT,
    servers: async (shared, resources) => {
      resources.defer(() => {
        ended = true;
      });
      interruption.abort(new Error("interrupted"));
      return shared;
    },
  };
  const run = await runUnlessAborted(fault, 1, inject("stack"), interruption.signal);
  expect({ ...run, ended }).toEqual({ result: undefined, logs: [], ended: true });
});

test("a run that fails by itself has a result, and the whole logs of its connectors", async () => {
  const fault: Fault = { ...FAULT, run: () => Promise.reject(new Error("not as it should be")) };
  const { result, logs } = await runUnlessAborted(fault, 1, inject("stack"), new AbortController().signal);
  expect(result?.complaints[0]).toContain("not as it should be");
  expect(logs.map((log) => log.split("\n")[0])).toEqual([
    expect.stringMatching(/^== source, process \d+ ==$/),
    expect.stringMatching(/^== sink, process \d+ ==$/),
  ]);
});
