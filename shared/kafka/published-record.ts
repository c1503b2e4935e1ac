import { z } from "zod";
import { readRecord } from "./progress-record.ts";

/** Key of the record of the progress topic that says which public schemas the stream follows, and by which tables. */
export const PUBLISHED_KEY = "published";

const tables = z.array(z.string());

const recordSchema = z.object({
  /** By name and major, `<name>.v<major>`. */
  schemas: z.record(
    z.string(),
    z.object({
      /** The tables whose changes become events of it; none while the manifest does not have it. */
      uses: tables,
      /** Tables that it used once: the stream does not follow them any more, so what changes there is missed. */
      left: tables,
    }),
  ),
});

/** What is published since the last source has taken over. */
export type PublishedRecord = Readonly<z.infer<typeof recordSchema>>;

/** Writes the record. */
export function encodePublished(record: PublishedRecord): { key: string; value: string } {
  return { key: PUBLISHED_KEY, value: JSON.stringify(record) };
}

/** Reads the value of the record. Throws PROGRESS_RECORD_INVALID. */
export function decodePublished(value: string): PublishedRecord {
  return readRecord(recordSchema, value);
}
