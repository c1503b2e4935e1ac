import type { SinkProgress } from "./destination.ts";

interface Seen {
  readonly stored: string;
  /** When they were first seen. */
  readonly sinceMs: number;
  /** Whether the first look found others, or none. */
  readonly moved: boolean;
}

/** Knows how long a sink's offsets have been what they are. One for all comparisons with a destination. */
export class SinkWatch {
  readonly #seen = new Map<string, Seen>();
  #startMs: number | undefined;

  see({ stored }: SinkProgress, nowMs: number): void {
    const isFirst = this.#startMs === undefined;
    this.#startMs ??= nowMs;
    for (const [topic, text] of stored) {
      const before = this.#seen.get(topic);
      if (before?.stored === text) continue;
      this.#seen.set(topic, { stored: text, sinceMs: nowMs, moved: !isFirst });
    }
  }

  /** Whether the topic's offsets moved at that time or after it, as far as they were seen. */
  movedSince(topic: string, ms: number): boolean {
    const seen = this.#seen.get(topic);
    return seen?.moved === true && seen.sinceMs >= ms;
  }

  /** For how long the topic's offsets have been seen as they are. */
  stillMs(topic: string, nowMs: number): number {
    return nowMs - (this.#seen.get(topic)?.sinceMs ?? this.#startMs ?? nowMs);
  }
}
