/**
 * Merges streams that are each in order into one that is. Holds one item of each. Equal items come in the order of
 * the streams. Whoever stops early ends all of them.
 */
export async function* mergeOrdered<T>(
  streams: readonly AsyncIterable<T>[],
  compare: (a: T, b: T) => number,
): AsyncGenerator<T> {
  const iterators = streams.map((stream) => stream[Symbol.asyncIterator]());
  try {
    const firsts = await Promise.all(iterators.map((iterator) => iterator.next()));
    const heads: Head<T>[] = [];
    for (const [index, result] of firsts.entries()) {
      if (result.done !== true) insert(heads, { index, item: result.value }, compare);
    }
    for (let head = heads.shift(); head !== undefined; head = heads.shift()) {
      yield head.item;
      const result = await iterators[head.index]?.next();
      if (result !== undefined && result.done !== true) {
        insert(heads, { index: head.index, item: result.value }, compare);
      }
    }
  } finally {
    await Promise.all(iterators.map((iterator) => iterator.return?.()));
  }
}

interface Head<T> {
  readonly index: number;
  readonly item: T;
}

function insert<T>(heads: Head<T>[], head: Head<T>, compare: (a: T, b: T) => number): void {
  let low = 0;
  let high = heads.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = heads[middle] as Head<T>;
    const order = compare(other.item, head.item) || other.index - head.index;
    if (order <= 0) low = middle + 1;
    else high = middle;
  }
  heads.splice(low, 0, head);
}

/** An item of a stream of transactions. */
interface InTransaction {
  /** Whether it is the first of its transaction. */
  readonly begins: boolean;
}

/**
 * Interleaves streams of transactions: whole transactions, each stream in its own order, the next one from the
 * stream whose next transaction comes first by `compare`.
 */
export async function* mergeTransactions<T extends InTransaction>(
  streams: readonly AsyncIterable<T>[],
  compare: (a: T, b: T) => number,
): AsyncGenerator<T> {
  // The item drawn last fixes whose turn it is: the rest of its transaction sorts before everything else.
  let current = -1;
  const tagged = streams.map(async function* (stream, index) {
    for await (const item of stream) yield { item, index };
  });
  const order = (a: { item: T; index: number }, b: { item: T; index: number }): number => {
    const aContinues = a.index === current && !a.item.begins;
    const bContinues = b.index === current && !b.item.begins;
    if (aContinues !== bContinues) return aContinues ? -1 : 1;
    return compare(a.item, b.item);
  };
  for await (const { item, index } of mergeOrdered(tagged, order)) {
    current = index;
    yield item;
  }
}
