import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BoundedQueue } from "./bounded-queue.ts";

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol("pending");
  const first = await Promise.race([promise.catch(() => {}), new Promise((r) => setImmediate(r, pending))]);
  return first !== pending;
}

async function collect<T>(queue: BoundedQueue<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of queue) items.push(item);
  return items;
}

describe("BoundedQueue", () => {
  test("push waits while the queue is full and goes on when an item is taken", async () => {
    const queue = new BoundedQueue<string>(10);
    await queue.push("a", 6);
    await queue.push("b", 4);
    const third = queue.push("c", 5);
    expect(await isSettled(third)).toBe(false);
    const reader = queue[Symbol.asyncIterator]();
    expect((await reader.next()).value).toBe("a");
    expect(await isSettled(third)).toBe(true);
    expect(queue.weight).toBe(9);
  });

  test("an item heavier than the capacity passes when the queue is empty", async () => {
    const queue = new BoundedQueue<string>(10);
    await queue.push("huge", 1_000);
    const next = queue.push("small", 1);
    expect(await isSettled(next)).toBe(false);
    const reader = queue[Symbol.asyncIterator]();
    await reader.next();
    await next;
    expect(queue.size).toBe(1);
  });

  test("a light item does not overtake a heavy one that waits", async () => {
    const queue = new BoundedQueue<string>(10);
    await queue.push("a", 8);
    const heavy = queue.push("heavy", 9);
    const light = queue.push("light", 1);
    expect(await isSettled(light)).toBe(false);
    queue.end();
    expect(await collect(queue)).toEqual(["a", "heavy", "light"]);
    await Promise.all([heavy, light]);
  });

  test("end lets the consumer finish what is there, then refuses more", async () => {
    const queue = new BoundedQueue<number>(10);
    await queue.push(1);
    queue.end();
    expect(await collect(queue)).toEqual([1]);
    await expect(queue.push(2)).rejects.toMatchObject({ code: "INTERNAL_ERROR" });
  });

  test("end wakes a consumer that waits", async () => {
    const queue = new BoundedQueue<number>(10);
    const all = collect(queue);
    queue.end();
    expect(await all).toEqual([]);
  });

  test("fail reaches waiting producers, the consumer and everyone after", async () => {
    const queue = new BoundedQueue<number>(1);
    await queue.push(1);
    const waiting = queue.push(2);
    const failure = new Error("lost");
    queue.fail(failure);
    queue.fail(new Error("a later one"));
    await expect(waiting).rejects.toBe(failure);
    await expect(collect(queue)).rejects.toBe(failure);
    await expect(queue.push(3)).rejects.toBe(failure);
    expect(queue.size).toBe(0);
  });

  test("fail wakes a consumer that waits", async () => {
    const queue = new BoundedQueue<number>(1);
    const all = collect(queue);
    queue.fail(new Error("lost"));
    await expect(all).rejects.toThrow("lost");
  });

  test("leaving the loop frees producers", async () => {
    const queue = new BoundedQueue<number>(1);
    await queue.push(1);
    const waiting = queue.push(2);
    for await (const _ of queue) break;
    await expect(queue.push(3)).rejects.toMatchObject({ name: "AbortError" });
    await waiting;
  });

  test("keeps order and its bound, whatever the weights", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 15 }), { maxLength: 3000 }), async (weights) => {
        const queue = new BoundedQueue<number>(10);
        const produced = (async () => {
          for (const [i, weight] of weights.entries()) await queue.push(i, weight);
          queue.end();
        })();
        const seen: number[] = [];
        for await (const i of queue) {
          expect(queue.size === 1 || queue.weight <= 10).toBe(true);
          seen.push(i);
        }
        await produced;
        expect(seen).toEqual(weights.map((_, i) => i));
        expect(queue.weight).toBe(0);
      }),
      { numRuns: 20 },
    );
  });
});
