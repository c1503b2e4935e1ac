import type { RejotError } from "../../shared/errors/error.ts";
import { backoffDelayMs } from "../../shared/lifecycle/backoff.ts";
import type { Hold, Holds, PartitionPoint } from "../ports.ts";

const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;

/** What stands still of one topic. */
interface Standstill {
  /** How often the topic has been tried in a row, whichever of its partitions it failed at. */
  attempts: number;
  /** What each partition failed at last; the latest comes last. */
  readonly holds: Map<number, Hold>;
  /** Every place where the topic has failed, until the destination is beyond it: meeting it again is no news. */
  known: PartitionPoint[];
}

/**
 * Remembers what holds which topic, so that the same trouble is tried again ever more rarely. A topic is tried as a
 * whole, and with trouble in several of its partitions it fails now at this one, now at that.
 */
export class HeldTopics implements Holds {
  readonly #topics = new Map<string, Standstill>();
  readonly #random: () => number;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  get all(): readonly Hold[] {
    return [...this.#topics.values()].flatMap(({ holds }) => [...holds.values()].at(-1) ?? []);
  }

  hold(at: PartitionPoint, error: RejotError): { delayMs: number; isNew: boolean } {
    const topic: Standstill = this.#topics.get(at.topic) ?? { attempts: 0, holds: new Map(), known: [] };
    this.#topics.set(at.topic, topic);
    const isNew = !topic.known.some((p) => p.partition === at.partition && p.offset === at.offset);
    if (isNew) topic.known.push(at);
    topic.attempts = isNew ? 1 : topic.attempts + 1;
    const { attempts } = topic;
    const sinceMs = (isNew ? undefined : topic.holds.get(at.partition)?.sinceMs) ?? Date.now();
    topic.holds.delete(at.partition);
    topic.holds.set(at.partition, { at, error, attempts, sinceMs });
    const delayMs = backoffDelayMs(attempts, {
      initialMs: FIRST_MS,
      maxMs: LONGEST_MS,
      random: this.#random,
    });
    return { delayMs, isNew };
  }

  passed(points: readonly PartitionPoint[]): void {
    for (const point of points) {
      const topic = this.#topics.get(point.topic);
      if (topic === undefined) continue;
      topic.known = topic.known.filter((at) => !isBefore(at, point));
      const hold = topic.holds.get(point.partition);
      if (hold !== undefined && isBefore(hold.at, point)) topic.holds.delete(point.partition);
      if (topic.holds.size === 0) this.#topics.delete(point.topic);
    }
  }

  clear(): void {
    this.#topics.clear();
  }
}

/** Whether a partition that is at `point` has left trouble behind. */
function isBefore(trouble: PartitionPoint, { partition, offset }: PartitionPoint): boolean {
  if (trouble.partition !== partition) return false;
  return trouble.offset === undefined || (offset ?? 0) > trouble.offset;
}
