import { readFile, writeFile } from "node:fs/promises";
import { startStack } from "../../compose/dev-stack/stack.ts";
import { describeError, RejotError } from "../../shared/errors/error.ts";
import { untilAborted } from "../../shared/lifecycle/abort.ts";
import type { StackAddresses } from "../support/global-stack.ts";
import { randomOf } from "../support/random.ts";
import { allFaults } from "./catalogue/all.ts";
import type { Fault, FaultResult } from "./harness/fault.ts";
import { runUnlessAborted } from "./harness/one-run.ts";
import {
  chosen,
  exitCodeOf,
  HUGE_ROWS,
  type Outcome,
  orderOf,
  type Settings,
  settingsOf,
  summary,
  WrongInput,
} from "./harness/plan.ts";
import { ResultFiles } from "./harness/result-files.ts";
import { counted, countsIn, withRuns } from "./harness/results.ts";

const PAGE = new URL("../../docs/faults.md", import.meta.url);
const MAX_OWN_SEED = 0x7fffffff;
/** npm passes Ctrl-C on to a process that the terminal has told already; within this time it is the same one. */
const SAME_SIGNAL_MS = 500;

const interruption = new AbortController();
let strays = 0;
listenForSignals();
listenForStrays();
process.exitCode = await main().catch(codeOf);
// All is disposed of by now; only work of a run that was given up may still wait for something.
process.exit();

async function main(): Promise<number> {
  const settings = settingsOf(process.argv.slice(2));
  const all = allFaults(settings.hugeRows ?? HUGE_ROWS);
  const faults = chosen(all, settings);
  const reading = settings.merge.map((file) => readJson<FaultResult[]>(file, "--merge"));
  const merged = (await Promise.all(reading)).flat();
  const leftOut = settings.runs === 0 ? new Map<string, string>() : await findMissing(faults);
  const results = new ResultFiles(settings.out, all);
  const possible = faults.filter(({ id }) => !leftOut.has(id));
  try {
    if (settings.runs > 0 && possible.length > 0) {
      const before = counted(merged, countsIn(await readFile(PAGE, "utf8")));
      await withServers((servers) => runAll(possible, settings, servers, results, before));
    }
  } finally {
    if (settings.page) await addToPage(all, [...merged, ...results.made]);
  }
  const { made } = results;
  const outcome: Outcome = { made, leftOut, strays, wasInterrupted: interruption.signal.aborted };
  if (settings.runs > 0) console.log(summary(outcome, faults, settings));
  if (made.length > 0) console.log(`results: ${results.file}`);
  return exitCodeOf(outcome, settings);
}

/** The first signal gives up the current run, whose databases, servers and files are removed; the second ends at once. */
function listenForSignals(): void {
  let firstAtMs = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (!interruption.signal.aborted) {
        firstAtMs = Date.now();
        console.error(
          "stopping once all that the current run has made is removed; a second signal leaves it",
        );
        interruption.abort(new Error(`interrupted by ${signal}`));
      } else if (Date.now() - firstAtMs > SAME_SIGNAL_MS) {
        // The guardian process ends what still runs.
        process.exit(130);
      }
    });
  }
}

/** What a run has left behind and fails later may not cut off the runs after it, nor what they dispose of. */
function listenForStrays(): void {
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (error: unknown) => {
      if (interruption.signal.aborted) return;
      strays++;
      console.error("an error that nobody waited for:", error);
    });
  }
}

function codeOf(error: unknown): number {
  if (interruption.signal.aborted) return 130;
  if (error instanceof WrongInput) console.error(error.message);
  else console.error(error instanceof RejotError ? describeError(error) : error);
  return error instanceof WrongInput ? 2 : 1;
}

async function readJson<T>(file: string, saidBy: string): Promise<T> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as T;
  } catch (error) {
    throw new WrongInput(`${saidBy} ${file}: ${(error as Error).message}`);
  }
}

/** Why faults cannot be made here, by id; said at once, as the end may be hours away. */
async function findMissing(faults: readonly Fault[]): Promise<ReadonlyMap<string, string>> {
  const reasons = new Map<string, string>();
  for (const { id, missing } of faults) {
    const reason = await missing?.();
    if (reason === undefined) continue;
    reasons.set(id, reason);
    console.log(`left out ${id}: ${reason}`);
  }
  return reasons;
}

async function withServers(work: (servers: StackAddresses) => Promise<void>): Promise<void> {
  const running = process.env.REJOT_TEST_STACK;
  if (running !== undefined) return work(await readJson<StackAddresses>(running, "REJOT_TEST_STACK"));
  const starting = startStack({
    env: process.env,
    onProgress: (line) => console.error(line),
    postgresSettings: { fsync: "off" },
  });
  await using stack = await untilAborted(starting, interruption.signal);
  const { host, port, user, password } = stack.postgres;
  await work({
    postgres: { host, port, user, password },
    brokers: stack.kafka.brokers,
    registryUrl: stack.registry.url,
  });
}

/** All of them, one after the other, and again with new seeds while there is time. */
async function runAll(
  faults: readonly Fault[],
  settings: Settings,
  servers: StackAddresses,
  results: ResultFiles,
  before: ReturnType<typeof counted>,
): Promise<void> {
  const deadline = Date.now() + settings.minutes * 60_000;
  const random = randomOf(settings.seed ?? Math.floor(Math.random() * MAX_OWN_SEED));
  for (let round = 1; ; round++) {
    const counts = counted(results.made, before);
    const order = orderOf(round, faults, settings, (id) => counts.get(id)?.runs ?? 0, random);
    if (order.length === 0) return;
    for (const fault of order) {
      if (Date.now() > deadline || interruption.signal.aborted) return;
      const seed = settings.seed ?? random.int(0, MAX_OWN_SEED);
      const { result, logs } = await runUnlessAborted(fault, seed, servers, interruption.signal);
      if (result === undefined) console.log(`given up ${fault.id} seed ${seed}`);
      else await results.add(result, logs);
    }
  }
}

async function addToPage(faults: readonly Fault[], made: readonly FaultResult[]): Promise<void> {
  const text = await readFile(PAGE, "utf8");
  await writeFile(PAGE, withRuns(text, faults, made));
}
