import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { OnProgress } from "../../compose/dev-stack/downloads.ts";
import { startStack } from "../../compose/dev-stack/stack.ts";
import { createTopic, TopicReader } from "../measure/kafka-topic.ts";
import type { Ground } from "../participants/participant.ts";
import { rejot } from "../participants/rejot.ts";
import type { Part } from "../plan.ts";
import type { Figures } from "../report/measurement.ts";
import { runSink } from "../runs/sink-run.ts";
import { runSource } from "../runs/source-run.ts";
import { benchKafka, POSTGRES_SETTINGS } from "../suite.ts";
import type { Workload } from "../workload/accounts.ts";
import { createAccounts, writeWorkload } from "../workload/postgres-workload.ts";
import { type CpuProfile, type ProfileSummary, summarizeProfile } from "./cpu-profile.ts";

/** What is to be profiled. */
export interface ProfileOptions {
  readonly part: Part;
  readonly rows: number;
  readonly workload: Workload;
  readonly runTimeoutMs: number;
  /** Where the profile is kept, for a viewer such as Chrome's. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onProgress: OnProgress;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/**
 * Runs one of our connectors under V8's profiler on a backlog, and sums its profile up: until its first event, and
 * from then to the last.
 */
export async function profile(
  options: ProfileOptions,
): Promise<{ figures: Figures; start: ProfileSummary; stream: ProfileSummary; path: string }> {
  const { part, rows, workload, runTimeoutMs, env, onProgress } = options;
  await mkdir(options.directory, { recursive: true });
  const earlier = await profilesIn(options.directory);
  await using stack = await startStack({ env, onProgress, postgresSettings: POSTGRES_SETTINGS });
  const ground: Ground = { stack, directory: join(stack.directory, "bench") };
  await mkdir(ground.directory);
  const kafka = benchKafka(ground);
  await using reader = new TopicReader(kafka, stack.registry.url);
  onProgress(`writing ${rows} changes in ${workload.title}`);
  const database = await writeWorkload(stack.postgres, "bench_profile", workload, rows, ["profile"]);
  const plain = rejot(ground);
  const underProfiler = rejot(ground, ["--cpu-prof", `--cpu-prof-dir=${options.directory}`]);
  const source = part === "source" ? underProfiler : plain;
  const task = { run: "profile", database, slot: "profile", delivery: "exactly-once" } as const;
  await createTopic(kafka, source.topicOf(task.run));
  onProgress("publishing");
  let figures = await runSource(source, task, reader, AbortSignal.timeout(runTimeoutMs));
  if (part === "sink") {
    const sink = { run: "profile_sink", publishedBy: task.run, destination: "copy_profile" };
    await createAccounts(stack.postgres, sink.destination);
    onProgress("applying");
    const signal = AbortSignal.timeout(runTimeoutMs);
    figures = await runSink(underProfiler, sink, database, stack.postgres, signal);
  }
  const path = await largestNew(options.directory, earlier);
  const profiled = JSON.parse(await readFile(path, "utf8")) as CpuProfile;
  const [firstMs, lastMs] = [figures.startSeconds * 1000, figures.totalSeconds * 1000];
  return {
    figures,
    start: summarizeProfile(profiled, ROOT, { fromMs: 0, toMs: firstMs }),
    stream: summarizeProfile(profiled, ROOT, { fromMs: firstMs, toMs: lastMs }),
    path,
  };
}

async function profilesIn(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.endsWith(".cpuprofile"));
}

/** Every thread leaves a profile; the main one's is by far the largest. The others are removed. */
async function largestNew(directory: string, earlier: readonly string[]): Promise<string> {
  const names = (await profilesIn(directory)).filter((name) => !earlier.includes(name));
  const files = await Promise.all(
    names.map(async (name) => {
      const path = join(directory, name);
      return { path, length: (await readFile(path)).length };
    }),
  );
  const [largest, ...others] = files.sort((a, b) => b.length - a.length);
  if (largest === undefined) throw new Error(`the process left no profile in ${directory}`);
  await Promise.all(others.map(({ path }) => rm(path)));
  return largest.path;
}
