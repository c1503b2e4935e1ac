import type { Kafka } from "kafkajs";
import { RejotError } from "../../shared/errors/error.ts";
import { createEndReader } from "../../shared/kafka/kafka-reader.ts";
import type { ProgressRecord } from "../../shared/kafka/progress-record.ts";
import { retry } from "../../shared/lifecycle/backoff.ts";

/** A new leader may need a moment to know how far its partition goes. */
const ATTEMPTS = 6;

/**
 * Throws TOPIC_LOST_EVENTS when one of the topics ends before what was published to it: it was deleted and made anew,
 * or brokers lost what they had acknowledged. A sink that is behind could not tell once the topic has grown again.
 */
export async function checkPublishedEnds(
  kafka: Kafka,
  topics: readonly string[],
  published: ProgressRecord["ends"],
  signal: AbortSignal,
): Promise<void> {
  const known = topics.filter((topic) => published[topic] !== undefined);
  if (known.length === 0) return;
  const reader = createEndReader(kafka);
  try {
    await retry(
      async () => {
        const bounds = await reader.bounds(known, signal);
        const ends = new Map(bounds.map(({ topic, partition, end }) => [`${topic}/${partition}`, end]));
        for (const topic of known) {
          for (const [partition, wanted] of Object.entries(published[topic] ?? {}))
            checkEnd(topic, partition, ends.get(`${topic}/${partition}`) ?? 0n, wanted);
        }
      },
      { signal, maxAttempts: ATTEMPTS, maxMs: 2_000, retryable: isLoss },
    );
  } finally {
    await reader.close();
  }
}

/** Throws TOPIC_LOST_EVENTS when a partition that must reach `wanted` ends before. */
export function checkEnd(topic: string, partition: string, end: bigint, wanted: string): void {
  if (end >= BigInt(wanted)) return;
  throw new RejotError("TOPIC_LOST_EVENTS", {
    detail: `${topic} partition ${partition} ends at offset ${end}, published was up to ${wanted}`,
    context: { topic, partition: Number(partition) },
  });
}

function isLoss(error: unknown): boolean {
  return error instanceof RejotError && error.code === "TOPIC_LOST_EVENTS";
}
