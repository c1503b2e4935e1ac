import { parseArgs } from "node:util";
import type { Random } from "../../support/random.ts";
import { HUGE } from "../catalogue/transactions.ts";
import type { Fault, FaultResult } from "./fault.ts";

/** Rows of the huge transaction where nobody asks for another number; the table counts runs of so many. */
export const HUGE_ROWS = 2_000_000;
/** It takes a quarter of an hour, so who gives less time than this must ask for it. */
const HUGE_MINUTES = 60;
const DEFAULT_MINUTES = 10;
const MAX_SEED = 0xffffffff;

/** What the command line asks for. */
export interface Settings {
  /** No run begins later than this after the servers answer. Infinity where only `runs` ends it. */
  readonly minutes: number;
  /** Faults whose id it matches. */
  readonly only: RegExp | undefined;
  /** Of every run; each run has one of its own where it is undefined. */
  readonly seed: number | undefined;
  /** How often each fault is run. Infinity where only `minutes` ends it. */
  readonly runs: number;
  /** Rows of the huge transaction; undefined where nobody gave a number. */
  readonly hugeRows: number | undefined;
  /** Directory of the results. */
  readonly out: string;
  /** Files with results of earlier runs that the page does not count yet. */
  readonly merge: readonly string[];
  /** Adds the runs to those that docs/faults.md counts. */
  readonly page: boolean;
  /** A fault that is left out because something is missing is a failure. */
  readonly strict: boolean;
}

/** A command line that cannot be followed; the message says why, for a person. */
export class WrongInput extends Error {}

/** Reads the command line. Throws WrongInput. */
export function settingsOf(args: readonly string[]): Settings {
  const values = parsed(args);
  const runs = values.runs === undefined ? undefined : wholeNumber("--runs", values.runs);
  const hugeRows = values.huge === undefined ? 0 : wholeNumber("--huge", values.huge);
  if (values.page && hugeRows > 0 && hugeRows !== HUGE_ROWS)
    throw new WrongInput(`--page counts huge transactions of ${HUGE_ROWS} rows only, not of ${hugeRows}`);
  return {
    minutes: minutesOf(values.minutes, runs),
    only: values.only === undefined ? undefined : patternOf(values.only),
    seed: values.seed === undefined ? undefined : wholeNumber("--seed", values.seed, MAX_SEED),
    runs: runs ?? Number.POSITIVE_INFINITY,
    hugeRows: hugeRows === 0 ? undefined : hugeRows,
    out: values.out,
    merge: values.merge,
    page: values.page,
    strict: values.strict,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: { type: "string" },
        only: { type: "string" },
        seed: { type: "string" },
        runs: { type: "string" },
        huge: { type: "string" },
        out: { type: "string", default: "fault-results" },
        merge: { type: "string", multiple: true, default: [] },
        page: { type: "boolean", default: false },
        strict: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new WrongInput((error as Error).message.replaceAll("\n", " "));
  }
}

/** Without a word about time, runs that were asked for by number are all made. */
function minutesOf(given: string | undefined, runs: number | undefined): number {
  if (given === undefined) return runs === undefined ? DEFAULT_MINUTES : Number.POSITIVE_INFINITY;
  const minutes = /^\d+(\.\d+)?$/.test(given) ? Number(given) : 0;
  if (minutes === 0) throw new WrongInput(`--minutes takes a number above 0, not "${given}"`);
  return minutes;
}

function wholeNumber(option: string, given: string, max = Number.MAX_SAFE_INTEGER): number {
  const value = Number(given);
  if (/^\d+$/.test(given) && value <= max) return value;
  const limit = max === Number.MAX_SAFE_INTEGER ? "" : ` up to ${max}`;
  throw new WrongInput(`${option} takes a whole number${limit}, not "${given}"`);
}

function patternOf(given: string): RegExp {
  try {
    return new RegExp(given);
  } catch (error) {
    throw new WrongInput(`--only takes a regular expression, not "${given}": ${(error as Error).message}`);
  }
}

/** The faults that are asked for. The huge transaction is not among "all" in little time. Throws WrongInput for none. */
export function chosen(faults: readonly Fault[], settings: Settings): readonly Fault[] {
  const { only } = settings;
  const found = faults.filter(
    ({ id }) => (only === undefined || only.test(id)) && (id !== HUGE || wantsHuge(settings)),
  );
  if (found.length === 0) throw new WrongInput(`--only ${only?.source}: no fault has an id that matches`);
  return found;
}

function wantsHuge({ only, hugeRows, minutes }: Settings): boolean {
  return isNamed(only) || hugeRows !== undefined || (minutes >= HUGE_MINUTES && Number.isFinite(minutes));
}

function isNamed(only: RegExp | undefined): boolean {
  return only?.test(HUGE) === true;
}

/**
 * The order of one round, counted from 1; empty when there is nothing left to do. Those with the fewest runs so far come
 * first, so that none is out of reach however little time there is; chance decides between equals.
 */
export function orderOf(
  round: number,
  faults: readonly Fault[],
  settings: Settings,
  runsOf: (id: string) => number,
  random: Random,
): readonly Fault[] {
  return faults
    .filter(({ id }) => round <= (id === HUGE ? hugeRuns(settings) : settings.runs))
    .map((fault) => ({ fault, runs: runsOf(fault.id), chance: random.next() }))
    .sort((a, b) => a.runs - b.runs || a.chance - b.chance)
    .map(({ fault }) => fault);
}

/** Once, or it would take most of the time; more often only for who asks for it and says how often. */
function hugeRuns({ only, hugeRows, runs }: Settings): number {
  const isAskedFor = isNamed(only) || hugeRows !== undefined;
  return isAskedFor && Number.isFinite(runs) ? runs : Math.min(runs, 1);
}

/** The command that repeats a run. */
export function commandFor({ id, seed }: FaultResult, { hugeRows }: Settings): string {
  const rows = id === HUGE && hugeRows !== undefined ? ` --huge ${hugeRows}` : "";
  return `npm run test:faults -- --only '^${id}$' --seed ${seed} --runs 1${rows}`;
}

/** What came of an invocation. */
export interface Outcome {
  readonly made: readonly FaultResult[];
  /** Why faults that were asked for cannot be made on this machine, by id. */
  readonly leftOut: ReadonlyMap<string, string>;
  /** Errors that nobody waited for. */
  readonly strays: number;
  readonly wasInterrupted: boolean;
}

/** For the shell: 130 when interrupted, 1 for a failure or when nothing was tested, else 0. */
export function exitCodeOf(outcome: Outcome, { runs, strict }: Settings): number {
  const { made, leftOut, strays, wasInterrupted } = outcome;
  if (wasInterrupted) return 130;
  // Nothing but the page was wanted.
  if (runs === 0) return 0;
  const isWell =
    made.length > 0 && made.every(({ passed }) => passed) && strays === 0 && !(strict && leftOut.size > 0);
  return isWell ? 0 : 1;
}

/** What a person is told in the end; the verdict last. */
export function summary(outcome: Outcome, faults: readonly Fault[], settings: Settings): string {
  const { made, leftOut, strays, wasInterrupted } = outcome;
  const failed = made.filter(({ passed }) => !passed);
  const ran = new Set(made.map(({ id }) => id));
  const notReached = faults.map(({ id }) => id).filter((id) => !ran.has(id) && !leftOut.has(id));
  const lines: string[] = [];
  if (notReached.length > 0) {
    const when = wasInterrupted ? "before the interruption" : `in ${settings.minutes} min`;
    lines.push(`${notReached.length} not reached ${when}: ${notReached.join(", ")}`);
  }
  if (leftOut.size > 0) {
    lines.push(`${leftOut.size} left out because something is missing:`);
    for (const [id, reason] of leftOut) lines.push(`    ${id}: ${reason}`);
  }
  if (strays > 0) lines.push(`${strays} errors that nobody waited for, see above`);
  if (failed.length > 0) lines.push("what failed is run again by:");
  for (const each of failed) lines.push(`    ${commandFor(each, settings)}`);
  lines.push(`${made.length - failed.length} passed, ${failed.length} failed`);
  return lines.join("\n");
}
