import type { RejotError } from "../../shared/errors/error.ts";
import { backoffDelayMs } from "../../shared/lifecycle/backoff.ts";
import type { Hold, Holds, PartitionPoint, PartitionProgress } from "../ports.ts";

const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;
/** Timers may fire a moment before their time. */
const EARLY_MS = 20;

/** What stands still of one topic: all of it, or one consumer schema. */
interface Standstill {
  readonly topic: string;
  /** Undefined for all of them. */
  readonly consumerSchema: string | undefined;
  /** How often it has been tried in a row, whichever of its partitions it failed at. */
  attempts: number;
  /** When it was tried last, and when it is to be tried again, by `now`. */
  triedMs: number;
  untilMs: number;
  /** What each partition failed at last; the latest comes last. */
  readonly holds: Map<number, Hold>;
  /** Every place where it has failed, until the destination is beyond it: meeting it again is no news. */
  known: PartitionPoint[];
}

/**
 * Remembers what holds which topic or consumer schema, so that the same trouble is tried again ever more rarely. A topic
 * is tried as a whole, and with trouble in several of its partitions it fails now at this one, now at that.
 */
export class HeldTopics implements Holds {
  readonly #standstills = new Map<string, Standstill>();
  #movedMs = Number.NEGATIVE_INFINITY;
  readonly #random: () => number;
  readonly #now: () => number;

  constructor(random: () => number = Math.random, now: () => number = () => performance.now()) {
    this.#random = random;
    this.#now = now;
  }

  get all(): readonly Hold[] {
    return [...this.#standstills.values()].flatMap(({ holds }) => [...holds.values()].at(-1) ?? []);
  }

  hold(at: PartitionPoint, error: RejotError): { delayMs: number; isNew: boolean } {
    const { topic, consumerSchema } = at;
    const name = JSON.stringify([topic, consumerSchema]);
    const still: Standstill = this.#standstills.get(name) ?? {
      topic,
      consumerSchema,
      attempts: 0,
      triedMs: 0,
      untilMs: 0,
      holds: new Map(),
      known: [],
    };
    this.#standstills.set(name, still);
    const isNew = !still.known.some((p) => p.partition === at.partition && p.offset === at.offset);
    if (isNew) still.known.push(at);
    still.attempts = isNew ? 1 : still.attempts + 1;
    const { attempts } = still;
    const sinceMs = (isNew ? undefined : still.holds.get(at.partition)?.sinceMs) ?? Date.now();
    still.holds.delete(at.partition);
    still.holds.set(at.partition, { at, error, attempts, sinceMs });
    const delayMs = backoffDelayMs(attempts, {
      initialMs: FIRST_MS,
      maxMs: LONGEST_MS,
      random: this.#random,
    });
    still.triedMs = this.#now();
    still.untilMs = still.triedMs + delayMs;
    return { delayMs, isNew };
  }

  heldOf(topic: string): ReadonlyMap<string, number> {
    const nowMs = this.#now();
    const held = [...this.#standstills.values()].flatMap(({ topic: of, consumerSchema, untilMs }) =>
      of === topic && consumerSchema !== undefined && untilMs - EARLY_MS > nowMs
        ? [[consumerSchema, untilMs - nowMs] as const]
        : [],
    );
    return new Map(held);
  }

  get areTried(): boolean {
    return [...this.#standstills.values()].every(({ triedMs }) => triedMs >= this.#movedMs);
  }

  moved(places: readonly PartitionProgress[]): void {
    this.#movedMs = this.#now();
    this.passed(places);
  }

  passed(places: readonly PartitionProgress[]): void {
    for (const [name, still] of this.#standstills) {
      for (const place of places) {
        if (place.topic !== still.topic) continue;
        still.known = still.known.filter((at) => !isBefore(at, place));
        const hold = still.holds.get(place.partition);
        if (hold !== undefined && isBefore(hold.at, place)) still.holds.delete(place.partition);
      }
      if (still.holds.size === 0) this.#standstills.delete(name);
    }
  }

  clear(): void {
    this.#standstills.clear();
  }
}

/** Whether a partition that is at `place` has left trouble behind. */
function isBefore({ partition, offset, consumerSchema }: PartitionPoint, place: PartitionProgress): boolean {
  if (partition !== place.partition) return false;
  // Whoever could be placed is well, but one that is left out of the places was not.
  if (consumerSchema !== undefined) return place.places.isPast(consumerSchema, offset ?? -1);
  return offset === undefined || place.nextOffset > offset;
}
