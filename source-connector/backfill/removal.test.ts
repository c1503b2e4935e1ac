import { describe, expect, test } from "vitest";
import type { KeyRecord } from "../../shared/kafka/kafka-topic-keys.ts";
import type { TopicKeys } from "../ports.ts";
import { Removal, type RemovalOptions } from "./removal.ts";

const PREFIX = Buffer.from([0, 0, 0, 0, 9]);
const signal = new AbortController().signal;

/**
 * Partitions whose records grow: `k` is an event of key k, `-k` its tombstone, `k@5` has a position. Where nothing else is
 * said, keys are where their events go.
 */
class Topic implements TopicKeys {
  readonly partitions: string[][];
  reads = 0;
  readonly homes: Record<string, number> = {};
  #reading = 0;
  constructor(...partitions: string[][]) {
    this.partitions = partitions;
  }
  partitionOf(key: Buffer) {
    return this.homes[key.subarray(PREFIX.length).toString()] ?? this.#reading;
  }
  async bounds() {
    return this.partitions.map((records, partition) => {
      return { topic: "t", partition, start: 0n, end: BigInt(records.length) };
    });
  }
  async *read({ partition, end }: { partition: number; end: bigint }, from: bigint) {
    this.reads++;
    this.#reading = partition;
    const records = this.partitions[partition]?.slice(0, Number(end)) ?? [];
    const all = records.map((record, i): KeyRecord => {
      const isTombstone = record.startsWith("-");
      const [name = "", at] = (isTombstone ? record.slice(1) : record).split("@");
      const change = at === undefined ? undefined : Buffer.from(`u:0/${at}:0`);
      const key = name.startsWith("?") ? Buffer.from(name) : Buffer.concat([PREFIX, Buffer.from(name)]);
      return { key, alive: !isTombstone, offset: BigInt(i), change };
    });
    for (let at = Number(from); at < all.length; at += 2) yield all.slice(at, at + 2);
  }
}

function removalOf(topic: Topic, ends: number[], more: Partial<RemovalOptions> = {}): Removal {
  const at = Object.fromEntries(ends.map((end, partition) => [String(partition), String(end)]));
  return new Removal({ keys: topic, topic: "t", ends: at, partition: 0, prefix: PREFIX, ...more });
}

const names = (keys: readonly Buffer[]) => keys.map((key) => key.subarray(PREFIX.length).toString()).sort();

async function all(removal: Removal): Promise<string[]> {
  const found: string[] = [];
  while (!removal.isOver) {
    await removal.catchUp(signal);
    found.push(...names(removal.take(Number.POSITIVE_INFINITY)));
    removal.next();
  }
  return found.sort();
}

describe("Removal", () => {
  test("finds what is alive before the end and has not come since", async () => {
    const topic = new Topic(
      ["gone", "read", "deleted", "-deleted", "back", "-back", "back", "-late", "read"],
      ["other", "gone2", "other"],
    );
    expect(await all(removalOf(topic, [8, 2]))).toEqual(["back", "gone", "gone2"]);
    expect(await all(removalOf(topic, [9, 3]))).toEqual(["back", "gone", "gone2", "other", "read"]);
    expect(await all(removalOf(topic, [8, 2], { partition: 1 }))).toEqual(["gone2"]);
  });

  test("what comes meanwhile is not taken any more, be it an event or a tombstone", async () => {
    const topic = new Topic(["a", "b", "c"]);
    const removal = removalOf(topic, [3]);
    await removal.catchUp(signal);
    topic.partitions[0]?.push("a", "-c");
    await removal.catchUp(signal);
    expect(names(removal.take(10))).toEqual(["b"]);
    expect(removal.isEmpty).toBe(true);
  });

  test("what was taken does not come again, not by its tombstone either", async () => {
    const topic = new Topic(["a", "b", "c"]);
    const removal = removalOf(topic, [3]);
    await removal.catchUp(signal);
    expect(names(removal.take(2))).toEqual(["a", "b"]);
    topic.partitions[0]?.push("-a", "-b");
    await removal.catchUp(signal);
    expect(names(removal.take(2))).toEqual(["c"]);
    await removal.catchUp(signal);
    expect(removal.isEmpty).toBe(true);
  });

  test.each([[{ maxKeys: 10 }], [{ maxKeys: 1 }], [{ maxBytes: 100 }], [{ maxKeys: 1_000 }]])(
    "with %o in memory it takes as many passes as it needs",
    async (limit) => {
      const keys = Array.from({ length: 300 }, (_, i) => `key ${i}`);
      const topic = new Topic([...keys, ...keys.filter((_, i) => i % 3 === 0)], keys.slice(0, 5));
      const removal = removalOf(topic, [300, 5], limit);
      const wanted = [...keys.filter((_, i) => i % 3 !== 0), ...keys.slice(0, 5)].sort();
      expect(await all(removal)).toEqual(wanted);
    },
  );

  test("where partitions were added, a key is gone only if none of them has a newer event of it", async () => {
    const topic = new Topic(
      ["read@1", "gone@2", "late@3", "deleted@4", "moved@5", "unknown", "stays@8"],
      ["-deleted@6", "moved@7", "read@20", "old@1", "-stays@1"],
    );
    Object.assign(topic.homes, { read: 1, gone: 1, late: 1, deleted: 1, moved: 1, unknown: 1, old: 0 });
    // "old" has its newer events in the first partition, to which it does not go any more.
    topic.partitions[0]?.push("old@9", "old@10");
    const removal = removalOf(topic, [9, 2]);
    await removal.catchUp(signal);
    topic.partitions[1]?.push("late@21");
    await removal.catchUp(signal);
    expect(names(removal.take(10))).toEqual(["gone", "old", "stays"]);
    expect(removal.incomparable).toBe(1);
    removal.next();
    await removal.catchUp(signal);
    expect(names(removal.take(10))).toEqual(["moved"]);
  });

  test("partitions that are added meanwhile are looked through as well", async () => {
    const topic = new Topic(["a@1", "b@2", "c@3"]);
    const removal = removalOf(topic, [3]);
    await removal.catchUp(signal);
    topic.partitions.push(["b@4"]);
    await removal.catchUp(signal);
    topic.partitions[1]?.push("c@5");
    await removal.catchUp(signal);
    expect(names(removal.take(10))).toEqual(["a"]);
  });

  test("keys of other schemas are left alone, and counted", async () => {
    const removal = removalOf(new Topic(["a", "?foreign", "?foreign", "?b"]), [4]);
    expect(await all(removal)).toEqual(["a"]);
    expect(removal.incomparable).toBe(2);
  });
});
