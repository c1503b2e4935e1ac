/** Called with what all of these items gave, or with why this one gives nothing. */
export interface Halves<T, R> {
  readonly done: (items: readonly T[], result: R) => void;
  readonly unfit: (item: T, reason: string) => void;
}

/**
 * Does the work for all items at once; where it fails for a reason that lies in one of them, for either half, down to
 * the one: it must not hide the others. `reasonOf` tells such a failure; others are thrown on.
 */
export async function halving<T, R>(
  items: readonly T[],
  work: (items: readonly T[]) => Promise<R>,
  reasonOf: (error: unknown) => string | undefined,
  { done, unfit }: Halves<T, R>,
): Promise<void> {
  const waiting: (readonly T[])[] = [items];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [only] = next;
    if (only === undefined) continue;
    try {
      done(next, await work(next));
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === undefined) throw error;
      const middle = next.length >> 1;
      if (middle === 0) unfit(only, reason);
      else waiting.push(next.slice(middle), next.slice(0, middle));
    }
  }
}
