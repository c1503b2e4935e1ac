import type { BackfillRecord } from "../../shared/kafka/backfill-record.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import type { EncodedEvent } from "../ports.ts";
import { Rate } from "./rate.ts";
import type { Removal } from "./removal.ts";

/** A public schema as its backfill knows it. */
export interface BackfilledTopic {
  /** Index into the source's public schemas. */
  readonly schema: number;
  /** Its name in records and commands. */
  readonly name: string;
  readonly topic: string;
  readonly mode: "auto" | "manual";
}

/** What has landed of a backfill. */
export interface Counts {
  events: number;
  overtaken: number;
  removed: number;
}

/** A public schema's backfill in this session. */
export interface Job extends BackfilledTopic {
  /** With everything that is on its way. */
  record: BackfillRecord | undefined;
  /** Of what has landed; another object for another record. */
  counts: Counts;
  /** Whether the tables were looked up in this session. */
  ready: boolean;
  /** Whether nothing is on its way through the stream any more that was made before it began, or before it was quiet. */
  watched: boolean;
  /** Failed attempts at the same chunk, one after the other. */
  attempts: number;
  /** When the rate allows the next chunk, by `performance.now()`. */
  notBeforeMs: number;
  readonly rate: Rate;
  /** What is left over, as far as it was looked for in this session. */
  removal: Removal | undefined;
}

const NOWHERE = { commitLsn: 0n as Lsn, index: 0 };

/** What a record says has landed. */
export function countsOf(record: BackfillRecord | undefined): Counts {
  return {
    events: record?.events ?? 0,
    overtaken: record?.overtaken ?? 0,
    removed: record?.removed ?? 0,
  };
}

/** A tombstone with a position that means nothing yet. */
export function tombstoneOf(topic: string, key: Buffer): EncodedEvent {
  return { topic, key, value: null, change: "", position: NOWHERE, timestampMs: 0 };
}

/** What a job begins a run with, and begins again with after a command. */
function fresh(): Pick<Job, "ready" | "watched" | "attempts" | "notBeforeMs"> {
  return { ready: false, watched: false, attempts: 0, notBeforeMs: 0 };
}

/** Lets a job look at its tables anew, at once. */
export function refresh(job: Job): void {
  Object.assign(job, fresh());
}

/** A job that has done nothing yet. */
export function newJob(topic: BackfilledTopic, record: BackfillRecord | undefined): Job {
  return { ...topic, record, counts: countsOf(record), rate: new Rate(), removal: undefined, ...fresh() };
}
