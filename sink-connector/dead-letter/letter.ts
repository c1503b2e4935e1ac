import { CHANGE_HEADER } from "../../shared/kafka/position.ts";
import { sqlState } from "../../shared/postgres/client.ts";
import type { DeadLetter } from "../ports.ts";

/** Longer messages would only make the record larger than the topic accepts. */
const MAX_MESSAGE_CHARACTERS = 4_000;

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
