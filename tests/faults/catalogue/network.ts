import { type Fault, type FaultContext, until } from "../harness/fault.ts";
import type { Link, LinkCounts } from "../harness/link.ts";

/** The connections that can be broken apart from each other; the registry has faults of its own. */
const CONNECTIONS: Readonly<Record<string, (context: FaultContext) => readonly Link[]>> = {
  "source and Postgres": ({ pipeline }) => [pipeline.links.sourcePostgres],
  "source and Kafka": ({ pipeline }) => pipeline.links.sourceKafka,
  "sink and Kafka": ({ pipeline }) => pipeline.links.sinkKafka,
  "sink and destination": ({ pipeline }) => [pipeline.links.destinationPostgres],
};

interface Break {
  readonly id: string;
  readonly title: string;
  readonly recoveryMs?: number;
  /** What shows that it happened: the counts of the links grow that much, at least. */
  readonly leaves: Partial<LinkCounts>;
  make(links: readonly Link[], context: FaultContext): Promise<void>;
}

const COUNTS = ["accepted", "hit", "passed", "late"] as const;

function countsOf(links: readonly Link[]): LinkCounts {
  const sum = { accepted: 0, hit: 0, passed: 0, late: 0 };
  for (const { counts } of links) for (const name of COUNTS) sum[name] += counts[name];
  return sum;
}

const BREAKS: readonly Break[] = [
  {
    id: "cut",
    leaves: { hit: 1, accepted: 1 },
    title: "is cut for some seconds",
    async make(links, { last, random }) {
      for (const link of links) link.cut();
      await last(random.int(500, 6_000));
      for (const link of links) link.heal();
    },
  },
  {
    id: "delay",
    leaves: { late: 10 },
    title: "takes 500 ms longer each way",
    async make(links, { last }) {
      for (const link of links) link.delay(500);
      await last(6_000);
      for (const link of links) link.heal();
    },
  },
  {
    id: "reset",
    leaves: { hit: 3, accepted: 3 },
    title: "is reset again and again",
    async make(links, { last, random }) {
      for (let i = 0; i < 5; i++) {
        for (const link of links) link.reset();
        await last(random.int(20, 1_200));
      }
    },
  },
  {
    id: "stall",
    leaves: { hit: 1, passed: 10 },
    title: "swallows everything for some seconds and then delivers it",
    async make(links, { last, random }) {
      for (const link of links) link.stall();
      const before = countsOf(links).passed;
      await last(random.int(3_000, 12_000));
      if (countsOf(links).passed > before) throw new Error("the stalled link has passed something on");
      for (const link of links) link.heal();
    },
  },
  {
    id: "forgotten",
    leaves: { hit: 1, accepted: 1 },
    title: "is half open: established connections are dead without a word, new ones work",
    recoveryMs: 120_000,
    async make(links, { last }) {
      for (const link of links) link.forget();
      await last(3_000);
    },
  },
  {
    id: "flapping",
    leaves: { hit: 3, accepted: 3 },
    title: "comes and goes",
    async make(links, { last, random }) {
      for (let i = 0; i < 8; i++) {
        for (const link of links) link.cut();
        await last(random.int(50, 1_000));
        for (const link of links) link.heal();
        await last(random.int(50, 1_500));
      }
    },
  },
];

/** What a firewall forgets is one connection, not all of them. */
const ONE_FORGOTTEN: readonly { id: string; title: string; startup: RegExp }[] = [
  { id: "replication", title: "the replication stream", startup: /replication\0/ },
  { id: "transformations", title: "the session of the transformations", startup: /read_only/ },
];

const oneForgotten = ({ id, title, startup }: (typeof ONE_FORGOTTEN)[number]): Fault => ({
  id: `network-source-and-postgres-forgotten-${id}`,
  group: "4. Network",
  title: `of the source's connections to Postgres only ${title} is dead without a word`,
  recoveryMs: 60_000,
  options: () => ({
    sourceArgs: ["--statement-timeout-ms", "5000"],
    sourceSql: `DO $$ BEGIN
      EXECUTE format('ALTER DATABASE %I SET wal_sender_timeout = ''5s''', current_database()); END $$`,
  }),
  async run({ pipeline, last }) {
    const link = pipeline.links.sourcePostgres;
    const isIt = (connection: { readonly startup: string }) => startup.test(connection.startup);
    // The backfill reads by such a session too, for a moment.
    await until(() => link.count(isIt) === 1, 30_000, "one connection of that kind");
    const { accepted } = link.counts;
    if (link.forget(isIt) !== 1) throw new Error("there was no such connection");
    await last(2_000);
    await until(() => link.counts.accepted > accepted, 60_000, "the source to notice, and to connect anew");
  },
});

/** A stop must not wait for an answer that never comes. */
const stopHalfOpen = (kind: "source" | "sink", end: "Postgres" | "Kafka"): Fault => ({
  id: `network-stop-${kind}-half-open-${end.toLowerCase()}`,
  group: "4. Network",
  title: `SIGTERM of the ${kind} while its connections to ${end} are half open: it ends within its deadline`,
  async run({ pipeline }) {
    const { links } = pipeline;
    const postgres = kind === "source" ? links.sourcePostgres : links.destinationPostgres;
    const kafka = kind === "source" ? links.sourceKafka : links.sinkKafka;
    const broken = end === "Postgres" ? [postgres] : kafka;
    const hit = broken.map((link) => link.forget()).reduce((sum, count) => sum + count);
    if (hit === 0) throw new Error("there was no connection");
    const beganAt = Date.now();
    const code = await pipeline[kind]?.kill("SIGTERM");
    const tookMs = Date.now() - beganAt;
    // What is under way may be waited for until then, not longer; the log is read a moment after the end.
    if (code === 1 && tookMs < 35_000) await pipeline[kind]?.waitForLog("STOP_DEADLINE", 2_000);
    else if (code !== 0)
      throw new Error(`it ended with ${code} after ${tookMs} ms:\n${pipeline[kind]?.logTail()}`);
  },
});

const QUICK: Readonly<Record<string, number>> = {
  "network-source-and-kafka-reset": 11,
  "network-sink-and-destination-flapping": 12,
};

const EVERYWHERE: readonly Fault[] = Object.entries(CONNECTIONS).flatMap(([name, linksOf]) =>
  BREAKS.map((kind): Fault => {
    const id = `network-${name.toLowerCase().replaceAll(" ", "-")}-${kind.id}`;
    const quickSeed = QUICK[id];
    return {
      id,
      group: "4. Network",
      title: `the connection between ${name} ${kind.title}`,
      ...(quickSeed === undefined ? {} : { quickSeed }),
      ...(kind.recoveryMs === undefined ? {} : { recoveryMs: kind.recoveryMs }),
      // By default five minutes, which is what a large batch may take.
      options: () => ({ sinkArgs: ["--apply-timeout-ms", "8000"] }),
      async run(context) {
        const links = linksOf(context);
        const before = countsOf(links);
        await kind.make(links, context);
        const happened = () => {
          const now = countsOf(links);
          return COUNTS.every((name) => now[name] - before[name] >= (kind.leaves[name] ?? 0));
        };
        await until(
          happened,
          kind.recoveryMs ?? 60_000,
          `the links to have done ${JSON.stringify(kind.leaves)}`,
        );
      },
    };
  }),
);

/** Every connection, broken in every way. */
export const NETWORK: readonly Fault[] = [
  ...EVERYWHERE,
  ...ONE_FORGOTTEN.map(oneForgotten),
  stopHalfOpen("source", "Postgres"),
  stopHalfOpen("source", "Kafka"),
  stopHalfOpen("sink", "Postgres"),
  stopHalfOpen("sink", "Kafka"),
];
