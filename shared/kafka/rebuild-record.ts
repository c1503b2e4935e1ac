import { z } from "zod";
import { lsnText, readRecord } from "./progress-record.ts";

/** Key of the record of the progress topic that says that the topics were, or are, rebuilt from what is there. */
export const REBUILD_KEY = "rebuild";

const recordSchema = z.object({
  id: z.string(),
  /** Code and message of what was found. */
  reason: z.string(),
  /** Published was up to here, and the stream goes on there: what lies between is read from the tables. */
  from: lsnText,
  to: lsnText,
  /** Milliseconds since 1970. */
  startedAt: z.number(),
  /** The public schemas whose backfill is part of it, as in their records' keys. */
  schemas: z.array(z.string()),
});

/** The last rebuild of a data store. It is over when the backfills of all its schemas are. */
export type RebuildRecord = Readonly<z.infer<typeof recordSchema>>;

/** Writes the record. */
export function encodeRebuild(record: RebuildRecord): { key: string; value: string } {
  return { key: REBUILD_KEY, value: JSON.stringify(record) };
}

/** Reads the value of the record. Throws PROGRESS_RECORD_INVALID. */
export function decodeRebuild(value: string): RebuildRecord {
  return readRecord(recordSchema, value);
}
