import type { SinkProgress, StoredPlaces } from "./destination.ts";

/** Consumer schemas of rows that have no list of them. */
const UNLISTED = "";

/** Knows how long a sink's consumer schemas have been where they are. One for all comparisons with a destination. */
export class SinkWatch {
  readonly #seen = new Map<string, readonly StoredPlaces[]>();
  readonly #movedMs = new Map<string, number>();
  #startMs: number | undefined;

  see({ stored }: SinkProgress, nowMs: number): void {
    const isFirst = this.#startMs === undefined;
    this.#startMs ??= nowMs;
    for (const [topic, rows] of stored) {
      const before = this.#seen.get(topic);
      this.#seen.set(topic, rows);
      if (isFirst) continue;
      for (const name of namesIn([...(before ?? []), ...rows]))
        if (before === undefined || behindOf(before, name) !== behindOf(rows, name))
          this.#movedMs.set(keyOf(topic, name), nowMs);
    }
  }

  /** Whether a consumer schema of a topic, or one that it waits for, moved at that time or after it, as far as was seen. */
  movedSince(topic: string, name: string, ms: number): boolean {
    const movedMs = this.#lastMovedMs(topic, name);
    return movedMs !== undefined && movedMs >= ms;
  }

  /** For how long it has been seen where it is. */
  stillMs(topic: string, name: string, nowMs: number): number {
    return nowMs - (this.#lastMovedMs(topic, name) ?? this.#startMs ?? nowMs);
  }

  #lastMovedMs(topic: string, name: string): number | undefined {
    const times = [name, UNLISTED].flatMap((each) => this.#movedMs.get(keyOf(topic, each)) ?? []);
    return times.length === 0 ? undefined : Math.max(...times);
  }
}

function keyOf(topic: string, name: string): string {
  return JSON.stringify([topic, name]);
}

function namesIn(rows: readonly StoredPlaces[]): Set<string> {
  return new Set(rows.flatMap(({ places }) => (places === null ? [UNLISTED] : [...places.keys()])));
}

/** Where a consumer schema is in each partition, and where those are that are no further: it waits for them. */
function behindOf(rows: readonly StoredPlaces[], name: string): string {
  return rows
    .map(({ partition, nextOffset, places }) => {
      if (places === null) return name === UNLISTED ? `${partition}@${nextOffset}` : "";
      const own = places.get(name);
      const behind = own === undefined ? [] : [...places].filter(([, at]) => at <= own);
      return `${partition}@${behind.map(([each, at]) => `${each}@${at}`).join()}`;
    })
    .join(";");
}
