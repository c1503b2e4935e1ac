import { RejotError } from "../../errors/error.ts";
import type { KafkaReader, PartitionBounds } from "../../kafka/kafka-reader.ts";
import { atLeast } from "../../kafka/offsets.ts";
import { comparePositions } from "../../kafka/position.ts";
import type { ProgressRecord } from "../../kafka/progress-record.ts";
import { delay } from "../../lifecycle/backoff.ts";
import type { ResolvedPublicSchema } from "../../manifest/workspace.ts";
import type { Lsn } from "../../postgres/lsn.ts";
import { type LocatePage, locate } from "./locate.ts";
import { mergeOrdered } from "./merge.ts";
import type { OffsetMemory } from "./offset-memory.ts";
import { PartitionEvents, type Stretch, type TopicEvent, topicEvent } from "./partition-events.ts";
import type { ReadCursor } from "./port.ts";
import { readProgress } from "./progress-reader.ts";

/** A public schema with where its reader is. */
export interface SchemaToRead {
  readonly publicSchema: ResolvedPublicSchema;
  readonly cursor: Omit<ReadCursor, "schema">;
}

/** An event with its place in the stream of its data store's transactions. */
export interface DataStoreEvent extends TopicEvent {
  readonly publicSchema: ResolvedPublicSchema;
  readonly partition: number;
  /** Whether it is the first of its transaction among the schemas read. */
  readonly begins: boolean;
}

/** Public schemas of one data store, whose transactions have one order. */
export interface DataStoreToRead {
  readonly reader: KafkaReader;
  readonly memory: OffsetMemory;
  readonly progressTopic: string;
  readonly schemas: readonly SchemaToRead[];
  readonly maxFetchBytes: number;
}

/** About what all fetches of one request may hold together. */
const FETCH_BUDGET_BYTES = 32 * 1024 * 1024;
const MIN_FETCH_BYTES = 64 * 1024;
const LOCATE_FETCH_BYTES = 4 * 1024;
/** A transaction's markers reach its partitions one after the other: the progress topic may be first. */
const MARKERS_TIMEOUT_MS = 5_000;
const MARKERS_POLL_MS = 10;

/**
 * Whole transactions of one data store in commit order, from the schemas' cursors up to the last transaction that
 * the progress topic declares complete. `remember` is to be called with what was passed on to the reader.
 */
export class DataStoreEvents implements AsyncIterable<DataStoreEvent> {
  readonly #store: DataStoreToRead;
  readonly #partitions: { schema: SchemaToRead; events: PartitionEvents }[];

  private constructor(
    store: DataStoreToRead,
    partitions: { schema: SchemaToRead; events: PartitionEvents }[],
  ) {
    this.#store = store;
    this.#partitions = partitions;
  }

  /** Finds the place to start in every partition. Throws READ_UNAVAILABLE and KAFKA_*. */
  static async open(store: DataStoreToRead, signal: AbortSignal): Promise<DataStoreEvents> {
    const { reader, schemas } = store;
    const progress = await readProgress(reader, store.progressTopic, signal);
    if (progress === undefined) return new DataStoreEvents(store, []);
    const topics = schemas.map(({ publicSchema }) => publicSchema.topic);
    const bounds = await completeBounds(reader, topics, progress, signal);
    const budget = BigInt(Math.floor(FETCH_BUDGET_BYTES / Math.max(1, bounds.length)));
    const fetchBytes = Math.min(store.maxFetchBytes, Math.max(MIN_FETCH_BYTES, Number(budget)));
    const partitions = await Promise.all(
      bounds.map(async (partition) => {
        const schema = schemas.find((s) => s.publicSchema.topic === partition.topic) as SchemaToRead;
        const from = await startOf(store, schema, partition, signal);
        const { after } = schema.cursor;
        const stretch: Stretch = { bounds: partition, from, after, upTo: progress.commitLsn, fetchBytes };
        return { schema, events: new PartitionEvents(reader, stretch, signal) };
      }),
    );
    return new DataStoreEvents(store, partitions);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<DataStoreEvent> {
    const streams = this.#partitions.map(async function* ({ schema, events }) {
      const { partition } = events.stretch.bounds;
      for await (const event of events) yield { ...event, publicSchema: schema.publicSchema, partition };
    });
    let current: Lsn | undefined;
    for await (const event of mergeOrdered(streams, (a, b) => comparePositions(a.position, b.position))) {
      const begins = event.position.commitLsn !== current;
      current = event.position.commitLsn;
      yield { ...event, begins };
    }
  }

  /**
   * Notes where a reader goes on that comes back with the cursors it now has.
   * @param passed the last event passed on per partition, `<topic>/<partition>`
   * @param complete whether everything up to the progress was passed on
   */
  remember(passed: ReadonlyMap<string, DataStoreEvent>, complete: boolean): void {
    const lastOfTopic = new Map<string, Lsn>();
    for (const { publicSchema, position } of passed.values()) {
      const known = lastOfTopic.get(publicSchema.topic);
      if (known === undefined || position.commitLsn > known) {
        lastOfTopic.set(publicSchema.topic, position.commitLsn);
      }
    }
    for (const { schema, events } of this.#partitions) {
      // Such a reader skips what others who hold the same transaction as cursor have still to read.
      if (schema.cursor.offsets !== undefined) continue;
      const { bounds, from, after } = events.stretch;
      const { topic, partition, end } = bounds;
      const cursor = lastOfTopic.get(topic) ?? after;
      if (cursor === null) continue;
      const last = passed.get(`${topic}/${partition}`);
      const behind = last === undefined ? from : last.offset + 1n;
      this.#store.memory.set(topic, partition, cursor, complete && events.reachedEnd ? end : behind);
    }
  }
}

/** The bounds of all partitions, once they hold everything that the progress record speaks of. */
async function completeBounds(
  reader: KafkaReader,
  topics: readonly string[],
  progress: ProgressRecord,
  signal: AbortSignal,
): Promise<PartitionBounds[]> {
  const deadline = performance.now() + MARKERS_TIMEOUT_MS;
  for (;;) {
    const bounds = await reader.bounds(topics, signal);
    const late = bounds.find(
      ({ topic, partition, end }) => end < BigInt(progress.ends[topic]?.[partition] ?? "0"),
    );
    if (late === undefined) return bounds;
    if (performance.now() > deadline) {
      throw new RejotError("READ_UNAVAILABLE", {
        detail: `${late.topic}/${late.partition} ends before what the progress topic says is in it`,
      });
    }
    await delay(MARKERS_POLL_MS, signal);
  }
}

async function startOf(
  { reader, memory }: DataStoreToRead,
  { cursor }: SchemaToRead,
  bounds: PartitionBounds,
  signal: AbortSignal,
): Promise<bigint> {
  const given = cursor.offsets?.get(bounds.partition);
  if (given !== undefined) return atLeast(given, bounds.start);
  if (cursor.after === null) return bounds.start;
  const known = memory.get(bounds.topic, bounds.partition, cursor.after);
  if (known !== undefined && known >= bounds.start && known <= bounds.end) return known;
  const found = await locate(cursor.after, bounds, async (offset): Promise<LocatePage> => {
    const page = await reader.fetch(bounds, offset, LOCATE_FETCH_BYTES, signal);
    const events = page.records.map((record) => {
      const { position } = topicEvent(record);
      return { offset: record.offset, commitLsn: position.commitLsn };
    });
    return { events, nextOffset: page.nextOffset };
  });
  memory.set(bounds.topic, bounds.partition, cursor.after, found);
  return found;
}
