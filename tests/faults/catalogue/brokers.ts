import type { KafkaServer } from "../../../compose/dev-stack/kafka-server.ts";
import { kafkaAdmin } from "../../support/kafka.ts";
import { threeBrokers, threeControllers } from "../harness/brokers.ts";
import { type Fault, type FaultContext, until } from "../harness/fault.ts";

const GROUP = "3. Three brokers";

type BrokersFault = Pick<Fault, "id" | "title" | "run" | "recoveryMs"> & { sourceArgs?: readonly string[] };

/** On three brokers of its own; node n is at index n - 1. */
const onThree = ({ sourceArgs, ...fault }: BrokersFault): Fault => ({
  ...fault,
  group: GROUP,
  recoveryMs: fault.recoveryMs ?? 120_000,
  servers: threeBrokers,
  options: () => ({ replicationFactor: 3, ...(sourceArgs === undefined ? {} : { sourceArgs }) }),
});

const nodesOf = ({ servers }: FaultContext): readonly KafkaServer[] => servers.own?.kafka ?? [];

async function leaderOf(context: FaultContext, topic: string, partition = 0): Promise<KafkaServer> {
  await using admin = await kafkaAdmin(context.servers.brokers);
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  const leader = topics[0]?.partitions.find(({ partitionId }) => partitionId === partition)?.leader ?? 1;
  return nodesOf(context)[leader - 1] as KafkaServer;
}

const leaderKilled = onThree({
  id: "brokers-leader-killed",
  title: "the leader of the progress topic, then of an event topic, is killed and comes back",
  async run(context) {
    const { pipeline, last, random } = context;
    for (const topic of [pipeline.progressTopic, pipeline.topic("item")]) {
      const leader = await leaderOf(context, topic);
      await leader.kill();
      await last(random.int(2_000, 8_000));
      await leader.start();
      await last(2_000);
    }
  },
});

/** The partition of an internal topic that a name belongs to: Java's hash of the name. */
function partitionOf(name: string, partitions: number): number {
  let hash = 0;
  for (const char of name) hash = (Math.imul(hash, 31) + (char.codePointAt(0) ?? 0)) | 0;
  return (hash & 0x7fffffff) % partitions;
}

/** As the brokers of the tests have it. */
const INTERNAL_PARTITIONS = 8;

const coordinatorKilled = onThree({
  id: "brokers-coordinator-killed",
  title:
    "the coordinator of the source's transactions, then that of the sink's group, is killed and comes back",
  async run(context) {
    const { pipeline, last, random } = context;
    const transactions = partitionOf(`rejot.source.${pipeline.slug}.source`, INTERNAL_PARTITIONS);
    const group = partitionOf(pipeline.group, INTERNAL_PARTITIONS);
    for (const [topic, partition] of [
      ["__transaction_state", transactions],
      ["__consumer_offsets", group],
    ] as const) {
      const coordinator = await leaderOf(context, topic, partition);
      await coordinator.kill();
      await last(random.int(2_000, 8_000));
      await coordinator.start();
      await last(2_000);
    }
  },
});

const controllerMoved: Fault = {
  id: "brokers-controller-moved",
  group: GROUP,
  title:
    "three controllers of their own are killed one after the other: the active one moves, the broker stays",
  recoveryMs: 120_000,
  servers: threeControllers,
  async run(context) {
    for (const controller of nodesOf(context).slice(0, 3)) {
      await controller.kill();
      await context.last(context.random.int(1_000, 6_000));
      await controller.start();
      await context.last(1_000);
    }
  },
};

const rolling = onThree({
  id: "brokers-rolling",
  title:
    "all three are restarted in order, one after the other: every leader, coordinator and controller moves",
  async run(context) {
    for (const node of nodesOf(context)) {
      await node.restart();
      await context.last(context.random.int(500, 3_000));
    }
  },
});

const notInSync = onThree({
  id: "brokers-min-insync",
  title: "two of three are gone: min.insync.replicas is not met, nothing is acknowledged until they are back",
  async run(context) {
    const [, second, third] = nodesOf(context);
    // Hanging, not dead: the quorum of controllers stays as it is for a while.
    third?.signalAll("SIGSTOP");
    await context.last(context.random.int(500, 2_000));
    second?.signalAll("SIGSTOP");
    await context.last(context.random.int(8_000, 15_000));
    second?.signalAll("SIGCONT");
    third?.signalAll("SIGCONT");
  },
});

const hangingLeader = onThree({
  id: "brokers-leader-hangs",
  title: "a leader hangs (SIGSTOP), is replaced, and wakes up",
  async run(context) {
    const leader = await leaderOf(context, context.pipeline.topic("item"), 1);
    leader.signalAll("SIGSTOP");
    await context.last(context.random.int(10_000, 16_000));
    leader.signalAll("SIGCONT");
  },
});

const lostAnswer = onThree({
  id: "brokers-lost-answer",
  title: "answers to Produce, AddPartitionsToTxn and EndTxn are lost with their connection, again and again",
  async run(context) {
    const { pipeline, random, last } = context;
    for (let i = 0; i < 9; i++) {
      const name = ["Produce", "AddPartitionsToTxn", "EndTxn"][i % 3] as string;
      const holds = pipeline.links.sourceKafka.map((link) => ({
        link,
        hold: link.hold((message) => message.name === name && message.direction === "answer"),
      }));
      const reached = await Promise.race([
        ...holds.map(({ link, hold }) => hold.reached.then(() => link)),
        last(10_000),
      ]);
      // What is held goes with its connection.
      reached?.reset();
      for (const { hold } of holds) hold.release();
      await last(random.int(200, 1_500));
    }
  },
});

const expired = onThree({
  id: "brokers-transaction-expired",
  title: "a transaction is open for longer than its timeout: the brokers abort it, it is published again",
  sourceArgs: ["--transaction-timeout-ms", "2000"],
  async run({ pipeline, last }) {
    const { sourceKafka } = pipeline.links;
    const holds = sourceKafka.map((link) =>
      link.hold(({ name, direction }) => name === "EndTxn" && direction === "request"),
    );
    await Promise.race(holds.map(({ reached }) => reached));
    await last(6_000);
    for (const hold of holds) hold.release();
    const source = pipeline.source;
    await until(async () => (await source?.status())?.units[0]?.role === "active", 60_000, "the source");
  },
});

/** What only several brokers can do. */
export const BROKERS: readonly Fault[] = [
  leaderKilled,
  coordinatorKilled,
  controllerMoved,
  rolling,
  notInSync,
  hangingLeader,
  lostAnswer,
  expired,
];
