import { z } from "zod";
import { RejotError } from "../errors/error.ts";
import { formatLsn, type Lsn, parseLsn } from "../postgres/lsn.ts";

/**
 * What a progress topic holds, as JSON under one of three keys:
 * `progress`: how far the source is, written in the Kafka transaction of the batch it speaks of;
 * `owner`: which instance has taken the data store over, written in the first transaction of each;
 * `alive`: a sign of life of the owner, written outside of transactions.
 */
export const PROGRESS_KEYS = { progress: "progress", owner: "owner", alive: "alive" } as const;

/** An LSN as records of the progress topic have it. */
export const lsnText = z.string().regex(/^[0-9A-F]+\/[0-9A-F]+$/);

const progressSchema = z.object({
  commitLsn: lsnText,
  endLsn: lsnText,
  commitTime: z.number(),
  systemIdentifier: z.string(),
  timeline: z.number(),
  instance: z.string(),
  ends: z.record(z.string(), z.record(z.string(), z.string())),
});

const instanceSchema = z.object({ instance: z.string() });

/** How far a source is. */
export interface ProgressRecord {
  /** Commit LSN of the last transaction that is in the topics. */
  readonly commitLsn: Lsn;
  /** Where that transaction's WAL ends. */
  readonly endLsn: Lsn;
  /** Its commit time, milliseconds since 1970. */
  readonly commitTimeMs: number;
  /** Postgres' system identifier and timeline: LSNs of another cluster mean nothing. */
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** The publisher. */
  readonly instance: string;
  /** Topic → partition → the offset after the last event written, since the topic exists. */
  readonly ends: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Writes the value of a `progress` record. */
export function encodeProgress(record: ProgressRecord): string {
  const { commitLsn, endLsn, commitTimeMs, ...rest } = record;
  return JSON.stringify({
    commitLsn: formatLsn(commitLsn),
    endLsn: formatLsn(endLsn),
    commitTime: commitTimeMs,
    ...rest,
  });
}

/** Reads the value of a `progress` record. Throws PROGRESS_RECORD_INVALID. */
export function decodeProgress(value: string): ProgressRecord {
  const { commitLsn, endLsn, commitTime, ...rest } = readRecord(progressSchema, value);
  return { commitLsn: parseLsn(commitLsn), endLsn: parseLsn(endLsn), commitTimeMs: commitTime, ...rest };
}

/** Writes the value of an `owner` or `alive` record. */
export function encodeInstance(instance: string): string {
  return JSON.stringify({ instance });
}

/** Reads the value of an `owner` or `alive` record. Throws PROGRESS_RECORD_INVALID. */
export function decodeInstance(value: string): string {
  return readRecord(instanceSchema, value).instance;
}

/** Reads the value of a record of the progress topic as its form has it. Throws PROGRESS_RECORD_INVALID. */
export function readRecord<T>(schema: z.ZodType<T>, value: string): T {
  try {
    return schema.parse(JSON.parse(value));
  } catch (cause) {
    throw new RejotError("PROGRESS_RECORD_INVALID", { detail: value.slice(0, 200), cause });
  }
}
