import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { describeError, RejotError } from "../shared/errors/error.ts";
import { ERRORS } from "../shared/errors/table.ts";
import type { Delivery, Participant } from "./participants/participant.ts";
import { DELIVERIES, PARTS, type Part } from "./plan.ts";
import { profile } from "./profile/profile.ts";
import { renderProfile } from "./profile/render.ts";
import { renderMarkdown } from "./report/markdown.ts";
import { runSuite } from "./suite.ts";
import { MARKER_ROWS, WORKLOADS, type Workload } from "./workload/accounts.ts";

const RESULTS = fileURLToPath(new URL("results", import.meta.url));
const PARTICIPANTS: readonly Participant["name"][] = ["rejot-kafka", "debezium"];
/** Fewer changes than this are only the marker rows and some. */
const FEWEST_ROWS = 10 * MARKER_ROWS;

const program = new Command("npm run bench --")
  .description(
    "Measures our connectors side by side with Debezium's on real servers, one after the other, and writes the figures into bench/results/. Takes about half an hour with the defaults, on a machine that does nothing else.",
  )
  .option("--rows <n>", "changes in each backlog", integer(FEWEST_ROWS), 300_000)
  .option("--rounds <n>", "runs of each participant", integer(1), 3)
  .addOption(list("--parts <list>", "what to measure", PARTS))
  .addOption(
    list(
      "--workloads <list>",
      "how changes are cut into transactions",
      WORKLOADS.map(({ name }) => name),
    ),
  )
  .addOption(list("--delivery <list>", "what sources promise", DELIVERIES))
  .addOption(list("--participants <list>", "who takes part", PARTICIPANTS))
  .option("--run-timeout <seconds>", "a run that takes longer has failed", integer(1), 600)
  .option("--out <directory>", "where the figures go", RESULTS)
  .action(async (options: RunFlags) => {
    const report = await runSuite({
      ...options,
      deliveries: options.delivery,
      workloads: WORKLOADS.filter(({ name }) => options.workloads.includes(name)),
      runTimeoutMs: options.runTimeout * 1000,
      env: process.env,
      onProgress,
    });
    const page = renderMarkdown(report);
    await mkdir(options.out, { recursive: true });
    const path = join(options.out, `${report.environment.date}-${options.rows}`);
    await writeFile(`${path}.json`, `${JSON.stringify(report, null, 2)}\n`);
    await writeFile(`${path}.md`, page);
    console.log(page);
    console.error(`written to ${path}.md and .json`);
    if (report.measurements.some(({ figures }) => figures === null)) process.exitCode = 1;
  });

program
  .command("profile")
  .description("Runs one of our connectors under V8's profiler and prints where its time goes.")
  .addArgument(new Argument("<part>", "which connector").choices([...PARTS]))
  .option("--rows <n>", "changes in the backlog", integer(FEWEST_ROWS), 100_000)
  .addOption(
    new Option("--workload <name>", "how changes are cut into transactions")
      .choices(WORKLOADS.map(({ name }) => name))
      .default("small"),
  )
  .option("--run-timeout <seconds>", "the run has failed when it takes longer", integer(1), 600)
  .option("--top <n>", "how many functions are printed", integer(1), 30)
  .option("--out <directory>", "where the profile is kept", join(tmpdir(), "rejot-kafka-profiles"))
  .action(async (part: Part, options: ProfileFlags) => {
    const profiled = await profile({
      part,
      rows: options.rows,
      workload: WORKLOADS.find(({ name }) => name === options.workload) as Workload,
      runTimeoutMs: options.runTimeout * 1000,
      directory: options.out,
      env: process.env,
      onProgress,
    });
    console.log(renderProfile(profiled, options.top));
    console.error(`the profile is ${profiled.path}`);
  });

interface RunFlags {
  readonly rows: number;
  readonly rounds: number;
  readonly parts: Part[];
  readonly workloads: string[];
  readonly delivery: Delivery[];
  readonly participants: Participant["name"][];
  readonly runTimeout: number;
  readonly out: string;
}

interface ProfileFlags {
  readonly rows: number;
  readonly workload: string;
  readonly runTimeout: number;
  readonly top: number;
  readonly out: string;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  // The guardian process ends the servers and removes their data.
  process.once(signal, () => process.exit(130));
}
// kafkajs computes a negative delay whenever its queue is empty.
process.removeAllListeners("warning");

try {
  // Positional: both commands have options of the same name.
  await program.enablePositionalOptions().parseAsync();
} catch (error) {
  console.error(describeError(error));
  process.exitCode = error instanceof RejotError ? ERRORS[error.code].exitCode : 1;
}
// Connections of the clients may still be open.
process.exit();

function onProgress(line: string): void {
  console.error(line);
}

function integer(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least)
      throw new InvalidArgumentError(`It must be a whole number of ${least} or more.`);
    return value;
  };
}

function list<T extends string>(flags: string, description: string, all: readonly T[]): Option {
  return new Option(flags, `${description}: ${all.join(", ")}`)
    .default([...all], all.join(","))
    .argParser((text) => {
      const chosen = text.split(",") as T[];
      if (!chosen.every((item) => all.includes(item)))
        throw new InvalidArgumentError(`Allowed, with commas between: ${all.join(", ")}.`);
      return chosen;
    });
}
