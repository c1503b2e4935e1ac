import { untilAborted } from "../../../shared/lifecycle/abort.ts";
import type { SpawnedConnector } from "../../support/connector.ts";
import { type Fault, type FaultContext, type FaultResult, runFault } from "./fault.ts";
import type { FaultServers } from "./pipeline.ts";

/** What came of one run. */
export interface Run {
  /** Undefined when it was given up: it then says nothing about the connectors. */
  readonly result: FaultResult | undefined;
  /** Of every connector process, the whole log; none of a run that failed before its connectors were ready. */
  readonly logs: readonly string[];
}

/**
 * Runs one fault. When the signal is aborted before the fault is over, the run is given up; a run whose fault is over is
 * judged to its end. Either way it resolves once all that the run has made is disposed of. Never throws.
 */
export async function runUnlessAborted(
  fault: Fault,
  seed: number,
  servers: FaultServers,
  signal: AbortSignal,
): Promise<Run> {
  let isGivenUp = false;
  let processes: readonly SpawnedConnector[] = [];
  const giveUpWhenAborted = (): void => {
    if (!signal.aborted) return;
    isGivenUp = true;
    throw signal.reason;
  };
  /** Work that is given up goes on unheeded until what it works with is gone. */
  const heed = async <T>(context: FaultContext, work: () => Promise<T>): Promise<T> => {
    processes = context.pipeline.processes;
    giveUpWhenAborted();
    try {
      return await untilAborted(work(), signal);
    } catch (error) {
      // A connector that hangs would be asked for its last words, and waited for.
      if (signal.aborted) await Promise.all(processes.map((each) => each.kill()));
      giveUpWhenAborted();
      throw error;
    }
  };
  const { judge } = fault;
  const heeding: Fault = {
    ...fault,
    servers: async (shared, resources) => {
      try {
        return (await fault.servers?.(shared, resources)) ?? shared;
      } finally {
        giveUpWhenAborted();
      }
    },
    run: (context) => heed(context, () => fault.run(context)),
    ...(judge === undefined ? {} : { judge: (context) => heed(context, () => judge(context)) }),
  };
  const result = await runFault(heeding, seed, servers);
  return {
    result: isGivenUp ? undefined : result,
    logs: processes.map(({ kind, pid, log }) => [`== ${kind}, process ${pid} ==`, ...log].join("\n")),
  };
}
