import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Kafka, logLevel } from "kafkajs";
import { cacheDirectory, fetchPart, type OnProgress } from "../compose/dev-stack/downloads.ts";
import { findJava } from "../compose/dev-stack/java.ts";
import { startStack } from "../compose/dev-stack/stack.ts";
import { createTopic, deleteTopics, TopicReader } from "./measure/kafka-topic.ts";
import { debezium } from "./participants/debezium.ts";
import type { Delivery, Ground, Participant } from "./participants/participant.ts";
import { rejot } from "./participants/rejot.ts";
import { fetchPeers } from "./peers/downloads.ts";
import { type Part, type PlannedRun, planRuns } from "./plan.ts";
import { environmentOf } from "./report/environment.ts";
import type { Report } from "./report/markdown.ts";
import type { Figures, Measurement } from "./report/measurement.ts";
import { runSink } from "./runs/sink-run.ts";
import { runSource } from "./runs/source-run.ts";
import type { Workload } from "./workload/accounts.ts";
import {
  checkpoint,
  connect,
  createAccounts,
  dropDatabase,
  dropSlot,
  type WrittenDatabase,
  writeWorkload,
} from "./workload/postgres-workload.ts";

/** What a benchmark is to do. */
export interface SuiteOptions {
  readonly rows: number;
  readonly rounds: number;
  readonly parts: readonly Part[];
  readonly workloads: readonly Workload[];
  readonly deliveries: readonly Delivery[];
  readonly participants: readonly Participant["name"][];
  /** A run that takes longer has failed. */
  readonly runTimeoutMs: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onProgress: OnProgress;
}

/** Checkpoints in the middle of a run would hit one participant and not the other. */
export const POSTGRES_SETTINGS = {
  max_wal_size: "8GB",
  checkpoint_timeout: "1h",
  shared_buffers: "512MB",
};

/** Runs everything on one stack, one after the other. A run that fails is a measurement that says so. */
export async function runSuite(options: SuiteOptions): Promise<Report> {
  const { env, onProgress } = options;
  const java = await findJava(env);
  const cacheDir = cacheDirectory(env);
  const peers = await fetchPeers(cacheDir, onProgress);
  await using stack = await startStack({ env, onProgress, postgresSettings: POSTGRES_SETTINGS });
  const ground: Ground = { stack, directory: join(stack.directory, "bench") };
  await mkdir(ground.directory);
  const kafkaJars = await fetchPart("kafka", cacheDir, onProgress);
  const environment = await environmentOf({ kafka: kafkaJars, peers }, java, await postgresVersion(ground));
  const suite = new Suite(options, ground, [rejot(ground), debezium(ground, java, peers)]);
  for (const workload of options.workloads) await suite.runWorkload(workload);
  return { environment, rowBytes: suite.rowBytes, rounds: options.rounds, measurements: suite.measurements };
}

/** A silent client for topics of the stack. */
export function benchKafka({ stack }: Ground): Kafka {
  return new Kafka({ clientId: "bench", brokers: stack.kafka.brokers, logLevel: logLevel.NOTHING });
}

async function postgresVersion({ stack }: Ground): Promise<string> {
  await using client = await connect(stack.postgres, "postgres");
  const { rows } = await client.query<{ server_version: string }>("SHOW server_version");
  return rows[0]?.server_version ?? "unknown";
}

class Suite {
  readonly measurements: Measurement[] = [];
  rowBytes = 0;
  readonly #options: SuiteOptions;
  readonly #ground: Ground;
  readonly #kafka: Kafka;
  readonly #participants: readonly Participant[];

  constructor(options: SuiteOptions, ground: Ground, participants: readonly Participant[]) {
    this.#options = options;
    this.#ground = ground;
    this.#kafka = benchKafka(ground);
    this.#participants = participants;
  }

  async runWorkload(workload: Workload): Promise<void> {
    const { parts, participants, deliveries, rounds, rows, onProgress } = this.#options;
    const { postgres } = this.#ground.stack;
    const plan = (part: Part, which: readonly Delivery[]) =>
      parts.includes(part) ? planRuns(`${workload.name}_${part}`, participants, which, rounds) : [];
    const sources = plan("source", deliveries);
    const sinks = plan("sink", ["exactly-once"]);
    const fill = `${workload.name}_fill`;
    const slots = [...sources.map(({ run }) => run), ...(sinks.length > 0 ? [fill] : [])];
    onProgress(`writing ${rows} changes in ${workload.title}`);
    const database = await writeWorkload(postgres, `bench_${workload.name}`, workload, rows, slots);
    this.rowBytes = database.rowBytes;
    for (const planned of sources) await this.#measureSource(planned, workload, database);
    if (sinks.length > 0) {
      onProgress("filling the topic that the sinks read");
      const ours = this.#participant("rejot-kafka");
      const filled = this.#publish(ours, fill, "exactly-once", database);
      // Without a topic every sink's run has failed, and the figures of the sources are still worth having.
      await filled.catch(() => {});
      for (const planned of sinks) await this.#measureSink(planned, workload, database, fill, filled);
      await deleteTopics(this.#kafka, [ours.topicOf(fill)]);
    }
    await dropDatabase(postgres, database.name);
  }

  async #measureSource(planned: PlannedRun, workload: Workload, database: WrittenDatabase): Promise<void> {
    const participant = this.#participant(planned.participant);
    const { delivery, run } = planned;
    await this.#record({ ...place("source", planned, workload), delivery }, async () => {
      const figures = await this.#publish(participant, run, delivery, database);
      await deleteTopics(this.#kafka, [participant.topicOf(run)]);
      return figures;
    });
  }

  async #publish(
    participant: Participant,
    run: string,
    delivery: Delivery,
    database: WrittenDatabase,
  ): Promise<Figures> {
    const { postgres, registry } = this.#ground.stack;
    await createTopic(this.#kafka, participant.topicOf(run));
    await checkpoint(postgres);
    // One for each run: kafkajs cannot refresh its metadata any more once a topic it knows is deleted.
    await using reader = new TopicReader(this.#kafka, registry.url);
    const signal = AbortSignal.timeout(this.#options.runTimeoutMs);
    try {
      return await runSource(participant, { run, database, slot: run, delivery }, reader, signal);
    } finally {
      await dropSlot(postgres, run);
    }
  }

  async #measureSink(
    planned: PlannedRun,
    workload: Workload,
    database: WrittenDatabase,
    publishedBy: string,
    filled: Promise<unknown>,
  ): Promise<void> {
    const { postgres } = this.#ground.stack;
    const { run } = planned;
    const destination = `copy_${run}`;
    await createAccounts(postgres, destination);
    await checkpoint(postgres);
    const signal = AbortSignal.timeout(this.#options.runTimeoutMs);
    await this.#record({ ...place("sink", planned, workload), delivery: "upsert" }, async () => {
      await filled;
      const participant = this.#participant(planned.participant);
      return runSink(participant, { run, publishedBy, destination }, database, postgres, signal);
    });
    await dropDatabase(postgres, destination);
  }

  async #record(
    what: Omit<Measurement, "events" | "figures" | "failure">,
    measure: () => Promise<Figures>,
  ): Promise<void> {
    const { rows, onProgress } = this.#options;
    const title = `${what.part}, ${what.workload}, ${what.delivery}, round ${what.round}, ${what.participant}`;
    let figures: Figures | null = null;
    let failure: string | null = null;
    try {
      figures = await measure();
      onProgress(
        `${title}: ${figures.eventsPerSecond} events/s, warm ${figures.warmEventsPerSecond}, ` +
          `first after ${figures.startSeconds} s, CPU ${figures.cpuSeconds} s, ${figures.peakRssMegabytes} MB`,
      );
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
      onProgress(`${title}: failed: ${failure}`);
    }
    this.measurements.push({ ...what, events: rows, figures, failure });
  }

  #participant(name: Participant["name"]): Participant {
    return this.#participants.find((participant) => participant.name === name) as Participant;
  }
}

function place(part: Part, { round, participant }: PlannedRun, workload: Workload) {
  return { part, workload: workload.name, round, participant };
}
