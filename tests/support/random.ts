/** Random choices that a seed repeats (mulberry32). */
export interface Random {
  readonly seed: number;
  /** From 0 up to, not including, 1. */
  next(): number;
  /** A whole number from `from` to `to`, both included. */
  int(from: number, to: number): number;
  pick<T>(choices: readonly T[]): T;
  chance(probability: number): boolean;
  /** Another sequence, for a worker of its own. */
  fork(): Random;
}

/** Makes the sequence of a seed (32 bits). */
export function randomOf(seed: number): Random {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const int = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  return {
    seed,
    next,
    int,
    pick: <T>(choices: readonly T[]): T => choices[int(0, choices.length - 1)] as T,
    chance: (probability) => next() < probability,
    fork: () => randomOf(int(0, 0x7fffffff)),
  };
}

/** The seed of this run: REJOT_SEED where it is set, so that a failed run can be repeated, else a new one. */
export function seedFromEnvironment(): number {
  const given = process.env.REJOT_SEED;
  return given === undefined || given === "" ? Math.floor(Math.random() * 0x7fffffff) : Number(given);
}

/** The sequence of this run's seed, which is printed, so that a failure can be had again with REJOT_SEED. */
export function seededRandom(name: string): Random {
  const random = randomOf(seedFromEnvironment());
  console.log(`${name}: REJOT_SEED=${random.seed}`);
  return random;
}
