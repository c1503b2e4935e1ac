import type { RejotError } from "../../shared/errors/error.ts";
import { backoffDelayMs } from "../../shared/lifecycle/backoff.ts";
import type { Hold, Holds, PartitionPoint } from "../ports.ts";

const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;

/** Remembers what holds which topic, so that the same trouble is tried again ever more rarely. */
export class HeldTopics implements Holds {
  readonly #holds = new Map<string, Hold>();
  readonly #random: () => number;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  get all(): readonly Hold[] {
    return [...this.#holds.values()];
  }

  hold(at: PartitionPoint, error: RejotError): { delayMs: number; isNew: boolean } {
    const before = this.#holds.get(at.topic);
    const isNew =
      before === undefined || before.at.partition !== at.partition || before.at.offset !== at.offset;
    const attempts = isNew ? 1 : before.attempts + 1;
    const sinceMs = isNew ? Date.now() : before.sinceMs;
    this.#holds.set(at.topic, { at, error, attempts, sinceMs });
    const delayMs = backoffDelayMs(attempts, {
      initialMs: FIRST_MS,
      maxMs: LONGEST_MS,
      random: this.#random,
    });
    return { delayMs, isNew };
  }

  passed(points: readonly PartitionPoint[]): void {
    for (const { topic, partition, offset } of points) {
      const at = this.#holds.get(topic)?.at;
      if (at?.partition === partition && (at.offset === undefined || (offset ?? 0) > at.offset))
        this.#holds.delete(topic);
    }
  }

  clear(): void {
    this.#holds.clear();
  }
}
