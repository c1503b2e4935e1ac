import { SchemaRegistry } from "@kafkajs/confluent-schema-registry";
import { createKafka } from "../../../shared/kafka/kafka-client.ts";
import { createEndReader } from "../../../shared/kafka/kafka-reader.ts";
import { CHANGE_HEADER, type ChangeOp, type Position, parseChange } from "../../../shared/kafka/position.ts";
import type { KafkaConnection } from "../../../shared/manifest/schema.ts";
import { createLogger } from "../../../shared/observability/logger.ts";
import type { SeenEvent } from "./arrivals.ts";

const ENDS_TIMEOUT_MS = 10_000;

/** An event as any consumer of the topic can read it. */
export interface TopicEvent extends SeenEvent {
  readonly op: ChangeOp;
  readonly position: Position;
  /** The key's values, joined. */
  readonly key: string;
  readonly tombstone: boolean;
}

/** Reads the topics as a consumer of its own, beside the sink. */
export interface TopicWatch extends AsyncDisposable {
  /** Whether everything has been read that the topics held when the call was made. */
  caughtUp(): Promise<boolean>;
}

/** Starts reading from the beginning of the topics, committed transactions only. */
export async function watchTopics(
  connection: KafkaConnection,
  topics: readonly string[],
  seen: (event: TopicEvent) => void,
): Promise<TopicWatch> {
  const kafka = createKafka(connection, { clientId: "shopjot-demo", logger: createLogger("demo") });
  const registry = new SchemaRegistry({ host: connection.schemaRegistry.url });
  const ends = createEndReader(kafka);
  const consumer = kafka.consumer({ groupId: `shopjot-demo-${process.pid}`, maxWaitTimeInMs: 50 });
  const read = new Map<string, number>();
  await consumer.connect();
  // Emitted also for batches that hold nothing but the markers of transactions.
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    read.set(`${payload.topic}/${payload.partition}`, Number(payload.lastOffset) + 1);
  });
  await consumer.subscribe({ topics: [...topics], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      const { op, position } = parseChange(message.headers?.[CHANGE_HEADER] as Buffer | undefined);
      const key: object = message.key === null ? {} : await registry.decode(message.key);
      seen({
        topic,
        partition,
        offset: Number(message.offset),
        committedMs: Number(message.timestamp),
        op,
        position,
        key: Object.values(key).join(", "),
        tombstone: message.value === null,
      });
    },
  });
  return {
    caughtUp: async () => {
      const bounds = await ends.bounds(topics, AbortSignal.timeout(ENDS_TIMEOUT_MS));
      return bounds.every(
        ({ topic, partition, end }) => (read.get(`${topic}/${partition}`) ?? 0) >= Number(end),
      );
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.allSettled([consumer.disconnect(), ends.close()]);
    },
  };
}
