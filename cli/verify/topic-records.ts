import type { CommittedRecord } from "../../shared/kafka/committed-records.ts";
import type { KafkaReader, PartitionBounds } from "../../shared/kafka/kafka-reader.ts";
import { CHANGE_HEADER, parseChange } from "../../shared/kafka/position.ts";

const FETCH_BYTES = 512 * 1024;

/** Some committed records of one partition. */
export interface RecordPage {
  readonly partition: number;
  readonly records: readonly CommittedRecord[];
}

/** All committed records within the bounds, partition by partition, in the order of their offsets. Throws KAFKA_*. */
export async function* topicRecords(
  reader: KafkaReader,
  bounds: readonly PartitionBounds[],
  signal: AbortSignal,
): AsyncGenerator<RecordPage> {
  for (const at of bounds) {
    for (let offset = at.start; offset < at.end; ) {
      const page = await reader.fetch(at, offset, FETCH_BYTES, signal);
      const inside = page.records.filter((record) => record.offset < at.end);
      if (inside.length > 0) yield { partition: at.partition, records: inside };
      offset = page.nextOffset;
    }
  }
}

/** About how many records there are; compaction may have left fewer. */
export function countWithin(bounds: readonly PartitionBounds[]): number {
  return bounds.reduce((sum, { start, end }) => sum + Number(end - start), 0);
}

/** The commit LSN of a record; undefined for one that does not come from a source. */
export function commitLsnOf({ headers }: CommittedRecord): bigint | undefined {
  const header = headers[CHANGE_HEADER];
  try {
    return parseChange(Array.isArray(header) ? header[0] : header).position.commitLsn;
  } catch {
    return undefined;
  }
}
