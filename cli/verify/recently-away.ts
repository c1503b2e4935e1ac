import { RejotError } from "../../shared/errors/error.ts";
import type { KafkaConnection } from "../../shared/manifest/schema.ts";

const RECENT_MS = 10_000;

/**
 * Asks Kafka. One that has just not answered is not asked again for the next comparison, which would wait anew: dozens
 * of comparisons would take a quarter of an hour to say the same.
 */
export class RecentlyAway {
  readonly #nowMs: () => number;
  readonly #seen = new Map<string, { error: RejotError; atMs: number }>();

  constructor(nowMs = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Does what asks an event store. Throws what it throws; KAFKA_UNREACHABLE at once for ten seconds after one. */
  async ask<T>({ brokers }: Pick<KafkaConnection, "brokers">, work: () => Promise<T>): Promise<T> {
    const store = brokers.join();
    const last = this.#seen.get(store);
    if (last !== undefined && this.#nowMs() - last.atMs < RECENT_MS) throw last.error;
    try {
      return await work();
    } catch (error) {
      if (error instanceof RejotError && error.code === "KAFKA_UNREACHABLE")
        this.#seen.set(store, { error, atMs: this.#nowMs() });
      throw error;
    }
  }
}
