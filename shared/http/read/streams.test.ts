import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Lsn } from "../../postgres/lsn.ts";
import { locate } from "./locate.ts";
import { mergeOrdered, mergeTransactions } from "./merge.ts";
import { wholeTransactions } from "./whole-transactions.ts";

interface Item {
  tx: string;
  at: number;
  begins: boolean;
}

async function* streamOf<T>(items: readonly T[], ended: () => void = () => {}): AsyncGenerator<T> {
  try {
    for (const item of items) yield item;
  } finally {
    ended();
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Transactions of the given sizes, named `<name>0`, `<name>1`, ... */
function transactions(name: string, sizes: readonly number[], at: (i: number) => number = (i) => i): Item[] {
  return sizes.flatMap((size, i) =>
    Array.from({ length: size }, (_, n) => ({ tx: `${name}${i}`, at: at(i), begins: n === 0 })),
  );
}

describe("mergeOrdered", () => {
  test("gives what sorting gives, for any ordered streams", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.nat(50))), async (lists) => {
        const ordered = lists.map((list) => list.toSorted((a, b) => a - b));
        const merged = await collect(
          mergeOrdered(
            ordered.map((list) => streamOf(list)),
            (a, b) => a - b,
          ),
        );
        expect(merged).toEqual(ordered.flat().sort((a, b) => a - b));
      }),
    );
  });

  test("ends all streams when its reader leaves, and when one fails", async () => {
    let ended = 0;
    const count = () => {
      ended++;
    };
    for await (const _ of mergeOrdered([streamOf([1, 2], count), streamOf([1, 2], count)], (a, b) => a - b)) {
      break;
    }
    expect(ended).toBe(2);
    const failing = (async function* () {
      yield 1;
      throw new Error("lost");
    })();
    await expect(collect(mergeOrdered([failing, streamOf([2], count)], (a, b) => a - b))).rejects.toThrow(
      "lost",
    );
    expect(ended).toBe(3);
  });
});

describe("mergeTransactions", () => {
  test("never interleaves two transactions, and keeps each stream's order", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(sizes, sizes, fc.integer({ min: -3, max: 3 }), async (a, b, shift) => {
        const streams = [transactions("a", a), transactions("b", b, (i) => i + shift)];
        const merged = await collect(
          mergeTransactions(
            streams.map((stream) => streamOf(stream)),
            (x, y) => x.at - y.at,
          ),
        );
        for (const [i, stream] of streams.entries()) {
          expect(merged.filter(({ tx }) => tx.startsWith("ab"[i] as string))).toEqual(stream);
        }
        for (const [i, item] of merged.entries()) {
          expect(item.begins).toBe(item.tx !== merged[i - 1]?.tx);
        }
        const begun = merged.filter(({ begins }) => begins).map(({ at }) => at);
        expect(begun).toEqual(begun.toSorted((x, y) => x - y));
      }),
    );
  });
});

describe("wholeTransactions", () => {
  const sizesWithin = async (sizes: number[], limit: number) => {
    const items = await collect(wholeTransactions(streamOf(transactions("t", sizes)), limit));
    return [...Map.groupBy(items, ({ tx }) => tx).values()].map((group) => group.length);
  };

  test("stops before the transaction that would go over the limit", async () => {
    expect(await sizesWithin([3, 3, 3], 7)).toEqual([3, 3]);
    expect(await sizesWithin([3, 3, 3], 9)).toEqual([3, 3, 3]);
    expect(await sizesWithin([3, 3, 3], 100)).toEqual([3, 3, 3]);
    expect(await sizesWithin([1, 50, 1], 10)).toEqual([1]);
    expect(await sizesWithin([], 10)).toEqual([]);
  });

  test("answers a first transaction whole that is larger than the limit, and nothing behind it", async () => {
    expect(await sizesWithin([5000, 1], 10)).toEqual([5000]);
    expect(await sizesWithin([10, 1], 10)).toEqual([10]);
  });

  test("reads no further than it must", async () => {
    let drawn = 0;
    const counting = (async function* () {
      for (const item of transactions("t", [2, 2, 1000])) {
        drawn++;
        yield item;
      }
    })();
    await collect(wholeTransactions(counting, 5));
    expect(drawn).toBe(6);
  });
});

describe("locate", () => {
  const lsn = (value: number) => BigInt(value) as Lsn;

  test("finds the first event behind the transaction, with few pages", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ gap: fc.nat(20), step: fc.nat(3) }), { maxLength: 300 }),
        fc.integer({ min: 1, max: 50 }),
        fc.nat(400),
        fc.nat(30),
        async (steps, pageOffsets, after, tail) => {
          const events: { offset: bigint; commitLsn: Lsn }[] = [];
          let offset = 5n;
          let value = 0;
          for (const { gap, step } of steps) {
            offset += BigInt(gap) + 1n;
            value += step;
            events.push({ offset, commitLsn: lsn(value) });
          }
          const bounds = { start: 5n, end: offset + 1n + BigInt(tail) };
          let pages = 0;
          const found = await locate(lsn(after), bounds, async (at) => {
            pages++;
            expect(at >= bounds.start && at < bounds.end).toBe(true);
            const behind = events.filter((event) => event.offset >= at);
            const first = behind[0]?.offset ?? bounds.end;
            // A page reaches at least to its first record, as a batch does.
            const nextOffset = [first + BigInt(pageOffsets), bounds.end].reduce((a, b) => (a < b ? a : b));
            return { events: behind.filter((event) => event.offset < nextOffset), nextOffset };
          });
          const lost = events.filter((event) => event.commitLsn > lsn(after) && event.offset < found);
          expect(lost).toEqual([]);
          const needless = events.filter((event) => event.commitLsn <= lsn(after) && event.offset >= found);
          expect(needless).toEqual([]);
          expect(pages).toBeLessThan(30);
        },
      ),
    );
  });
});
