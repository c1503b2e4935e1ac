import type { Destination, EventApplier, EventFeed, EventRun, ProgressMove } from "./ports.ts";

/** What a pipeline tells about its work. */
export interface PipelineObserver {
  applied(runs: readonly EventRun[], moves: readonly ProgressMove[], seconds: number): void;
  /** Another process has moved the progress of these partitions. */
  displaced(moves: readonly ProgressMove[]): void;
  placed(): void;
}

/** The stages of one destination. */
export interface PipelineStages {
  readonly feed: EventFeed;
  readonly destination: Destination;
  readonly applier: EventApplier;
  readonly observer: PipelineObserver;
}

/**
 * The whole way of a destination's events: consumer group → decode → apply with progress → report.
 * Resolves when the feed ends; throws what stops the destination. Reading ahead goes on while a batch is applied;
 * the next batch is whatever has come in the meantime.
 */
export async function runPipeline({ feed, destination, applier, observer }: PipelineStages): Promise<void> {
  for await (const item of feed) {
    if (item.kind === "assigned") {
      const places = await destination.progress(item.partitions);
      applier.place(places);
      feed.place(item.generation, places);
      observer.placed();
      continue;
    }
    const startedAt = performance.now();
    const { outcome, moves } = await applier.apply(item.runs);
    if (outcome === "stale") {
      // Believing ourselves further than the destination would skip events, believing less would repeat them.
      feed.displace(moves);
      observer.displaced(moves);
      continue;
    }
    feed.report(moves);
    observer.applied(item.runs, moves, (performance.now() - startedAt) / 1000);
  }
}
