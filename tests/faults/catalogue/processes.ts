import type { SpawnedConnector } from "../../support/connector.ts";
import { type Fault, type FaultContext, until } from "../harness/fault.ts";
import type { Link } from "../harness/link.ts";
import type { WireMessage } from "../harness/wire.ts";

const KILLED = "1. Killed processes";
const STOPPED = "2. Processes that hang and wake";

interface Point {
  readonly id: string;
  readonly title: string;
  readonly kind: "source" | "sink";
  readonly quickSeed?: number;
  readonly links: (context: FaultContext) => readonly Link[];
  readonly matches: (message: WireMessage) => boolean;
}

const published = (name: string, direction: "request" | "answer") => (message: WireMessage) =>
  message.name === name && message.direction === direction && (name === "EndTxn" || message.text !== "");

const POINTS: readonly Point[] = [
  {
    id: "before-publish",
    title: "before its records reach Kafka",
    kind: "source",
    links: ({ pipeline }) => pipeline.links.sourceKafka,
    matches: published("Produce", "request"),
  },
  {
    id: "inside-transaction",
    title: "inside its Kafka transaction, records written",
    kind: "source",
    quickSeed: 21,
    links: ({ pipeline }) => pipeline.links.sourceKafka,
    matches: published("EndTxn", "request"),
  },
  {
    id: "before-confirm",
    title: "after its Kafka transaction, before the LSN is confirmed",
    kind: "source",
    quickSeed: 22,
    links: ({ pipeline }) => pipeline.links.sourceKafka,
    matches: published("EndTxn", "answer"),
  },
  {
    id: "while-transforming",
    title: "while its SQL runs",
    kind: "source",
    links: ({ pipeline }) => [pipeline.links.sourcePostgres],
    matches: ({ name, direction, text }) =>
      name === "Query" && direction === "request" && text.startsWith("BEGIN ISOLATION"),
  },
  {
    id: "before-apply",
    title: "before the destination's commit",
    kind: "sink",
    links: ({ pipeline }) => [pipeline.links.destinationPostgres],
    matches: ({ name, direction, text }) =>
      name === "Bind" && direction === "request" && text === "rejot_apply",
  },
  {
    id: "after-apply",
    title: "after the destination's commit, before it hears of it",
    kind: "sink",
    quickSeed: 23,
    links: ({ pipeline }) => [pipeline.links.destinationPostgres],
    matches: ({ name, direction, text }) =>
      name === "CommandComplete" && direction === "answer" && text === "rejot_apply",
  },
];

/** kill -9 exactly there, several times; `late` lets the message arrive when another process has taken over. */
function killAt(point: Point, late: boolean): Fault {
  return {
    id: `kill-${point.kind}-${point.id}${late ? "-late" : ""}`,
    group: KILLED,
    title: `kill -9 of the ${point.kind} ${point.title}${late ? "; the message arrives after the next one has begun" : ""}`,
    ...(point.quickSeed === undefined || late ? {} : { quickSeed: point.quickSeed }),
    async run(context) {
      const { pipeline, random, last } = context;
      for (let i = 0; i < 3; i++) {
        await last(random.int(0, 800));
        const holds = point.links(context).map((link) => link.hold(point.matches));
        await within(Promise.race(holds.map(({ reached }) => reached)), point.id);
        await pipeline[point.kind]?.kill();
        if (!late) for (const hold of holds) hold.release();
        const next = await pipeline.start(point.kind);
        await next.waitForReady();
        if (late) for (const hold of holds) hold.release();
      }
    },
  };
}

function within<T>(work: Promise<T>, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} was never reached`)), 30_000);
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}

const drains = (kind: "source" | "sink"): Fault => ({
  id: `sigterm-${kind}`,
  group: KILLED,
  title: `SIGTERM of the ${kind} under load: it drains and ends with 0`,
  async run({ pipeline, random, last }) {
    for (let i = 0; i < 4; i++) {
      await last(random.int(0, 1_000));
      // Before that, Node itself is still starting.
      await pipeline[kind]?.waitForLog("listening");
      const code = await pipeline[kind]?.kill("SIGTERM");
      if (code !== 0) throw new Error(`the ${kind} ended with ${code}:\n${pipeline[kind]?.logTail()}`);
      const next = await pipeline.start(kind);
      if (random.chance(0.7)) await next.waitForReady();
      else await last(random.int(0, 600));
    }
  },
});

const anytime: Fault = {
  id: "kill-anytime",
  group: KILLED,
  title: "kill -9 of either at random moments, also while it starts",
  async run({ pipeline, random, last }) {
    for (let i = 0; i < 6; i++) {
      await last(random.int(50, 2_500));
      const kind = random.pick(["source", "sink"] as const);
      await pipeline[kind]?.kill();
      await pipeline.start(kind);
    }
  },
};

const roleOf = async (connector: SpawnedConnector) => (await connector.status()).units[0]?.role;

const sourceHangs: Fault = {
  id: "sigstop-source",
  group: STOPPED,
  title: "SIGSTOP of the active source, take-over, SIGCONT",
  async run({ pipeline, last, random }) {
    const first = pipeline.source as SpawnedConnector;
    const second = await pipeline.start("source");
    await until(async () => (await roleOf(second)) === "standby", 30_000, "the standby");
    await last(random.int(0, 1_000));
    first.signal("SIGSTOP");
    await until(async () => (await roleOf(second)) === "active", 60_000, "the take-over");
    await last(random.int(0, 2_000));
    first.signal("SIGCONT");
    await last(2_000);
    if ((await roleOf(second)) !== "active") throw new Error(`the second is ${await roleOf(second)}`);
    await until(async () => (await roleOf(first)) === "standby", 30_000, "the first to stand by");
  },
};

const sinkHangs: Fault = {
  id: "sigstop-sink",
  group: STOPPED,
  title: "SIGSTOP of one of two sinks until the group has given its partitions away, SIGCONT",
  async run({ pipeline, last, random }) {
    const first = pipeline.sink as SpawnedConnector;
    const second = await pipeline.start("sink");
    await second.waitForReady();
    await last(random.int(0, 1_500));
    first.signal("SIGSTOP");
    await last(random.int(7_000, 10_000));
    first.signal("SIGCONT");
    await last(random.int(0, 3_000));
  },
};

/** Processes that end or hang at the worst moment. */
export const PROCESSES: readonly Fault[] = [
  ...POINTS.map((point) => killAt(point, false)),
  ...POINTS.filter(({ id }) => id !== "before-confirm" && id !== "after-apply").map((point) =>
    killAt(point, true),
  ),
  anytime,
  drains("source"),
  drains("sink"),
  sourceHangs,
  sinkHangs,
];
