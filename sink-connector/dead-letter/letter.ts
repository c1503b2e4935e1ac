import type { CommittedRecord } from "../../shared/kafka/committed-records.ts";
import { CHANGE_HEADER } from "../../shared/kafka/position.ts";
import { sqlState } from "../../shared/postgres/client.ts";
import type { DeadLetter, KafkaRecord, TopicPartition } from "../ports.ts";

/** Longer messages would only make the record larger than the topic accepts. */
const MAX_MESSAGE_CHARACTERS = 4_000;

/** All letters of a topic are in one partition, so that an offset names one. */
export const LETTER_PARTITION = 0;

/** A record of a dead-letter topic: key and value are the original bytes. */
export interface DeadLetterRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Record<string, string | Buffer>;
}

/** The headers that say what could not be applied, where it stands and why. */
export function deadLetterRecord(
  { event, failure }: DeadLetter,
  where: { readonly group: string; readonly consumerName: string },
  now: Date,
): DeadLetterRecord {
  const { topic, partition, record } = event;
  const { cause, code, message } = failure.error;
  const state = sqlState(cause);
  return {
    key: record.key,
    value: record.value,
    headers: {
      ...(record.change === undefined ? {} : { [CHANGE_HEADER]: record.change }),
      "rejot.dlq.topic": topic,
      "rejot.dlq.partition": String(partition),
      "rejot.dlq.offset": String(record.offset),
      "rejot.dlq.timestamp": new Date(record.timestampMs).toISOString(),
      "rejot.dlq.group": where.group,
      "rejot.dlq.consumer-schema": where.consumerName,
      "rejot.dlq.operation": record.value === null ? "delete" : "upsert",
      "rejot.dlq.error-code": code,
      "rejot.dlq.error": message.slice(0, MAX_MESSAGE_CHARACTERS),
      ...(state === undefined ? {} : { "rejot.dlq.sql-state": state }),
      "rejot.dlq.failed-at": now.toISOString(),
    },
  };
}

/** What a dead letter says of its event and of why it was set aside. */
export interface LetterContent extends TopicPartition {
  readonly offset: number;
  readonly consumerName: string;
  /** The event as it was published. */
  readonly record: KafkaRecord;
  readonly errorCode: string;
  readonly error: string;
  readonly sqlState: string | undefined;
}

/** Reads a record of a dead letters' topic back; undefined when somebody else wrote it. */
export function readLetter(record: CommittedRecord): LetterContent | undefined {
  const header = (name: string): string | undefined => {
    const value = record.headers[name];
    return value === undefined ? undefined : String(value);
  };
  const topic = header("rejot.dlq.topic");
  const consumerName = header("rejot.dlq.consumer-schema");
  const [partition, offset] = [header("rejot.dlq.partition"), header("rejot.dlq.offset")].map(Number);
  if (topic === undefined || consumerName === undefined) return undefined;
  if (!Number.isSafeInteger(partition) || !Number.isSafeInteger(offset)) return undefined;
  const change = record.headers[CHANGE_HEADER];
  return {
    topic,
    partition: partition as number,
    offset: offset as number,
    consumerName,
    record: {
      offset: offset as number,
      key: record.key,
      value: record.value,
      timestampMs: Date.parse(header("rejot.dlq.timestamp") ?? ""),
      change: change === undefined ? undefined : Buffer.from(String(change), "latin1"),
      transactional: true,
    },
    errorCode: header("rejot.dlq.error-code") ?? "",
    error: header("rejot.dlq.error") ?? "",
    sqlState: header("rejot.dlq.sql-state"),
  };
}
