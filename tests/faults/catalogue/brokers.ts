import {
  type Cluster,
  type ClusterNode,
  clusterOf,
  linkedBrokers,
  threeAndThree,
  threeBrokers,
  threeControllers,
} from "../harness/brokers.ts";
import { type Fault, type FaultContext, inTime, until } from "../harness/fault.ts";
import type { Hold, Link } from "../harness/link.ts";
import {
  COMES_MS,
  fateOf,
  makeTopic,
  placesOf,
  requireRefusal,
  requireStandstill,
  untilAlone,
} from "../harness/probes.ts";
import type { WireMessage } from "../harness/wire.ts";

const GROUP = "3. Three brokers";
const PARTITIONS = 3;

type BrokersFault = Pick<Fault, "id" | "title" | "run"> &
  Partial<Pick<Fault, "servers" | "recoveryMs">> & { sourceArgs?: readonly string[] };

/** On three brokers of its own. */
const onThree = ({ sourceArgs, ...fault }: BrokersFault): Fault => ({
  ...fault,
  group: GROUP,
  recoveryMs: fault.recoveryMs ?? 120_000,
  servers: fault.servers ?? threeBrokers,
  options: () => ({ replicationFactor: 3, ...(sourceArgs === undefined ? {} : { sourceArgs }) }),
});

/** The progress topic, then one that holds events. */
function ledPlaces({ pipeline, random }: FaultContext): [topic: string, partition: number][] {
  const events = pipeline.topic(random.pick(["item", "owner"] as const));
  return [
    [pipeline.progressTopic, 0],
    [events, random.int(0, PARTITIONS - 1)],
  ];
}

const leaderKilled = onThree({
  id: "brokers-leader-killed",
  title: "the leader of the progress topic, then of an event topic, is killed, replaced, and comes back",
  async run(context) {
    const cluster = clusterOf(context);
    for (const [topic, partition] of ledPlaces(context)) {
      const leader = await cluster.leaderOf(topic, partition);
      await leader.server.kill();
      await cluster.leaderOf(topic, partition, leader);
      await context.last(context.random.int(0, 5_000));
      await leader.server.start();
      await cluster.untilInSync();
    }
  },
});

const hangingLeader = onThree({
  id: "brokers-leader-hangs",
  title: "a leader hangs (SIGSTOP), is replaced, and wakes up",
  async run(context) {
    const cluster = clusterOf(context);
    const topic = context.pipeline.topic(context.random.pick(["item", "owner"] as const));
    const partition = context.random.int(0, PARTITIONS - 1);
    const leader = await cluster.leaderOf(topic, partition);
    leader.hang();
    await cluster.leaderOf(topic, partition, leader);
    await context.last(context.random.int(0, 8_000));
    leader.wake();
    await cluster.untilInSync();
  },
});

interface Coordinated {
  readonly kind: "group" | "transaction";
  /** The request that only a coordinator is sent. */
  readonly request: string;
  readonly links: readonly Link[];
}

const coordinatorKilled = onThree({
  id: "brokers-coordinator-killed",
  title:
    "the coordinator of the source's transactions, then that of the sink's group, is killed, replaced, and comes back",
  async run(context) {
    const { pipeline, last, random } = context;
    const cluster = clusterOf(context);
    const all: readonly Coordinated[] = [
      { kind: "transaction", request: "EndTxn", links: pipeline.links.sourceKafka },
      { kind: "group", request: "Heartbeat", links: pipeline.links.sinkKafka },
    ];
    for (const coordinated of all) {
      const { message, node } = await receiverOf(cluster, coordinated);
      const key = coordinated.kind === "group" ? pipeline.group : message.text;
      const coordinator = await cluster.coordinatorOf(coordinated.kind, key);
      // What the connector itself takes for its coordinator shows that this is the right name to ask for.
      if (coordinator !== node)
        throw new Error(`broker ${coordinator.id} coordinates ${key}, but ${node.id} is sent its requests`);
      await coordinator.server.kill();
      await cluster.coordinatorOf(coordinated.kind, key, coordinator);
      await last(random.int(0, 5_000));
      await coordinator.server.start();
      await cluster.untilInSync();
    }
  },
});

/** Which broker a connector sends the next request of a name to. */
async function receiverOf(
  { brokers }: Cluster,
  { links, request }: Coordinated,
): Promise<{ message: WireMessage; node: ClusterNode }> {
  const seen = links.map(async (link, i) => ({
    message: await link.seen(({ name, direction }) => name === request && direction === "request"),
    node: brokers[i] as ClusterNode,
  }));
  return inTime(Promise.race(seen), COMES_MS, request);
}

const controllerMoved: Fault = {
  id: "brokers-controller-moved",
  group: GROUP,
  title:
    "of three controllers of their own the active one is killed, three times: another one becomes active and makes a topic, the broker stays",
  recoveryMs: 120_000,
  servers: threeControllers,
  async run(context) {
    const { servers, last, random } = context;
    const cluster = clusterOf(context);
    for (let i = 0; i < 3; i++) {
      const active = await cluster.activeController();
      await last(random.int(0, 1_000));
      await active.server.kill();
      await cluster.activeController(active);
      // Which needs one that is active.
      await makeTopic(servers.brokers, 1);
      await last(random.int(0, 4_000));
      await active.server.start();
    }
  },
};

const rolling = onThree({
  id: "brokers-rolling",
  title:
    "all three are restarted in order, one after the other: every leader, coordinator and controller moves",
  async run(context) {
    const { random, last } = context;
    const cluster = clusterOf(context);
    const active = await cluster.activeController();
    for (const node of cluster.brokers) {
      const places = await ledBy(cluster, node);
      if (places.length === 0) throw new Error(`broker ${node.id} leads nothing before it is stopped`);
      await node.server.stop();
      await until(
        async () => (await ledBy(cluster, node)).length === 0,
        COMES_MS,
        "others to lead what it led",
      );
      if (node === active) await cluster.activeController(active);
      await node.server.start();
      // With or without the patience that one should have.
      if (random.chance(0.5)) await cluster.untilInSync();
      await last(random.int(500, 3_000));
    }
  },
});

async function ledBy(cluster: Cluster, { id }: ClusterNode) {
  return (await cluster.places()).filter(({ leader }) => leader === id);
}

const topicsOf = ({ pipeline }: FaultContext) => [
  pipeline.progressTopic,
  pipeline.topic("item"),
  pipeline.topic("owner"),
];

const notInSync = onThree({
  id: "brokers-min-insync",
  title:
    "two of three are killed or hang: min.insync.replicas is not met, nothing is acknowledged until they are back",
  servers: threeAndThree,
  async run(context) {
    const { servers, random } = context;
    const cluster = clusterOf(context);
    const probe = await makeTopic(servers.brokers, 3);
    const left = random.pick(cluster.brokers);
    const gone = cluster.brokers
      .filter((node) => node !== left)
      .map((node) => ({ node, isKilled: random.chance(0.5) }));
    await Promise.all(gone.map(({ node, isKilled }) => (isKilled ? node.server.kill() : node.hang())));
    await untilAlone(cluster, [...topicsOf(context), probe]);
    await requireRefusal(left.server.brokers, probe);
    await requireStandstill(context, left.server.brokers);
    await requireRefusal(left.server.brokers, probe);
    const isNamed = async () =>
      (await context.pipeline.source?.status())?.units[0]?.lastError?.code === "KAFKA_UNREACHABLE";
    await until(isNamed, 30_000, "the source to say that Kafka does not acknowledge");
    await Promise.all(gone.map(({ node, isKilled }) => (isKilled ? node.server.start() : node.wake())));
    await cluster.untilInSync();
  },
});

const partition = onThree({
  id: "brokers-partition",
  title:
    "the brokers do not reach each other while clients reach them all, then one of them is not reached by the others",
  servers: linkedBrokers,
  async run(context) {
    const { servers, random, last } = context;
    const cluster = clusterOf(context);
    // Each broker leads one of its partitions.
    const probe = await makeTopic(servers.brokers, 3, PARTITIONS);
    const stop = (link: Link) => (random.chance(0.5) ? link.cut() : link.stall());
    for (const link of cluster.between) stop(link);
    for (let at = 0; at < PARTITIONS; at++) await requireRefusal(servers.brokers, probe, at);
    await untilAlone(cluster, [probe]);
    await requireStandstill(context, servers.brokers);
    for (const link of cluster.between) link.heal();
    await cluster.untilInSync();

    const at = random.int(0, PARTITIONS - 1);
    const alone = await cluster.leaderOf(probe, at);
    const link = cluster.between[cluster.brokers.indexOf(alone)] as Link;
    stop(link);
    await requireRefusal(servers.brokers, probe, at);
    for (const { leader, partition } of await placesOf(cluster, [probe])) {
      if (leader === alone.id) continue;
      if ((await fateOf(servers.brokers, probe, partition)) !== "taken")
        throw new Error(`broker ${leader} is not reached by the others either`);
    }
    await last(random.int(0, 5_000));
    link.heal();
    await cluster.untilInSync();
  },
});

const LOST_ROUNDS = 9;

const lostAnswer = onThree({
  id: "brokers-lost-answer",
  title: "answers to Produce, AddPartitionsToTxn and EndTxn are lost with their connection, again and again",
  async run(context) {
    const { pipeline, random, last } = context;
    for (let i = 0; i < LOST_ROUNDS; i++) {
      const name = ["Produce", "AddPartitionsToTxn", "EndTxn"][i % 3] as string;
      const holds = pipeline.links.sourceKafka.map((link) => holdAnswer(link, name));
      await inTime(
        Promise.race(holds.map(({ reached }) => reached)),
        COMES_MS,
        `an answer to ${name} in round ${i}`,
      );
      // Those that were not reached wait no longer.
      for (const hold of holds) hold.drop();
      await last(random.int(200, 1_500));
    }
  },
});

/** Keeps back the next answer to a request of the publisher's. */
function holdAnswer(link: Link, name: string): Hold {
  const published = new Set<number>();
  // Signs of life, which are outside of transactions; every connection numbers its requests itself.
  const others = new Set<number>();
  return link.hold(({ name: each, direction, text, bytes }) => {
    if (each !== name) return false;
    if (direction === "request") {
      (name === "Produce" && text === "" ? others : published).add(bytes.readInt32BE(8));
      return false;
    }
    const number = bytes.readInt32BE(4);
    const isOther = others.delete(number);
    return published.delete(number) && !isOther;
  });
}

/** Before the source gives up waiting for an answer, after 30 s, and aborts by itself. */
const ANSWERED_MS = 20_000;

const expired = onThree({
  id: "brokers-transaction-expired",
  title: "a transaction is open for longer than its timeout: the brokers abort it, it is published again",
  sourceArgs: ["--transaction-timeout-ms", "2000"],
  async run(context) {
    const { pipeline, random, last } = context;
    const cluster = clusterOf(context);
    const { sourceKafka } = pipeline.links;
    const holds = sourceKafka.map((link) =>
      link.hold(({ name, direction }) => name === "EndTxn" && direction === "request"),
    );
    const { text } = await inTime(Promise.race(holds.map(({ reached }) => reached)), COMES_MS, "EndTxn");
    const isAborted = async () => (await cluster.transactionState(text)) === "CompleteAbort";
    await until(isAborted, ANSWERED_MS, "the brokers to abort it");
    await last(random.int(0, 3_000));
    for (const hold of holds) hold.release();
    await pipeline.requireSaid("source", "KAFKA_TRANSACTION_EXPIRED", COMES_MS);
    const source = pipeline.source;
    await until(async () => (await source?.status())?.units[0]?.role === "active", COMES_MS, "the source");
  },
});

/** What only several brokers can do. */
export const BROKERS: readonly Fault[] = [
  leaderKilled,
  coordinatorKilled,
  controllerMoved,
  rolling,
  notInSync,
  partition,
  hangingLeader,
  lostAnswer,
  expired,
];
