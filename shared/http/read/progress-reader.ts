import type { CommittedRecord } from "../../kafka/committed-records.ts";
import type { KafkaReader, PartitionBounds } from "../../kafka/kafka-reader.ts";
import { atLeast } from "../../kafka/offsets.ts";
import { decodeProgress, PROGRESS_KEYS, type ProgressRecord } from "../../kafka/progress-record.ts";

const FETCH_BYTES = 64 * 1024;
const FIRST_STEP = 16n;

/**
 * The newest committed progress record of a data store; undefined when it has published nothing yet.
 * Signs of life stand between progress records, so the topic is searched from its end with growing steps.
 */
export async function readProgress(
  reader: KafkaReader,
  topic: string,
  signal: AbortSignal,
): Promise<ProgressRecord | undefined> {
  const [bounds] = await reader.bounds([topic], signal);
  if (bounds === undefined) return undefined;
  for (let step = FIRST_STEP, to = bounds.end; to > bounds.start; step *= 8n) {
    const from = atLeast(bounds.end - step, bounds.start);
    const found = await newestBetween(reader, bounds, from, to, signal);
    if (found !== undefined) return found;
    to = from;
  }
  return undefined;
}

async function newestBetween(
  reader: KafkaReader,
  bounds: PartitionBounds,
  from: bigint,
  to: bigint,
  signal: AbortSignal,
): Promise<ProgressRecord | undefined> {
  let newest: CommittedRecord | undefined;
  for (let offset = from; offset < to; ) {
    const page = await reader.fetch(bounds, offset, FETCH_BYTES, signal);
    for (const record of page.records) {
      if (record.offset < to && isProgress(record)) newest = record;
    }
    offset = page.nextOffset;
  }
  return newest?.value === undefined || newest.value === null
    ? undefined
    : decodeProgress(newest.value.toString());
}

function isProgress({ key, value }: CommittedRecord): boolean {
  return value !== null && key !== null && key.toString() === PROGRESS_KEYS.progress;
}
