import { type Admin, Kafka, type KafkaConfig, type logCreator, logLevel } from "kafkajs";
import { isCertificateRefused } from "../errors/certificate.ts";
import { RejotError } from "../errors/error.ts";
import { retry } from "../lifecycle/backoff.ts";
import type { KafkaConnection } from "../manifest/schema.ts";
import type { Logger } from "../observability/logger.ts";
import { watchedSockets } from "./kafka-sockets.ts";

export type { Admin, Kafka } from "kafkajs";

/**
 * kafkajs' first retry waits this long. Its default of 300 ms makes every small transaction take that long,
 * because a transaction that begins right after a commit meets CONCURRENT_TRANSACTIONS.
 */
const INITIAL_RETRY_MS = 5;
const REQUEST_TIMEOUT_MS = 30_000;

/**
 * A kafkajs instance for a connection whose secrets are resolved. kafkajs logs into `logger`, its noise as debug. A
 * connection that answers nothing for 30 s, or `longestAnswerMs` if that is longer, is given up for a new one.
 */
export function createKafka(
  connection: KafkaConnection,
  options: { clientId: string; logger: Logger; longestAnswerMs?: number },
): Kafka {
  const { ssl, sasl } = connection;
  return new Kafka({
    clientId: connection.clientId ?? options.clientId,
    brokers: connection.brokers,
    ...(ssl === undefined ? {} : { ssl: ssl as NonNullable<KafkaConfig["ssl"]> }),
    ...(sasl === undefined ? {} : { sasl: saslOptions(sasl) }),
    connectionTimeout: 5_000,
    requestTimeout: REQUEST_TIMEOUT_MS,
    socketFactory: watchedSockets(Math.max(REQUEST_TIMEOUT_MS, options.longestAnswerMs ?? 0)),
    retry: {
      initialRetryTime: INITIAL_RETRY_MS,
      factor: 0.2,
      multiplier: 2,
      maxRetryTime: 1_000,
      retries: 12,
    },
    logLevel: logLevel.INFO,
    logCreator: forwardTo(options.logger),
  });
}

function saslOptions(sasl: NonNullable<KafkaConnection["sasl"]>): NonNullable<KafkaConfig["sasl"]> {
  if (sasl.mechanism !== "oauthbearer") return sasl as NonNullable<KafkaConfig["sasl"]>;
  const { token } = sasl;
  return { mechanism: "oauthbearer", oauthBearerProvider: async () => ({ value: token }) };
}

/** kafkajs reports errors that it retries itself: what is final reaches us as an exception. */
function forwardTo(logger: Logger): logCreator {
  return () =>
    ({ namespace, level, log }) => {
      const { message, timestamp: _timestamp, logger: _name, ...fields } = log;
      const text = `${namespace}: ${message}`;
      if (level <= logLevel.WARN) logger.debug(fields, text);
      else logger.trace(fields, text);
    };
}

/** What a topic must be when it does not exist yet. */
export interface TopicSpec {
  readonly topic: string;
  readonly partitions: number;
  /** Undefined takes the broker's default. */
  readonly replicationFactor: number | undefined;
  readonly config: Readonly<Record<string, string>>;
}

/** Creates the topics that are missing. Existing ones are left as they are. Throws KAFKA_* errors. */
export async function ensureTopics(admin: Admin, specs: readonly TopicSpec[]): Promise<void> {
  try {
    const existing = new Set(await admin.listTopics());
    const missing = specs.filter((spec) => !existing.has(spec.topic));
    if (missing.length === 0) return;
    await admin.createTopics({
      // Waiting fails now and then with the very topic being unknown; whoever writes to it waits for leaders anyway.
      waitForLeaders: false,
      topics: missing.map((spec) => ({
        topic: spec.topic,
        numPartitions: spec.partitions,
        replicationFactor: spec.replicationFactor ?? -1,
        configEntries: Object.entries(spec.config).map(([name, value]) => ({ name, value })),
      })),
    });
  } catch (cause) {
    throw kafkaError(cause, "creating topics");
  }
}

/** How many partitions each topic has. Topics just created are waited for. Throws KAFKA_* errors. */
export async function partitionCounts(admin: Admin, topics: readonly string[]): Promise<Map<string, number>> {
  try {
    const metadata = await retry(() => admin.fetchTopicMetadata({ topics: [...topics] }), {
      maxAttempts: 20,
      maxMs: 500,
      retryable: (error) => protocolType(error) === "UNKNOWN_TOPIC_OR_PARTITION",
    });
    return new Map(metadata.topics.map((topic) => [topic.name, topic.partitions.length]));
  } catch (cause) {
    throw kafkaError(cause, "asking for partitions");
  }
}

/** Errors of the protocol that say this publisher has been replaced by a newer one. */
const FENCED = new Set(["INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED", "INVALID_PRODUCER_ID_MAPPING"]);
const DENIED = /AUTHORIZATION_FAILED|SASL|UNSUPPORTED_SASL|ILLEGAL_SASL/;

/**
 * Gives an error of kafkajs its code: KAFKA_FENCED, KAFKA_DENIED, KAFKA_RECORD_TOO_LARGE, KAFKA_TRANSACTION_TIMEOUT,
 * TOPIC_NAME_INVALID, CERTIFICATE_REFUSED or KAFKA_UNREACHABLE.
 */
export function kafkaError(cause: unknown, doing: string): RejotError {
  // kafkajs wraps what is thrown by those whom it calls.
  for (let e = cause; e instanceof Error; e = e.cause) if (e instanceof RejotError) return e;
  const type = protocolType(cause);
  const detail = `${doing}: ${messageOf(cause)}`;
  if (type !== undefined && FENCED.has(type)) return new RejotError("KAFKA_FENCED", { detail, cause });
  if (DENIED.test(type ?? "") || (cause instanceof Error && /SASL/.test(cause.name))) {
    return new RejotError("KAFKA_DENIED", { detail, cause });
  }
  if (type === "MESSAGE_TOO_LARGE" || type === "RECORD_LIST_TOO_LARGE") {
    return new RejotError("KAFKA_RECORD_TOO_LARGE", { detail, cause });
  }
  if (type === "INVALID_TRANSACTION_TIMEOUT")
    return new RejotError("KAFKA_TRANSACTION_TIMEOUT", { detail, cause });
  if (type === "INVALID_TOPIC_EXCEPTION") return new RejotError("TOPIC_NAME_INVALID", { detail, cause });
  return new RejotError(isCertificateRefused(cause) ? "CERTIFICATE_REFUSED" : "KAFKA_UNREACHABLE", {
    detail,
    cause,
  });
}

/** What the protocol names an error, through kafkajs' wrappers; the first of several. */
export function protocolType(error: unknown): string | undefined {
  for (let e = error; e instanceof Error; e = partsOf(e)[0] ?? e.cause) {
    const type = (e as { type?: unknown }).type;
    if (typeof type === "string") return type;
  }
  return undefined;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return [error, ...partsOf(error)].map(({ message }) => message).join(": ");
}

/** kafkajs gives what is wrong with each of several topics as an error of its own. */
function partsOf(error: Error): Error[] {
  const { errors } = error as { errors?: unknown };
  return Array.isArray(errors) ? errors.filter((each) => each instanceof Error) : [];
}
