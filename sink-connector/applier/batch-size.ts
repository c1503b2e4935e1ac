/** Much less and a batch that was cut by a passing lock stays small for long; much more and every other is too slow. */
const GROWTH = 1.1;

/**
 * How many events one transaction takes where the server ends statements that last too long: half of what was too slow,
 * down to one, and a tenth more after each that went well. Without limit until something is too slow.
 */
export class BatchSize {
  #limit = Number.POSITIVE_INFINITY;

  /** At least 1. */
  get limit(): number {
    return this.#limit;
  }

  /** A transaction of so many events took too long. */
  tooSlow(events: number): void {
    this.#limit = Math.max(1, Math.floor(Math.min(events, this.#limit) / 2));
  }

  /** A transaction of so many events was in time; `most` is how many one can have at all. */
  inTime(events: number, most: number): void {
    if (events < this.#limit) return;
    const grown = Math.max(this.#limit + 1, Math.floor(this.#limit * GROWTH));
    this.#limit = grown >= most ? Number.POSITIVE_INFINITY : grown;
  }
}
