import { type ICustomPartitioner, type Kafka, type Message, Partitioners } from "kafkajs";
import { RejotError } from "../../shared/errors/error.ts";
import { kafkaError } from "../../shared/kafka/kafka-client.ts";

/** A message whose partition is chosen, together with the broker that led it when it was. */
export type LedMessage = Message & { readonly partition: number; readonly leader: number };

/** The broker that leads a partition; -1 when none is known. */
export type Leaders = (topic: string, partition: number) => number;

/** Asks who leads the partitions of topics. Throws KAFKA_*. */
export async function findLeaders(kafka: Kafka, topics: readonly string[]): Promise<Leaders> {
  const leaders = new Map<string, number>();
  const admin = kafka.admin();
  try {
    await admin.connect();
    const metadata =
      topics.length === 0 ? { topics: [] } : await admin.fetchTopicMetadata({ topics: [...topics] });
    for (const { name, partitions } of metadata.topics) {
      for (const { partitionId, leader } of partitions) leaders.set(`${name}/${partitionId}`, leader);
    }
  } catch (cause) {
    throw kafkaError(cause, "asking for the leaders of partitions");
  } finally {
    await admin.disconnect().catch(() => {});
  }
  return (topic, partition) => leaders.get(`${topic}/${partition}`) ?? -1;
}

/**
 * Takes partitions as they are chosen, and refuses a message whose partition has another leader by now. kafkajs sends a
 * request to each leader, and when one of them fails it begins all over: it sends again what another leader still works
 * on or has acknowledged before a partition moved, under new sequence numbers, so that nobody sees that it is a
 * repetition. A send to one leader only, that stays the same, is repeated under the same numbers or not at all.
 */
export const oneLeaderPartitioner: ICustomPartitioner = () => {
  const choose = Partitioners.DefaultPartitioner();
  return (args) => {
    const partition = choose(args);
    const { leader } = args.message as Partial<LedMessage>;
    if (leader === undefined) return partition;
    const now = args.partitionMetadata.find(({ partitionId }) => partitionId === partition)?.leader;
    if (now !== leader) {
      throw new RejotError("KAFKA_UNREACHABLE", {
        detail: `${args.topic}/${partition} has moved from broker ${leader} to ${now ?? "none"}`,
      });
    }
    return partition;
  };
};
