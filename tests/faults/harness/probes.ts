import { protocolType } from "../../../shared/kafka/kafka-client.ts";
import { createEndReader } from "../../../shared/kafka/kafka-reader.ts";
import { createTopics, kafkaAdmin, plainKafka } from "../../support/kafka.ts";
import { randomName } from "../../support/names.ts";
import { waitFor } from "../../support/wait-for.ts";
import type { Cluster } from "./brokers.ts";
import { type FaultContext, until } from "./fault.ts";

/** Within this, what a fault waits for comes, or never. */
export const COMES_MS = 60_000;

/** A topic of the fault's own; its name. Throws when it is not made. */
export async function makeTopic(
  brokers: string[],
  replicationFactor: number,
  partitions = 1,
): Promise<string> {
  const topic = randomName("probe");
  await using admin = await kafkaAdmin(brokers);
  await createTopics(admin, [{ topic, numPartitions: partitions, replicationFactor }]);
  return topic;
}

type Fate = "taken" | "refused" | "unknown";

const REFUSALS = ["NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND"];
const PROBE_MS = 2_000;

/**
 * What becomes of a plain client's record. Throws when that is unknown for long: the first one that is not replicated
 * is not refused yet.
 */
export async function fateOf(brokers: string[], topic: string, partition: number): Promise<Fate> {
  const producer = plainKafka(brokers).producer({ retry: { retries: 0 } });
  await producer.connect();
  let fate: Fate = "unknown";
  const isKnown = async () => {
    const record = { topic, acks: -1, timeout: PROBE_MS, messages: [{ value: "taken?", partition }] };
    fate = await producer.send(record).then(
      () => "taken",
      (error: unknown) => (REFUSALS.includes(protocolType(error) ?? "") ? "refused" : "unknown"),
    );
    return fate !== "unknown";
  };
  try {
    await until(isKnown, COMES_MS, `an answer to a record for ${topic}/${partition}`);
  } finally {
    await producer.disconnect();
  }
  return fate;
}

/** Throws when a record is acknowledged, or for long not refused because too few replicas are in sync. */
export async function requireRefusal(brokers: string[], topic: string, partition = 0): Promise<void> {
  if ((await fateOf(brokers, topic, partition)) !== "refused")
    throw new Error(`a record for ${topic}/${partition} was acknowledged although too few are in sync`);
}

/**
 * Where the progress topic ends, with what no reader sees yet. Asks again while it has no leader: on a busy machine the
 * only broker that is left is taken for dead for a moment.
 */
async function progressEnd(brokers: string[], topic: string): Promise<bigint> {
  const reader = createEndReader(plainKafka(brokers));
  try {
    const read = async () => (await reader.bounds([topic], AbortSignal.timeout(COMES_MS)))[0]?.end;
    return await waitFor(read, { timeoutMs: COMES_MS, describe: `the end of ${topic}` });
  } finally {
    await reader.close();
  }
}

/** Throws when progress is published although the workload goes on for some time. */
export async function requireStandstill(
  { pipeline, workload, last, random }: FaultContext,
  brokers: string[],
) {
  const before = await progressEnd(brokers, pipeline.progressTopic);
  const committed = workload.committed;
  await last(random.int(3_000, 8_000));
  await until(() => workload.committed >= committed + 50, COMES_MS, "the workload to go on");
  const after = await progressEnd(brokers, pipeline.progressTopic);
  if (after !== before)
    throw new Error(`progress went from ${before} to ${after} while too few were in sync`);
}

/** The places of these topics. */
export async function placesOf(cluster: Cluster, topics: readonly string[]) {
  return (await cluster.places()).filter(({ topic }) => topics.includes(topic));
}

/** Waits until none but its leader is in sync of each partition of these topics. */
export function untilAlone(cluster: Cluster, topics: readonly string[]): Promise<void> {
  const isAlone = async () =>
    (await placesOf(cluster, topics)).every(
      ({ leader, inSync }) => leader > 0 && inSync.length === 1 && inSync[0] === leader,
    );
  return until(isAlone, COMES_MS, `the leaders of ${topics} to be alone in sync`);
}
