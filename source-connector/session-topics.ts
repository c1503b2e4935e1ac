import { RejotError } from "../shared/errors/error.ts";
import { type Admin, ensureTopics, kafkaError, partitionCounts } from "../shared/kafka/kafka-client.ts";
import { topicsWithRetention } from "../shared/kafka/kafka-topic-retention.ts";
import type { SessionContext } from "./session-context.ts";

/** A consumer that is behind for longer may miss deletions; Kafka's own default is a day. */
const TOMBSTONE_RETENTION_MS = 7 * 24 * 3_600_000;

/**
 * Creates the topics that are missing; tells how many partitions each public schema's topic has.
 * Throws KAFKA_*, TOPIC_RETENTION for the progress topic; for others it is a warning.
 */
export async function prepareTopics(context: SessionContext): Promise<ReadonlyMap<string, number>> {
  const { eventStore, publicSchemas } = context.source;
  const { replicationFactor } = eventStore;
  const compact = { "cleanup.policy": "compact" };
  return withAdmin(context, "preparing topics", async (admin) => {
    await ensureTopics(admin, [
      // Small segments: only closed ones are compacted, and every start reads the topic from its beginning.
      {
        topic: context.progressTopic,
        partitions: 1,
        replicationFactor,
        config: { ...compact, "segment.bytes": "16777216", "min.cleanable.dirty.ratio": "0.1" },
      },
      ...publicSchemas.map(({ topic }) => ({
        topic,
        partitions: eventStore.partitions ?? 6,
        replicationFactor,
        config: { ...compact, "delete.retention.ms": String(TOMBSTONE_RETENTION_MS) },
      })),
    ]);
    const topics = publicSchemas.map(({ topic }) => topic);
    const partitions = await partitionCounts(admin, topics);
    await checkRetention(context, admin, topics);
    return partitions;
  });
}

async function checkRetention(
  context: SessionContext,
  admin: Admin,
  topics: readonly string[],
): Promise<void> {
  const { progressTopic, log } = context;
  const found = await topicsWithRetention(admin, [progressTopic, ...topics]);
  if (found.includes(progressTopic)) throw new RejotError("TOPIC_RETENTION", { detail: progressTopic });
  for (const topic of found) {
    const { code, message, hint } = new RejotError("TOPIC_RETENTION", { detail: topic });
    log.warn({ code, topic, hint }, message);
  }
}

async function withAdmin<T>(
  { kafka }: SessionContext,
  doing: string,
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    return await work(admin);
  } catch (cause) {
    throw kafkaError(cause, doing);
  } finally {
    await admin.disconnect().catch(() => {});
  }
}
