import { consumerPlaces, consumersText } from "../../sink-connector/applier/consumer-places.ts";
import type { ConsumerPlaces, PartitionProgress, PlacesRow } from "../../sink-connector/ports.ts";

/** A row of `rejot.progress`; without consumer schemas, as a version wrote it that kept no list of them. */
export function placesRow(
  nextOffset: number,
  { position = null, consumers = null }: Partial<Pick<PlacesRow, "position" | "consumers">> = {},
): PlacesRow {
  return { nextOffset, position, consumers, text: consumers === null ? null : consumersText(consumers) };
}

/** Consumer schemas that are all at one place. */
export function placesAt(
  nextOffset: number,
  { position = null, names = ["a"] }: { position?: string | null; names?: readonly string[] } = {},
): ConsumerPlaces {
  return consumerPlaces(placesRow(nextOffset, { position }), names, 0);
}

/** A partition whose consumer schemas are all at one place. */
export function progressAt(
  topic: string,
  partition: number,
  nextOffset: number,
  position: string | null = null,
): PartitionProgress {
  return { topic, partition, nextOffset, places: placesAt(nextOffset, { position }) };
}
