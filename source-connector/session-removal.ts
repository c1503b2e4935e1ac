import { randomUUID } from "node:crypto";
import { type BackfillCommand, type BackfillRecord, backfillName } from "../shared/kafka/backfill-record.ts";
import { createEndReader, type PartitionBounds } from "../shared/kafka/kafka-reader.ts";
import { newRecord } from "./backfill/course.ts";
import type { ProgressWatcher } from "./progress/kafka-progress.ts";
import type { SessionContext } from "./session-context.ts";
import type { Transformations } from "./session-transformations.ts";

/** What backfills are made from that remove as well. */
export interface RemovalContext {
  readonly context: SessionContext;
  readonly transformations: Transformations;
  /** How many partitions the publisher writes to, by topic. */
  readonly partitions: ReadonlyMap<string, number>;
  readonly watcher: Pick<ProgressWatcher, "commands" | "backfills">;
}

/**
 * Backfills that read all rows of the public schemas and then remove what was published before and has not come again. All
 * publishers before must be fenced: what stands before the topics' ends is what they left. Throws KAFKA_*.
 */
export async function removingBackfills(
  { context, transformations, partitions, watcher }: RemovalContext,
  names: ReadonlySet<string>,
): Promise<Map<string, BackfillRecord>> {
  const { publicSchemas } = context.source;
  const ends = await readEnds(
    context,
    publicSchemas.flatMap(({ schema, topic }) => (names.has(backfillName(schema)) ? [topic] : [])),
  );
  const records = new Map<string, BackfillRecord>();
  for (const [i, { schema, topic }] of publicSchemas.entries()) {
    const name = backfillName(schema);
    if (!names.has(name)) continue;
    const command = commandBefore(watcher.commands.get(name), watcher.backfills.get(name));
    const order = { id: randomUUID(), where: null, rowsPerSecond: null, command, nowMs: Date.now() };
    // Without a transformation for deletes, a schema publishes no tombstones.
    const removes = transformations.uses.some((use) => use.schema === i && use.emit === "tombstone");
    const removal = removes ? { ends: endsOf(topic, ends, partitions.get(topic) ?? 0), partition: 0 } : null;
    records.set(name, { ...newRecord({ ...order, uses: transformations.reader.uses(i) }), removal });
  }
  return records;
}

/**
 * The command that counts as followed. The last one is from before, and the topic keeps it: it must not pause or cancel what
 * begins now. One to start that nobody has followed is still to be heard: it may have a condition, which is then refused aloud.
 */
function commandBefore(
  command: BackfillCommand | undefined,
  record: BackfillRecord | undefined,
): string | null {
  const isHeard = command?.action !== "start" || command.id === record?.command;
  return (isHeard ? command?.id : record?.command) ?? null;
}

async function readEnds(
  { kafka, control }: SessionContext,
  topics: readonly string[],
): Promise<PartitionBounds[]> {
  const reader = createEndReader(kafka);
  try {
    return await reader.bounds(topics, control.abort);
  } finally {
    await reader.close();
  }
}

/** Without partitions that were added since the publisher has counted them: as long as it does not, keys stay where they were. */
function endsOf(topic: string, bounds: readonly PartitionBounds[], count: number): Record<string, string> {
  const own = bounds.filter((candidate) => candidate.topic === topic && candidate.partition < count);
  return Object.fromEntries(own.map(({ partition, end }) => [String(partition), String(end)]));
}
