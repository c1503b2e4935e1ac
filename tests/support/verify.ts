import type { PairReport } from "../../cli/verify/pair-report.ts";
import { type CliResult, runCliHere } from "./run-cli.ts";

/** Runs `verify` in this process. */
export function runVerify(manifestPath: string, ...flags: string[]): Promise<CliResult> {
  return runCliHere(["verify", manifestPath, ...flags]);
}

/** Runs `verify --json`; gives the exit code and the comparisons. */
export async function verifyJson(
  manifestPath: string,
  ...flags: string[]
): Promise<{ exitCode: number; comparisons: PairReport[] }> {
  const { exitCode, stdout, stderr } = await runVerify(manifestPath, "--json", ...flags);
  const { comparisons, error } = JSON.parse(stdout) as { comparisons?: PairReport[]; error?: object };
  if (comparisons === undefined) throw new Error(`${JSON.stringify(error)} ${stderr}`);
  return { exitCode, comparisons };
}

/** What is wrong in a comparison, without what is empty; `{}` when all is equal. */
export function faultsOf(report: PairReport): object {
  const { missing, extra, different, undecodable, unsettled, error, incomparable } = report;
  const found = { missing, extra, different, undecodable, unsettled };
  const counted = Object.entries(found).filter(([, each]) => each !== null && each.count > 0);
  return {
    ...Object.fromEntries(counted.map(([name, each]) => [name, each?.first])),
    ...(error === null ? {} : { error: error.code }),
    ...(incomparable === null ? {} : { incomparable }),
  };
}
