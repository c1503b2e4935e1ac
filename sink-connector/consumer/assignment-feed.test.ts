import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Position, parseChange } from "../../shared/kafka/position.ts";
import { placesAt, progressAt } from "../../tests/support/places.ts";
import type { EventRun, FeedItem, KafkaRecord, SinkEvent } from "../ports.ts";
import { AssignmentFeed, type CountedBounds, type FetchedBatch } from "./assignment-feed.ts";

const LIMITS = { ahead: { maxRows: 4, maxBytes: 1_000 }, batchMaxRows: 3, batchMaxBytes: 1_000 };

let actions: string[];
let feed: AssignmentFeed;
let endOffset: number;
let items: AsyncIterator<FeedItem>;
/** What was looked at before places, and what was found there. */
let looked: unknown[];
let before: Position[];

beforeEach(() => {
  actions = [];
  endOffset = 100;
  looked = [];
  before = [];
  feed = new AssignmentFeed(LIMITS, {
    pause: ({ partition }) => actions.push(`pause ${partition}`),
    resumeAt: ({ partition }, offset) => actions.push(`resume ${partition} at ${offset}`),
    bounds: async (partitions) =>
      partitions.map((p): CountedBounds => ({ ...p, firstOffset: 0, endOffset, partitionCount: 2 })),
    positionsBefore: async ({ partition, firstOffset, endOffset }) => {
      looked.push([partition, firstOffset, endOffset]);
      return before;
    },
    report: (moves) => actions.push(`report ${moves.map((m) => m.partition).join()}`),
  });
  items = feed[Symbol.asyncIterator]();
});

const partition = (number: number) => ({ topic: "t", partition: number });
const progress = (number: number, nextOffset: number) => progressAt("t", number, nextOffset);

const fetched = (number: number, fetchedOffset: number, count: number): FetchedBatch => ({
  ...partition(number),
  fetchedOffset,
  lastOffset: fetchedOffset + count - 1,
  highWatermark: 100,
  records: Array.from(
    { length: count },
    (_, i): KafkaRecord => ({
      offset: fetchedOffset + i,
      key: null,
      value: null,
      timestampMs: 0,
      change: undefined,
      transactional: true,
    }),
  ),
});

function deliver(batch: FetchedBatch): boolean {
  const ticket = feed.offer(batch);
  if (ticket === undefined) return false;
  const { topic, partition } = batch;
  const events = ticket.records.map(
    (record): SinkEvent => ({ topic, partition, record, calls: [], failures: [] }),
  );
  feed.put(ticket, { topic, partition, events, endOffset: ticket.lastOffset + 1, bytes: 1 });
  return true;
}

async function next(): Promise<FeedItem> {
  return (await items.next()).value as FeedItem;
}

async function nextOffsets(): Promise<unknown> {
  const item = await next();
  if (item.kind !== "events") throw new Error(`an item of kind ${item.kind}`);
  return item.runs.map((run: EventRun) => [run.partition, run.events.map((e) => e.record.offset)]);
}

/** Assigns partitions and places them at offset 10. */
async function begin(...numbers: number[]): Promise<void> {
  feed.assign(numbers.map(partition));
  const item = await next();
  if (item.kind !== "assigned") throw new Error(`an item of kind ${item.kind}`);
  feed.place(
    item.generation,
    item.partitions.map((p) => progress(p.partition, 10)),
  );
  actions = [];
}

describe("a place behind the end of its partition", () => {
  /** Places partition 0 at an offset, as the destination says after the end was asked for. */
  async function placeAt(nextOffset: number): Promise<void> {
    const item = await next();
    if (item.kind !== "assigned") throw new Error(`an item of kind ${item.kind}`);
    feed.place(item.generation, [progress(0, nextOffset)]);
  }

  test("is right when another sink went on after the end was asked for", async () => {
    feed.assign([partition(0)]);
    await placeAt(103);
    expect(actions).toEqual(["pause 0"]);
    endOffset = 104;
    await placeAt(103);
    expect(actions).toEqual(["pause 0", "resume 0 at 103"]);
    expect(deliver(fetched(0, 103, 1))).toBe(true);
  });

  test("is right also when that one goes on all the time", async () => {
    feed.assign([partition(0)]);
    for (let at = 103; at < 130; at += 3) {
      await placeAt(at);
      endOffset = at + 1;
    }
    await placeAt(128);
    expect(actions.at(-1)).toBe("resume 0 at 128");
  });

  test("means that records are missing when a later end says so too", async () => {
    feed.assign([partition(0)]);
    await placeAt(103);
    await expect(placeAt(103)).rejects.toMatchObject({ code: "SINK_TOPIC_RECREATED" });
  });
});

describe("what lies before a place", () => {
  const at = (partition: number, nextOffset: number, position: string | null) =>
    progressAt("t", partition, nextOffset, position);

  beforeEach(async () => {
    feed.assign([partition(0), partition(1)]);
    await next();
  });

  test("is looked at once, where the destination says what it applied last", async () => {
    await feed.examine([at(0, 7, "0/1:0"), at(1, 7, null)]);
    await feed.examine([at(0, 0, "0/1:0"), at(1, 101, "0/1:0")]);
    expect(looked).toEqual([[0, 0, 7]]);
  });

  test("stops the topic when it is newer", async () => {
    before = [parseChange("u:0/2:0").position];
    await expect(feed.examine([at(0, 7, "0/1:0")])).rejects.toMatchObject({
      code: "SINK_TOPIC_RECREATED",
      context: { topic: "t", partition: 0, nextOffset: 7 },
    });
  });
});

describe("an assignment", () => {
  test("is paused until the destination has said where it starts", async () => {
    feed.assign([partition(0), partition(1)]);
    expect(actions).toEqual(["pause 0", "pause 1"]);
    expect(deliver(fetched(0, 0, 3))).toBe(false);
    const item = await next();
    expect(item).toMatchObject({ kind: "assigned", partitions: [{ partition: 0 }, { partition: 1 }] });
    feed.place(item.kind === "assigned" ? item.generation : -1, [progress(0, 7), progress(1, 0)]);
    expect(actions.slice(2)).toEqual(["resume 0 at 7", "resume 1 at 0"]);
    deliver(fetched(0, 7, 1));
    expect(await nextOffsets()).toEqual([[0, [7]]]);
  });

  test("that has changed in the meantime is not placed by an older answer", async () => {
    feed.assign([partition(0)]);
    const item = await next();
    feed.assign([partition(0)]);
    feed.place(item.kind === "assigned" ? item.generation : -1, [progress(0, 7)]);
    expect(actions).toEqual(["pause 0", "pause 0"]);
    expect(await next()).toMatchObject({ kind: "assigned" });
  });

  test("drops what was read ahead for the one before", async () => {
    await begin(0);
    deliver(fetched(0, 10, 2));
    feed.assign([partition(0)]);
    expect(await next()).toMatchObject({ kind: "assigned" });
    expect(feed.overview().bufferedRows).toBe(0);
  });

  test("drops a batch that was being decoded for the one before", async () => {
    await begin(0);
    const ticket = feed.offer(fetched(0, 10, 2));
    await begin(0);
    if (ticket !== undefined) feed.put(ticket, { ...partition(0), events: [], endOffset: 12, bytes: 0 });
    expect(feed.overview().partitions[0]?.fetchedOffset).toBe(10);
  });
});

test("whether all of a topic is here is told by how many partitions it has", async () => {
  expect(feed.ownsAllOf("t")).toBe(false);
  await begin(0);
  expect([feed.owns(partition(0)), feed.owns(partition(1)), feed.ownsAllOf("t")]).toEqual([
    true,
    false,
    false,
  ]);
  await begin(0, 1);
  expect([feed.owns(partition(1)), feed.ownsAllOf("t"), feed.ownsAllOf("u")]).toEqual([true, true, false]);
});

test("batches are merged up to the limit, and each partition stays in order", async () => {
  await begin(0, 1);
  deliver(fetched(0, 10, 2));
  deliver(fetched(1, 10, 1));
  deliver(fetched(0, 12, 1));
  expect(await nextOffsets()).toEqual([
    [0, [10, 11]],
    [1, [10]],
  ]);
  expect(await nextOffsets()).toEqual([[0, [12]]]);
});

test("what is handed out counts as not applied until the next is asked for", async () => {
  await begin(0, 1);
  const behind = () => feed.overview().partitions.map((p) => !p.isApplied);
  expect(behind()).toEqual([false, false]);
  deliver(fetched(0, 10, 2));
  expect(behind()).toEqual([true, false]);
  await next();
  expect(feed.overview()).toMatchObject({ bufferedRows: 0, oldestTimestampMs: 0 });
  expect(behind()).toEqual([true, false]);
  const coming = next();
  await Promise.resolve();
  expect(behind()).toEqual([false, false]);
  expect(feed.overview().oldestTimestampMs).toBeUndefined();
  deliver(fetched(1, 10, 1));
  await coming;
  expect(behind()).toEqual([false, true]);
});

test("a batch from another place is not taken, and the consumer is sent back", async () => {
  await begin(0);
  expect(deliver(fetched(0, 15, 2))).toBe(false);
  expect(deliver(fetched(0, 0, 2))).toBe(false);
  expect(actions).toEqual(["resume 0 at 10", "resume 0 at 10"]);
  expect(deliver(fetched(0, 10, 2))).toBe(true);
});

test("a consumer that never comes to the right place ends the feed with an error", async () => {
  await begin(0);
  for (let i = 0; i < 6; i++) deliver(fetched(0, 15, 1));
  await expect(next()).rejects.toMatchObject({ code: "SINK_FEED_BROKEN", retryable: true });
});

test("displaced partitions are announced again; others keep what they have", async () => {
  await begin(0, 1);
  deliver(fetched(0, 10, 1));
  deliver(fetched(1, 10, 1));
  feed.displace([partition(0)]);
  expect(actions).toEqual(["pause 0"]);
  const item = await next();
  expect(item).toMatchObject({ kind: "assigned", partitions: [{ partition: 0 }] });
  feed.place(item.kind === "assigned" ? item.generation : -1, [progress(0, 5)]);
  expect(await nextOffsets()).toEqual([[1, [10]]]);
  expect(deliver(fetched(0, 5, 1))).toBe(true);
});

test("it is full at its limit, and there is room when something is taken", async () => {
  await begin(0);
  deliver(fetched(0, 10, 4));
  expect(feed.isFull).toBe(true);
  let room = false;
  const waiting = feed.room().then(() => {
    room = true;
  });
  await Promise.resolve();
  expect(room).toBe(false);
  await next();
  await waiting;
  expect(room).toBe(true);
});

test("it ends after what was handed out, and lets nobody wait for room", async () => {
  await begin(0);
  deliver(fetched(0, 10, 4));
  const waiting = feed.room();
  feed.end();
  await waiting;
  expect((await items.next()).done).toBe(true);
});

test("only partitions that are still assigned are reported", async () => {
  await begin(0);
  const move = (number: number) => ({
    ...partition(number),
    nextOffset: 1,
    from: placesAt(0),
    places: placesAt(1),
    position: null,
  });
  feed.report([move(0), move(7)]);
  expect(actions).toEqual(["report 0"]);
});

describe("a topic that is held", () => {
  const other = { topic: "other", partition: 0 };

  async function placeAll(): Promise<void> {
    const item = await next();
    if (item.kind !== "assigned") throw new Error("nothing was assigned");
    feed.place(
      item.generation,
      item.partitions.map((p) => ({ ...p, nextOffset: 0, places: placesAt(0) })),
    );
  }

  const assigned = (item: FeedItem) => (item.kind === "assigned" ? item.partitions.map((p) => p.topic) : []);

  beforeEach(async () => {
    vi.useFakeTimers();
    feed.assign([partition(0), other]);
    await placeAll();
    return () => vi.useRealTimers();
  });

  test("drops what was read ahead of it, and only that", async () => {
    deliver(fetched(0, 0, 1));
    deliver({ ...fetched(0, 0, 1), ...other });
    feed.hold("t", 1_000);
    const item = await next();
    expect(item.kind === "events" && item.runs.map((run) => run.topic)).toEqual(["other"]);
    expect(deliver(fetched(0, 1, 1))).toBe(false);
    expect(feed.owns(partition(0))).toBe(true);
  });

  test("is announced as assigned when its time has come", async () => {
    feed.hold("t", 1_000);
    const coming = next();
    vi.advanceTimersByTime(999);
    feed.displace([other]);
    expect(assigned(await coming)).toEqual(["other"]);
    vi.advanceTimersByTime(1);
    expect(assigned(await next())).toContain("t");
  });

  test("goes on until a consumer schema of it is to be tried, and is then announced, however often it was asked for", async () => {
    feed.revisit("t", "a", 500);
    feed.revisit("t", "a", 1_000);
    feed.revisit("t", "b", 3_000);
    deliver(fetched(0, 0, 1));
    expect((await next()).kind).toBe("events");
    const coming = next();
    vi.advanceTimersByTime(999);
    feed.displace([other]);
    expect(assigned(await coming)).toEqual(["other"]);
    vi.advanceTimersByTime(1);
    expect(assigned(await next())).toContain("t");
  });

  test("is announced again when a consumer schema's time comes while it is being placed", async () => {
    feed.revisit("t", "a", 1_000);
    feed.displace([partition(0)]);
    const item = await next();
    vi.advanceTimersByTime(1_000);
    feed.place(item.kind === "assigned" ? item.generation : -1, [progress(0, 7)]);
    expect(assigned(await next())).toEqual(["t"]);
  });

  test("is not placed by an answer that was on its way", async () => {
    feed.displace([partition(0)]);
    const item = await next();
    feed.hold("t", 1_000);
    feed.place(item.kind === "assigned" ? item.generation : -1, [progress(0, 7)]);
    expect(deliver(fetched(0, 7, 1))).toBe(false);
  });

  test("is free after a rebalance", async () => {
    feed.hold("t", 1_000);
    feed.assign([partition(0)]);
    expect(assigned(await next())).toEqual(["t"]);
    vi.advanceTimersByTime(1_000);
    await placeAllAgain();
    expect(deliver(fetched(0, 7, 1))).toBe(true);
  });

  async function placeAllAgain(): Promise<void> {
    feed.displace([partition(0)]);
    const item = await next();
    feed.place(item.kind === "assigned" ? item.generation : -1, [progress(0, 7)]);
  }
});
