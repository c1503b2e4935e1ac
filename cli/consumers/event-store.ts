import { RejotError } from "../../shared/errors/error.ts";
import type { TopicReader } from "../../shared/kafka/topic-reader.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import { type Environment, resolveSecrets } from "../../shared/manifest/secrets.ts";
import { kafkaEventStore } from "../../shared/manifest/workspace.ts";

/**
 * The consumer groups that have to do with topics of a manifest's event store.
 * Throws EVENT_STORE_MISSING, SECRET_NOT_FOUND, KAFKA_*.
 */
export async function readersOf(
  { manifest }: LoadedManifest,
  topics: readonly string[],
  env: Environment,
): Promise<TopicReader[]> {
  const store = kafkaEventStore(manifest);
  if (store === undefined) throw new RejotError("EVENT_STORE_MISSING", { detail: `"${manifest.slug}"` });
  const connection = resolveSecrets(store, env);
  // The Kafka client, which most commands do without.
  const { createKafka, kafkaError } = await import("../../shared/kafka/kafka-client.ts");
  const { answered, disconnect } = await import("../../shared/kafka/kafka-answers.ts");
  const { topicReaders } = await import("../../shared/kafka/kafka-topic-readers.ts");
  const { createLogger } = await import("../../shared/observability/logger.ts");
  const admin = createKafka(connection, { clientId: "rejot-kafka", logger: createLogger("cli") }).admin();
  try {
    await answered(admin.connect());
    return await topicReaders(admin, topics);
  } catch (cause) {
    throw kafkaError(cause, "asking who reads a topic");
  } finally {
    await disconnect(admin);
  }
}
