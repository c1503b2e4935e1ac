import { type Admin, AssignerProtocol, type GroupDescription } from "kafkajs";
import { answered } from "./kafka-answers.ts";
import { kafkaError } from "./kafka-client.ts";
import type { TopicReader } from "./topic-reader.ts";

/** Requests under way at once: clusters have thousands of groups. */
const CONCURRENCY = 16;

/**
 * The consumer groups with members or committed offsets on the topics, of whatever software. Topics that do not exist
 * have none. Throws KAFKA_*.
 */
export async function topicReaders(admin: Admin, topics: readonly string[]): Promise<TopicReader[]> {
  try {
    const existing = new Set(await answered(admin.listTopics()));
    const wanted = topics.filter((topic) => existing.has(topic));
    if (wanted.length === 0) return [];
    const ends = new Map<string, Map<number, number>>();
    for (const topic of wanted) {
      const offsets = await answered(admin.fetchTopicOffsets(topic));
      ends.set(topic, new Map(offsets.map(({ partition, high }) => [partition, Number(high)])));
    }
    const { groups } = await answered(admin.listGroups());
    const ids = groups.filter(({ protocolType }) => isConsumer(protocolType)).map(({ groupId }) => groupId);
    const found = await inParallel(ids, (group) => readerOf(admin, group, ends));
    return found.flat().sort((a, b) => a.topic.localeCompare(b.topic) || a.group.localeCompare(b.group));
  } catch (cause) {
    throw kafkaError(cause, "looking up who reads a topic");
  }
}

/** Groups of Kafka Connect's workers and the like have protocols of their own; simple consumers have none. */
function isConsumer(protocolType: string): boolean {
  return protocolType === "consumer" || protocolType === "";
}

async function readerOf(
  admin: Admin,
  group: string,
  ends: ReadonlyMap<string, ReadonlyMap<number, number>>,
): Promise<TopicReader[]> {
  const committed = await answered(admin.fetchOffsets({ groupId: group, topics: [...ends.keys()] }));
  // Groups of Kafka 4's new protocol have no description here: what they committed is all that is known of them.
  const described = await answered(admin.describeGroups([group])).catch(() => undefined);
  const description = described?.groups[0];
  return committed.flatMap(({ topic, partitions }) => {
    const members = subscribers(description, topic);
    const known = partitions.filter(({ offset }) => Number(offset) >= 0);
    if (known.length === 0 && members === 0) return [];
    const lags = known.map(
      ({ partition, offset }) => (ends.get(topic)?.get(partition) ?? 0) - Number(offset),
    );
    const others = (description?.members.length ?? 0) > members;
    const times = known.map(({ metadata }) => metadata ?? "").filter((text) => TIME.test(text));
    return {
      topic,
      group,
      state: description?.state ?? "Unknown",
      members,
      reads: members > 0 || !others,
      lag: known.length === 0 ? null : lags.reduce((sum, lag) => sum + Math.max(0, lag), 0),
      lastCommit: times.sort().at(-1) ?? null,
    };
  });
}

const TIME = /^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/;

function subscribers(description: GroupDescription | undefined, topic: string): number {
  return (description?.members ?? []).filter(({ memberMetadata }) => {
    try {
      return AssignerProtocol.MemberMetadata.decode(memberMetadata)?.topics.includes(topic) === true;
    } catch {
      // A subscription of another form: who does not say what it reads may read this.
      return true;
    }
  }).length;
}

async function inParallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = [...items.entries()];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      results[next[0]] = await work(next[1]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, items.length) }, worker));
  return results;
}
