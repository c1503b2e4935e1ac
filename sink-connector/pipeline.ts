import { isRetryableOnceWorked, RejotError } from "../shared/errors/error.ts";
import {
  consumersOf,
  type Destination,
  type EventApplier,
  type EventFeed,
  type EventRun,
  type FeedItem,
  type Hold,
  type Holds,
  type PartitionPoint,
  type PartitionProgress,
  type ProgressMove,
  type TopicConsumerSchema,
} from "./ports.ts";

type Assigned = Extract<FeedItem, { kind: "assigned" }>;

/** What a pipeline tells about its work. */
export interface PipelineObserver {
  applied(runs: readonly EventRun[], moves: readonly ProgressMove[], seconds: number): void;
  /** Another process has moved the progress of these partitions. */
  displaced(moves: readonly ProgressMove[]): void;
  /** The destination has said where these partitions are. */
  placed(places: readonly PartitionProgress[]): void;
  /** An error holds up its topic; it is new, or was there when the topic was tried again. */
  held(error: RejotError, isNew: boolean): void;
}

/** The stages of one destination. */
export interface PipelineStages {
  /** All topics of the destination: also those that other members of the group read, and those that do not exist yet. */
  readonly topics: readonly string[];
  /** The destination's consumer schemas. */
  readonly consumers: readonly TopicConsumerSchema[];
  readonly feed: EventFeed;
  readonly destination: Destination;
  readonly applier: EventApplier;
  readonly holds: Holds;
  readonly observer: PipelineObserver;
}

/**
 * The whole way of a destination's events: consumer group → decode → apply with progress → report.
 * Resolves when the feed ends; throws what stops the destination. Reading ahead goes on while a batch is applied;
 * the next batch is whatever has come in the meantime. An error of one topic holds up that topic, one of a consumer
 * schema only that one, and is thrown only when it leaves nothing to do to anybody: a row that is missing may be brought
 * by another topic, consumer schema, or member.
 */
export async function runPipeline(stages: PipelineStages): Promise<void> {
  const { feed } = stages;
  let generation = -1;
  for await (const item of feed) {
    if (item.kind === "assigned" && item.generation !== generation) {
      generation = item.generation;
      stages.holds.clear();
    }
    try {
      if (item.kind === "assigned") await place(stages, item);
      else await apply(stages, item.runs);
    } catch (error) {
      holdUp(stages, item.kind === "assigned" ? [] : item.runs, error);
    }
  }
}

async function place({ feed, destination, applier, holds, observer }: PipelineStages, item: Assigned) {
  const places = await destination.progress(item.partitions, (topic) => holds.heldOf(topic));
  applier.place(places);
  await feed.examine(places);
  feed.place(item.generation, places);
  holds.passed(places);
  observer.placed(places);
}

async function apply({ feed, applier, observer }: PipelineStages, runs: readonly EventRun[]) {
  const startedAt = performance.now();
  const { outcome, moves } = await applier.apply(runs);
  if (outcome === "stale") {
    // Believing ourselves further than the destination would skip events, believing less would repeat them.
    feed.displace(moves);
    observer.displaced(moves);
    return;
  }
  feed.report(moves);
  observer.applied(runs, moves, (performance.now() - startedAt) / 1000);
}

/** Lets the others go on without the topic, or the consumer schema, that an error names, or throws it. */
function holdUp(stages: PipelineStages, runs: readonly EventRun[], error: unknown): void {
  const { topics, feed, holds, observer } = stages;
  const at = placeOf(error);
  if (at === undefined || !(error instanceof RejotError)) throw error;
  // Given to another member meanwhile: it will see for itself.
  if (!feed.owns(at)) return;
  const { delayMs, isNew } = holds.hold(at, error);
  const stopped = holds.all.filter((hold) => !isRetryableOnceWorked(hold.error));
  if (holds.areTried && topics.every((topic) => standsStill(stages, topic, stopped) && feed.ownsAllOf(topic)))
    throw error;
  const pauseMs = at.consumerSchema === undefined ? delayMs : pauseOfAll(stages, at.topic);
  if (at.consumerSchema !== undefined) feed.revisit(at.topic, at.consumerSchema, delayMs);
  if (pauseMs !== undefined) feed.hold(at.topic, pauseMs);
  // How much of the batch was applied is for the destination to say.
  feed.displace(pauseMs === undefined ? [...runs, at] : runs.filter(({ topic }) => topic !== at.topic));
  observer.held(error, isNew);
}

/** How long a topic has nobody to be read for; undefined while one of its consumer schemas can go on, or be tried. */
function pauseOfAll({ consumers, holds }: PipelineStages, topic: string): number | undefined {
  const held = holds.heldOf(topic);
  const pauses = consumersOf(consumers, topic).map((name) => held.get(name));
  return pauses.some((ms) => ms === undefined) ? undefined : Math.min(...pauses.map((ms) => ms ?? 0));
}

/** Whether something holds up all of a topic, or each of its consumer schemas. */
function standsStill(
  { consumers }: PipelineStages,
  topic: string,
  holds: readonly Pick<Hold, "at">[],
): boolean {
  const held = holds.filter(({ at }) => at.topic === topic).map(({ at }) => at.consumerSchema);
  if (held.includes(undefined)) return true;
  return consumersOf(consumers, topic).every((name) => held.includes(name));
}

/** Where in a topic an error is; undefined when it concerns more than one topic. */
function placeOf(error: unknown): PartitionPoint | undefined {
  if (!(error instanceof RejotError)) return undefined;
  const { topic, partition, offset, consumerSchema } = error.context;
  if (typeof topic !== "string" || typeof partition !== "number") return undefined;
  return {
    topic,
    partition,
    ...(typeof offset === "number" ? { offset } : {}),
    ...(typeof consumerSchema === "string" ? { consumerSchema } : {}),
  };
}
