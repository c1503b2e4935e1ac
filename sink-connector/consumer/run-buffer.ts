import { type EventRun, partitionName } from "../ports.ts";

/** How much is read ahead of the destination. */
export interface BufferLimits {
  readonly maxRows: number;
  readonly maxBytes: number;
}

/** Runs that wait to be applied, in the order they came: what arrived together is applied together. */
export class RunBuffer {
  readonly #limits: BufferLimits;
  #runs: EventRun[] = [];
  #rows = 0;
  #bytes = 0;

  constructor(limits: BufferLimits) {
    this.#limits = limits;
  }

  get rows(): number {
    return this.#rows;
  }

  /** What waits, in the order it came. */
  get runs(): readonly EventRun[] {
    return this.#runs;
  }

  /** When the oldest event that waits was committed at the source, in milliseconds since 1970. */
  get oldestTimestampMs(): number | undefined {
    return oldestTimestampMs(this.#runs);
  }

  /** Whether reading should pause. One run always fits, whatever its size. */
  get isFull(): boolean {
    return this.#rows >= this.#limits.maxRows || this.#bytes >= this.#limits.maxBytes;
  }

  get isEmpty(): boolean {
    return this.#runs.length === 0;
  }

  add(run: EventRun): void {
    this.#runs.push(run);
    this.#rows += run.events.length;
    this.#bytes += run.bytes;
  }

  /** The oldest runs up to `maxRows` events and about `maxBytes`; a longer run is cut, its rest stays the oldest. */
  take(maxRows: number, maxBytes: number): EventRun[] {
    const taken: EventRun[] = [];
    let rows = 0;
    let bytes = 0;
    let used = 0;
    for (const run of this.#runs) {
      if (rows >= maxRows || (taken.length > 0 && bytes + run.bytes > maxBytes)) break;
      const cut = run.events[maxRows - rows];
      if (cut !== undefined) {
        const share = Math.round((run.bytes * (maxRows - rows)) / run.events.length);
        taken.push({
          ...run,
          events: run.events.slice(0, maxRows - rows),
          endOffset: cut.record.offset,
          bytes: share,
        });
        this.#runs[used] = { ...run, events: run.events.slice(maxRows - rows), bytes: run.bytes - share };
        rows = maxRows;
        bytes += share;
        break;
      }
      taken.push(run);
      rows += run.events.length;
      bytes += run.bytes;
      used += 1;
    }
    this.#runs.splice(0, used);
    this.#rows -= rows;
    this.#bytes -= bytes;
    return taken;
  }

  /** Forgets the runs of some partitions, or all. */
  drop(names?: ReadonlySet<string>): void {
    this.#runs = names === undefined ? [] : this.#runs.filter((run) => !names.has(partitionName(run)));
    this.#rows = this.#runs.reduce((sum, run) => sum + run.events.length, 0);
    this.#bytes = this.#runs.reduce((sum, run) => sum + run.bytes, 0);
  }
}

/** When the oldest event of some runs was committed at the source, in milliseconds since 1970. */
export function oldestTimestampMs(runs: readonly EventRun[]): number | undefined {
  let oldest: number | undefined;
  for (const { events } of runs) {
    const first = events[0]?.record.timestampMs;
    if (first !== undefined) oldest = Math.min(oldest ?? first, first);
  }
  return oldest;
}
