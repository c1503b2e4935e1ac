/** Samples that the rate is taken over. */
const SAMPLES = 20;

/** How fast rows go through, over the last chunks. */
export class Rate {
  #samples: { readonly atMs: number; readonly rows: number }[] = [];

  /** `rows` are all rows so far. */
  measure(rows: number, atMs: number): void {
    if (rows < (this.#samples.at(-1)?.rows ?? 0)) this.#samples = [];
    this.#samples.push({ atMs, rows });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  /** Rows per second; undefined before the second sample. */
  get perSecond(): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return undefined;
    return ((last.rows - first.rows) * 1_000) / (last.atMs - first.atMs);
  }
}
