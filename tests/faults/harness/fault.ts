import { setTimeout as delay } from "node:timers/promises";
import type { ConnectorStatus } from "../../../shared/http/status.ts";
import type { SpawnedConnector } from "../../support/connector.ts";
import { kafkaAdmin } from "../../support/kafka.ts";
import type { Random } from "../../support/random.ts";
import { randomOf } from "../../support/random.ts";
import { Confirmations } from "./confirmations.ts";
import { type Complaints, checkTopics, checkVerify, compareDatabases, compareOrder } from "./oracle.ts";
import { type FaultServers, Pipeline, type PipelineOptions } from "./pipeline.ts";
import { startWorkload, type Workload } from "./workload.ts";

/** What a fault works on. */
export interface FaultContext {
  readonly pipeline: Pipeline;
  readonly workload: Workload;
  readonly random: Random;
  readonly servers: FaultServers;
  /** Lets the fault last. */
  last(ms: number): Promise<void>;
}

/** One kind of fault; everything random in it comes from the seed. */
export interface Fault {
  /** Unique, for the command line and the table. */
  readonly id: string;
  /** The paragraph of the list of faults. */
  readonly group: string;
  readonly title: string;
  /** With a seed, it is made in every test run. */
  readonly quickSeed?: number;
  readonly options?: (servers: FaultServers) => Partial<PipelineOptions> | Promise<Partial<PipelineOptions>>;
  /** Why it cannot be made on this machine; undefined when it can. */
  readonly missing?: () => Promise<string | undefined>;
  /** Servers of its own, ended after the run. */
  readonly servers?: (shared: FaultServers, resources: AsyncDisposableStack) => Promise<FaultServers>;
  /** How long the pipeline may take to catch up once the fault is over. Default 90,000. */
  readonly recoveryMs?: number;
  /** Keys of the items' topic that a foreign producer gives values, which `verify` must name. Default 0. */
  readonly foreignKeys?: number;
  /** What must hold before and after, instead of what the oracle says: for faults that must stop a connector. */
  readonly judge?: (context: FaultContext) => Promise<Verdict>;
  /** Connectors that the fault makes end: they name what is wrong and wait for a person. Default none. */
  readonly mayEnd?: readonly ("source" | "sink")[];
  /** Events may come again, at later offsets: the topics are not judged, what is applied is. */
  readonly mayRepeat?: boolean;
  /** The slot is lost, and another one begins behind the gap. */
  readonly replacesSlot?: boolean;
  /** Makes the fault and ends it. A throw is a failure of the run. */
  run(context: FaultContext): Promise<void>;
}

/** What is found in the end, and how long it took until source and destination were equal. */
export interface Verdict {
  readonly complaints: Complaints;
  readonly recoveredMs: number;
}

/** What one run of a fault came to. */
export interface FaultResult {
  readonly id: string;
  readonly seed: number;
  readonly passed: boolean;
  readonly complaints: readonly string[];
  /** Committed transactions of the workload. */
  readonly transactions: number;
  /** From the end of the fault until the destination equals the source. */
  readonly recoveredMs: number;
  readonly seconds: number;
}

const WARM_UP_TRANSACTIONS = 20;
const RECOVERY_MS = 90_000;
/** A fault takes a minute or two, and a transaction of two million rows some more. */
const RUN_MS = 1_500_000;
const HEALTH_MS = 20_000;
const POLL_MS = 200;

/** Runs one fault under load, and lets the oracle judge. Never throws: what goes wrong is in the result. */
export async function runFault(fault: Fault, seed: number, shared: FaultServers): Promise<FaultResult> {
  const startedAt = Date.now();
  const random = randomOf(seed);
  let transactions = 0;
  let recoveredMs = 0;
  const complaints: string[] = [];
  try {
    await using resources = new AsyncDisposableStack();
    const servers = (await fault.servers?.(shared, resources)) ?? shared;
    const pipeline = resources.use(await Pipeline.create({ servers, ...(await fault.options?.(servers)) }));
    try {
      await pipeline.startBoth();
      // A row that changes meanwhile may come twice, which the oracle must not take for a fault.
      await pipeline.untilBackfilled();
      const confirmations = resources.use(new Confirmations(pipeline));
      const workload = startWorkload(pipeline.database, random.fork());
      resources.defer(() => workload.stop().catch(() => {}));
      await until(() => workload.committed >= WARM_UP_TRANSACTIONS, 30_000, "the workload to begin");
      const context: FaultContext = { pipeline, workload, random, servers, last: (ms) => delay(ms) };
      await inTime(fault.run(context), RUN_MS, "the fault to be over");
      await workload.stop();
      transactions = workload.committed;
      const verdict = await (fault.judge?.(context) ?? judge(pipeline, fault));
      recoveredMs = verdict.recoveredMs;
      complaints.push(...verdict.complaints);
      if (fault.replacesSlot !== true) complaints.push(...(await confirmations.complaints()));
      complaints.push(...pipeline.endedByThemselves(fault.mayEnd));
    } catch (error) {
      complaints.push(wordsOf(error));
    }
    // While the connectors still run.
    if (complaints.length > 0) complaints.push(await lastWords(pipeline));
  } catch (error) {
    complaints.push(wordsOf(error));
  }
  return {
    id: fault.id,
    seed,
    passed: complaints.length === 0,
    complaints,
    transactions,
    recoveredMs,
    seconds: (Date.now() - startedAt) / 1000,
  };
}

/** Gives up waiting for what never ends, such as a message that never comes. */
export function inTime<T>(work: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`after ${timeoutMs} ms still waiting for ${what}`)),
    timeoutMs,
  );
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** The role of a connector's only unit. */
export async function roleOf(connector: SpawnedConnector): Promise<string | undefined> {
  return (await connector.status()).units[0]?.role;
}

/** How many sinks the group has; 0 while it is not stable. */
export async function membersOf({ pipeline, servers }: FaultContext): Promise<number> {
  await using admin = await kafkaAdmin(servers.brokers);
  const { groups } = await admin.describeGroups([pipeline.group]);
  return groups[0]?.state === "Stable" ? groups[0].members.length : 0;
}

/** Waits until a condition holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  what: string,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    if (await Promise.resolve(condition()).catch(() => false)) return;
    if (Date.now() > deadline) throw new Error(`after ${timeoutMs} ms still waiting for ${what}`);
    await delay(POLL_MS);
  }
}

async function judge(
  pipeline: Pipeline,
  { recoveryMs = RECOVERY_MS, foreignKeys, mayRepeat }: Fault,
): Promise<Verdict> {
  const verdict = await untilEqual(pipeline, recoveryMs, () => compareDatabases(pipeline));
  if (verdict.complaints.length > 0) return verdict;
  const complaints = [
    ...(await compareOrder(pipeline)),
    ...(mayRepeat === true ? [] : await checkTopics(pipeline)),
    ...(await health(pipeline)),
    ...(await checkVerify(pipeline, { foreignKeys })),
    // Nothing comes late, or again.
    ...(await compareDatabases(pipeline)),
  ];
  return { ...verdict, complaints };
}

/** Waits until nothing is found any more; connectors that have ended are started again, as an orchestrator does. */
export async function untilEqual(
  pipeline: Pipeline,
  timeoutMs: number,
  compare: () => Promise<Complaints>,
): Promise<Verdict> {
  const beganAt = performance.now();
  for (;;) {
    await pipeline.keepAlive();
    const complaints = await compare().catch((error: unknown) => [String(error)]);
    const recoveredMs = Math.round(performance.now() - beganAt);
    if (complaints.length === 0) return { complaints, recoveredMs };
    if (recoveredMs > timeoutMs)
      return { complaints: [`not equal after ${timeoutMs} ms`, ...complaints], recoveredMs };
    await delay(POLL_MS);
  }
}

/** Once all is through, both must say so. */
async function health(pipeline: Pipeline): Promise<Complaints> {
  const complaints: Complaints = [];
  for (const kind of ["source", "sink"] as const) {
    let last: ConnectorStatus | undefined;
    const isWell = async () => {
      last = await pipeline[kind]?.status();
      return last?.units.every((unit) => unit.role === "active" && unit.lastError === null) ?? false;
    };
    await until(isWell, HEALTH_MS, "health").catch(() => {
      complaints.push(`the ${kind} works, but does not say so: ${JSON.stringify(last?.units)}`);
    });
  }
  return complaints;
}

/** What the connectors say of themselves, for the one who looks into a failure. */
async function lastWords(pipeline: Pipeline): Promise<string> {
  const words: string[] = [];
  for (const kind of ["source", "sink"] as const) {
    const connector = pipeline[kind];
    if (connector === undefined) continue;
    const status = await connector.status().catch((error: unknown) => String(error));
    words.push(`${kind}: ${JSON.stringify(status)}`, connector.logTail());
  }
  return words.join("\n");
}
