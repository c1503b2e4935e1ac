/** The two clocks of a machine, in milliseconds. */
export interface Clocks {
  /** The time of day, which can be set. */
  readonly wallMs: () => number;
  /** Only ever goes forward. */
  readonly elapsedMs: () => number;
}

const REAL: Clocks = { wallMs: () => Date.now(), elapsedMs: () => performance.now() };

/**
 * Notices that the machine's clock was set back. kafkajs compares times of day to know when a heartbeat is due: it then
 * sends none for as long as the clock was set back, and the group goes on without the consumer, which hears nothing of it.
 */
export class ClockWatch {
  readonly #clocks: Clocks;
  #differenceMs: number;

  constructor(clocks: Clocks = REAL) {
    this.#clocks = clocks;
    this.#differenceMs = this.#difference();
  }

  /** By how many milliseconds the clock was set back since the last look; 0 when it was not. */
  setBackMs(): number {
    const before = this.#differenceMs;
    this.#differenceMs = this.#difference();
    return Math.max(0, before - this.#differenceMs);
  }

  #difference(): number {
    return this.#clocks.wallMs() - this.#clocks.elapsedMs();
  }
}
