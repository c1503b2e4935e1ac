import type { SpawnedConnector } from "../../support/connector.ts";
import { type Fault, type FaultContext, inTime, membersOf, roleOf, until } from "../harness/fault.ts";
import type { Hold, Link } from "../harness/link.ts";
import type { Pipeline } from "../harness/pipeline.ts";
import { insertRows } from "../harness/tables.ts";
import { isRefusal, type WireMessage } from "../harness/wire.ts";

const KILLED = "1. Killed processes";
const STOPPED = "2. Processes that hang and wake";
const TOPICS = "7. Groups and topics";

const REACH_MS = 30_000;

/** What the sink's own function answers to a write from a place that the destination is past. */
const STALE = "RJ001";

/** What becomes of the message that the process was killed over. */
const FATES = {
  lost: "",
  arrives: "; its last message arrives all the same",
  late: "; its last message arrives after the next one has begun",
} as const;

type Fate = keyof typeof FATES;

interface Point {
  readonly id: string;
  readonly title: string;
  readonly kind: "source" | "sink";
  readonly fates: readonly Fate[];
  readonly quickSeed?: number;
  readonly links: (pipeline: Pipeline) => readonly Link[];
  /** A new one for each time: it may remember what it has seen. */
  readonly matches: (pipeline: Pipeline) => (message: WireMessage) => boolean;
}

/** Items on their way to Kafka, inside of a transaction. */
const itemsSent =
  (pipeline: Pipeline) =>
  ({ name, text, bytes }: WireMessage): boolean =>
    name === "Produce" && text !== "" && bytes.includes(pipeline.topic("item"));

const ended = (direction: "request" | "answer") => () => (message: WireMessage) =>
  message.name === "EndTxn" && message.direction === direction;

/** A batch on its way to the destination. */
const applying = ({ name, direction, text }: WireMessage): boolean =>
  name === "Bind" && direction === "request" && text === "rejot_apply";

/** The first statement inside of the transaction that transforms a batch. */
const transforming = () => {
  let begun = false;
  return ({ name, direction, text }: WireMessage): boolean => {
    if (direction !== "request" || !["Query", "Parse", "Bind"].includes(name)) return false;
    if (!text.startsWith("BEGIN ISOLATION")) return begun;
    begun = true;
    return false;
  };
};

const POINTS: readonly Point[] = [
  {
    id: "before-publish",
    title: "before its records reach Kafka",
    kind: "source",
    fates: ["lost", "arrives", "late"],
    links: ({ links }) => links.sourceKafka,
    matches: itemsSent,
  },
  {
    id: "inside-transaction",
    title: "inside its Kafka transaction, records written, not yet committed",
    kind: "source",
    fates: ["lost", "arrives", "late"],
    quickSeed: 21,
    links: ({ links }) => links.sourceKafka,
    matches: ended("request"),
  },
  {
    id: "before-confirm",
    title: "after its Kafka transaction, before the LSN is confirmed",
    kind: "source",
    fates: ["lost"],
    quickSeed: 22,
    links: ({ links }) => links.sourceKafka,
    matches: ended("answer"),
  },
  {
    id: "while-transforming",
    title: "while its SQL runs",
    kind: "source",
    fates: ["lost"],
    links: ({ links }) => [links.sourcePostgres],
    matches: transforming,
  },
  {
    id: "before-apply",
    title: "before the destination's commit",
    kind: "sink",
    fates: ["lost", "arrives", "late"],
    links: ({ links }) => [links.destinationPostgres],
    matches: () => applying,
  },
  {
    id: "after-apply",
    title: "after the destination's commit, before it hears of it",
    kind: "sink",
    fates: ["lost"],
    quickSeed: 23,
    links: ({ links }) => [links.destinationPostgres],
    matches:
      () =>
      ({ name, direction, text }) =>
        name === "CommandComplete" && direction === "answer" && text === "rejot_apply",
  },
];

/** Holds the next message of a point on whichever link it comes. */
async function reach(point: Pick<Point, "id" | "links" | "matches">, pipeline: Pipeline): Promise<Hold> {
  const matches = point.matches(pipeline);
  const holds = point.links(pipeline).map((link) => link.hold(matches));
  const reached = Promise.race(holds.map((hold) => hold.reached.then(() => hold)));
  const hold = await inTime(reached, REACH_MS, point.id);
  for (const other of holds) if (other !== hold) other.release();
  return hold;
}

/** kill -9 exactly there, several times. */
function killAt(point: Point, fate: Fate): Fault {
  const { kind } = point;
  return {
    id: `kill-${kind}-${point.id}${fate === "lost" ? "" : `-${fate}`}`,
    group: KILLED,
    title: `kill -9 of the ${kind} ${point.title}${FATES[fate]}`,
    ...(point.quickSeed === undefined || fate !== "lost" ? {} : { quickSeed: point.quickSeed }),
    async run({ pipeline, random, last }) {
      for (let i = 0; i < 3; i++) {
        await last(random.int(0, 800));
        const hold = await reach(point, pipeline);
        const how = await pipeline[kind]?.kill();
        if (how !== "SIGKILL") throw new Error(`the ${kind} had ended before: ${how}`);
        if (fate === "lost") hold.drop();
        if (fate === "arrives") hold.release();
        await (await pipeline.start(kind)).waitForReady();
        if (fate === "late") hold.release();
      }
    },
  };
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

/** Without Kafka transactions events are sent again after a kill; the sink leaves out what it has seen. */
const atLeastOnce: Fault = {
  id: "kill-source-at-least-once",
  group: KILLED,
  title:
    "kill -9 of a source with `delivery: at-least-once`, before its records reach Kafka or before it hears of them",
  mayRepeat: true,
  options: () => ({
    adapt({ dataStores = [] }) {
      for (const { connectionSlug, config } of dataStores)
        if (connectionSlug === "source") Object.assign(config ?? {}, { delivery: "at-least-once" });
    },
  }),
  async run({ pipeline, random, last }) {
    for (let i = 0; i < 4; i++) {
      await last(random.int(0, 800));
      const matches = () => (message: WireMessage) =>
        message.name === "Produce" && message.bytes.includes(pipeline.topic("item"));
      const hold = await reach(
        { id: "items sent", links: ({ links }) => links.sourceKafka, matches },
        pipeline,
      );
      if (random.chance(0.5)) await pipeline.source?.kill();
      hold.release();
      // Long enough for the broker to write it, not for the source to confirm it.
      await last(random.int(0, 5));
      await pipeline.source?.kill();
      await (await pipeline.start("source")).waitForReady();
    }
  },
};

const TALLY = "tally-items";

/** Makes a consumer schema a new one, and empties what it has written: it is to apply the whole topic. */
async function makeNew({ destination, slug }: Pipeline): Promise<void> {
  await destination.query(`LOCK TABLE rejot.progress IN EXCLUSIVE MODE;
    UPDATE rejot.progress SET consumers = consumers - '${slug}/${TALLY}'; TRUNCATE tally`);
}

async function partitionsToCatchUp(pipeline: Pipeline): Promise<number> {
  const [row] = await pipeline.destination.query(
    `SELECT count(*) AS n FROM rejot.progress
     WHERE topic = $1 AND (consumers -> $2 = 'null') IS NOT TRUE`,
    [pipeline.topic("item"), `${pipeline.slug}/${TALLY}`],
  );
  return Number(row?.n);
}

const joining: Fault = {
  id: "kill-sink-while-schema-joins",
  group: KILLED,
  title:
    "kill -9 of the sink while a consumer schema that adds is new and applies the whole topic, in portions, its last message lost or not",
  options: () => ({ sinkArgs: ["--max-rows", "40"] }),
  async run({ pipeline, random, last }) {
    const point = {
      id: "a batch",
      links: ({ links }: Pipeline) => [links.destinationPostgres],
      matches: () => applying,
    };
    for (let round = 0; round < 2; round++) {
      await last(random.int(500, 2_500));
      await makeNew(pipeline);
      for (let kills = 0; kills < 3; kills++) {
        if (kills > 0) await last(random.int(0, 40));
        const hold = await reach(point, pipeline);
        const left = await partitionsToCatchUp(pipeline);
        if (kills < 2 && left === 0) throw new Error("the consumer schema has caught up before the kill");
        await pipeline.sink?.kill();
        if (kills > 0 && random.chance(0.5)) hold.release();
        else hold.drop();
        await pipeline.start("sink");
      }
    }
  },
};

/** The old one has records on their way when it stops; they arrive when another has taken over. */
const sourceHangs: Fault = {
  id: "sigstop-source",
  group: STOPPED,
  quickSeed: 24,
  title:
    "SIGSTOP of the active source while it publishes or commits, take-over, its message arrives, SIGCONT: it publishes and confirms nothing",
  async run({ pipeline, last, random }) {
    const first = pipeline.source as SpawnedConnector;
    const second = await pipeline.start("source");
    await until(async () => (await roleOf(second)) === "standby", 30_000, "the standby");
    await last(random.int(0, 1_000));
    const moments = POINTS.filter(({ id }) => ["before-publish", "inside-transaction"].includes(id));
    const hold = await reach(random.pick(moments), pipeline);
    first.signal("SIGSTOP");
    await until(async () => (await roleOf(second)) === "active", 60_000, "the take-over");
    await last(random.int(0, 2_000));
    hold.release();
    await last(random.int(0, 500));
    first.signal("SIGCONT");
    await until(async () => (await roleOf(first)) === "standby", 60_000, "the first to stand by");
    if ((await roleOf(second)) !== "active") throw new Error(`the second is ${await roleOf(second)}`);
  },
};

async function appliedBy({ destination }: Pipeline): Promise<number> {
  const [row] = await destination.query("SELECT sum(next_offset) AS n FROM rejot.progress");
  return Number(row?.n);
}

/** One batch of events of all partitions. */
const MANY = 300;
const LARGE_BYTES = 20_000;

/**
 * The only sink has a batch on its way when another one gets some or all of its partitions, and applies the same events;
 * only then does the batch arrive. The destination must refuse it.
 */
async function passBy(
  context: FaultContext,
  { hang, members }: { hang: (first: SpawnedConnector) => void; members: number },
): Promise<void> {
  const { pipeline, last, random } = context;
  const { destinationPostgres } = pipeline.links;
  const first = pipeline.sink as SpawnedConnector;
  await last(random.int(0, 1_500));
  const reached = reach(
    {
      id: "a batch of all partitions",
      links: () => [destinationPostgres],
      matches: () => (message) => applying(message) && message.bytes.length > LARGE_BYTES,
    },
    pipeline,
  );
  await pipeline.database.query(insertRows(30_000, MANY, "x".repeat(100)));
  const hold = await reached;
  hang(first);
  const before = await appliedBy(pipeline);
  const second = await pipeline.start("sink");
  await second.waitForReady();
  await until(async () => (await membersOf(context)) === members, 60_000, `a group of ${members}`);
  await until(
    async () => (await appliedBy(pipeline)) > before + MANY / 10,
    60_000,
    "the second to apply events",
  );
  await last(random.int(0, 2_000));
  const refused = destinationPostgres.seen((message) => isRefusal(message, STALE));
  hold.release();
  await inTime(refused, REACH_MS, "the late batch to be refused");
  first.signal("SIGCONT");
  await until(async () => (await membersOf(context)) === 2, 60_000, "both to be in the group");
}

const sinkHangs: Fault = {
  id: "sigstop-sink",
  group: STOPPED,
  title:
    "SIGSTOP of a sink in mid-batch until another has taken its partitions over; its batch arrives, SIGCONT: it is refused",
  run: (context) => passBy(context, { hang: (first) => first.signal("SIGSTOP"), members: 1 }),
};

/** Kafka's name for the time is max.poll.interval.ms; members send it as their rebalance timeout. */
const pollInterval: Fault = {
  id: "sink-exceeds-poll-interval",
  group: TOPICS,
  title:
    "a batch takes longer than members may take to join again; another sink gets half of its partitions: its write is refused",
  options: () => ({ sinkArgs: ["--rebalance-timeout-ms", "2000"] }),
  run: (context) => passBy(context, { hang: () => {}, members: 2 }),
};

const rebalances: Fault = {
  id: "rebalance",
  group: TOPICS,
  title: "sinks join and leave all the time while batches are on their way, some by kill -9",
  async run(context) {
    const { pipeline, random, last } = context;
    const { destinationPostgres } = pipeline.links;
    const keep = pipeline.sink;
    let extra: SpawnedConnector[] = [];
    for (let i = 0; i < 4; i++) {
      const point = { id: "a batch", links: () => [destinationPostgres], matches: () => applying };
      const hold = await reach(point, pipeline);
      extra.push(await pipeline.start("sink"));
      pipeline.sink = keep;
      await last(random.int(300, 2_500));
      hold.release();
      const members = extra.length + 1;
      await until(async () => (await membersOf(context)) === members, 60_000, `${members} members`);
      if (!random.chance(0.7)) continue;
      await extra[0]?.kill(random.pick(["SIGKILL", "SIGTERM"] as const));
      extra = extra.slice(1);
      await until(async () => (await membersOf(context)) === extra.length + 1, 60_000, "one member less");
    }
    for (const sink of extra) await sink.kill("SIGTERM");
  },
};

/** Processes that end or hang at the worst moment. */
export const PROCESSES: readonly Fault[] = [
  ...POINTS.flatMap((point) => point.fates.map((fate) => killAt(point, fate))),
  joining,
  atLeastOnce,
  anytime,
  drains("source"),
  drains("sink"),
  sourceHangs,
  sinkHangs,
  pollInterval,
  rebalances,
];
