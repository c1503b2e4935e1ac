import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { RejotError } from "../../shared/errors/error.ts";
import type { BackfillCommand, BackfillRecord } from "../../shared/kafka/backfill-record.ts";
import { createLogger } from "../../shared/observability/logger.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import type { Chunk, ChunkReader, EncodedEvent, TextEvent, TopicKeys } from "../ports.ts";
import { ChunkWindows } from "./chunk-windows.ts";
import { newRecord } from "./course.ts";
import { tombstoneOf } from "./job.ts";
import { BackfillRunner, type RunnerOptions } from "./runner.ts";

const TABLE = { table: "rows", keyColumns: ["id"] };

function record(changes: Partial<BackfillRecord> = {}): BackfillRecord {
  const order = { id: "b", uses: [TABLE.table], where: null, rowsPerSecond: null, command: null, nowMs: 1 };
  return { ...newRecord(order), ...changes };
}

const command = (action: BackfillCommand["action"], more: Partial<BackfillCommand> = {}): BackfillCommand => {
  return { id: `${action} ${JSON.stringify(more)}`, action, where: null, rowsPerSecond: null, ...more };
};

/** A table of rows 1 to `rows`, a topic of one partition, and a stream that brings what is emitted, one transaction after the other. */
class World {
  readonly windows = new ChunkWindows();
  readonly topic: { key: string; value: string | null }[] = [];
  readonly told: BackfillRecord[] = [];
  readonly failures: unknown[] = [];
  rows: number;
  quiet: Promise<void> = Promise.resolve();
  readonly runner: BackfillRunner;
  #commits = 0;
  #held: string[] | undefined;

  constructor(rows: number, options: Partial<RunnerOptions> = {}) {
    this.rows = rows;
    this.runner = new BackfillRunner({
      topics: [{ schema: 0, name: "row.v1", topic: "t", mode: "auto" }],
      records: new Map(),
      reader: this.#reader(),
      keys: this.#keys(),
      encoder: {
        encode: async (events) => events.map(({ row }) => this.event(row?.[0] ?? "", "r")),
        keyPrefix: () => Buffer.alloc(0),
      },
      windows: this.windows,
      unproven: () => new Set(),
      sendMark: async (mark) => {
        if (this.#held === undefined) this.commit([], [mark]);
        else this.#held.push(mark);
      },
      chunkRows: 10,
      chunkBytes: 1_000_000,
      rowsPerSecond: 0,
      onChange: (_name, told) => this.told.push(told),
      onFailure: (error) => this.failures.push(error),
      log: createLogger("test"),
      ...options,
    });
  }

  get last(): BackfillRecord | undefined {
    return this.told.at(-1);
  }

  event(key: string, value: string): EncodedEvent {
    return { ...tombstoneOf("t", Buffer.from(key)), value: Buffer.from(value) };
  }

  /** What a transaction brings goes through the windows, into the topic. */
  commit(events: readonly EncodedEvent[], marks: string[] = []): void {
    const commitLsn = BigInt(++this.#commits) as Lsn;
    const placed = events.map((event, index) => ({ ...event, position: { commitLsn, index } }));
    const info = { xid: this.#commits, commitLsn, commitTimeMs: 0, endLsn: commitLsn, bytes: 0 };
    const merged = this.windows.merge([{ ...info, changes: [], marks }], placed);
    for (const { key, value } of merged.events)
      this.topic.push({ key: key.toString(), value: value?.toString() ?? null });
    this.runner.durable(commitLsn);
  }

  /** Marks stay on their way. */
  hold(): void {
    this.#held = [];
  }

  /** They come by, behind what was on its way before them. */
  release(before: readonly EncodedEvent[] = []): void {
    const marks = this.#held ?? [];
    this.#held = undefined;
    this.commit(before);
    for (const mark of marks) this.commit([], [mark]);
  }

  #reader(): ChunkReader {
    return {
      uses: () => [TABLE.table],
      tables: async () => [TABLE],
      estimate: async () => this.rows,
      quiesce: () => this.quiet,
      read: async ({ after, maxRows }): Promise<Chunk> => {
        const from = Number(after?.[0] ?? 0) + 1;
        const ids = Array.from({ length: Math.min(maxRows, this.rows - from + 1) }, (_, i) => `${from + i}`);
        const events = ids.map((id) => ({ row: [id] }) as unknown as TextEvent);
        return { events, rows: ids.length, last: [ids.at(-1) ?? null], finished: ids.length < maxRows };
      },
      rest: async () => {},
    };
  }

  #keys(): TopicKeys {
    const topic = this.topic;
    return {
      bounds: async () => [{ topic: "t", partition: 0, start: 0n, end: BigInt(topic.length) }],
      async *read(_bounds, from) {
        const records = topic.map(({ key, value }, i) => {
          return { key: Buffer.from(key), alive: value !== null, offset: BigInt(i), change: undefined };
        });
        yield records.slice(Number(from));
      },
      partitionOf: () => 0,
    };
  }
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a rate", () => {
  test("holds for what a rebuild removes as well, which comes to its end", async () => {
    const removal = { ends: { 0: "30" }, partition: 0 };
    const world = new World(10, { rowsPerSecond: 10, records: new Map([["row.v1", record({ removal })]]) });
    for (let id = 1; id <= 30; id++) world.topic.push({ key: `${id}`, value: "u" });
    world.runner.start();
    await vi.advanceTimersByTimeAsync(1_500);
    expect(world.last).toMatchObject({ state: "running" });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(world.last).toMatchObject({ state: "done", rows: 10, removed: 20 });
    world.runner.stop();
  });

  test("that another version accepted is not slower than a row in 100 seconds", async () => {
    const world = new World(2, {
      records: new Map([["row.v1", record({ rowsPerSecond: 1e-7 })]]),
    });
    world.runner.start();
    await vi.advanceTimersByTimeAsync(300_000);
    expect(world.last).toMatchObject({ state: "done", rows: 2 });
    world.runner.stop();
  });

  test("of a backfill does not hold up what a command makes of it", async () => {
    const world = new World(20, { records: new Map([["row.v1", record({ rowsPerSecond: 0.01 })]]) });
    world.runner.start();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(world.last).toMatchObject({ rows: 1 });
    world.runner.command("row.v1", command("start", { rowsPerSecond: 1_000 }));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(world.last).toMatchObject({ state: "done", rows: 20 });
    world.runner.stop();
  });
});

describe("what the stream has published", () => {
  test("before the transactions have ended that were writing at the beginning hides nothing of what is read", async () => {
    const world = new World(3);
    const quiet = Promise.withResolvers<void>();
    world.quiet = quiet.promise;
    world.runner.start();
    await vi.advanceTimersByTimeAsync(100);
    // It lacks what a transaction wrote whose table was not published at the time, and which commits now.
    world.commit([world.event("1", "lacks a part")]);
    quiet.resolve();
    await vi.advanceTimersByTimeAsync(100);
    expect(world.last).toMatchObject({ state: "done", events: 3, overtaken: 0 });
    expect(world.topic.filter(({ key }) => key === "1")).toEqual([
      { key: "1", value: "lacks a part" },
      { key: "1", value: "r" },
    ]);
  });

  test("and was on its way at that moment does not either, but what comes behind it does", async () => {
    const world = new World(3);
    world.hold();
    world.runner.start();
    await vi.advanceTimersByTimeAsync(100);
    world.release([world.event("1", "made before")]);
    world.hold();
    await vi.advanceTimersByTimeAsync(100);
    world.commit([world.event("2", "made behind")]);
    world.release();
    await vi.advanceTimersByTimeAsync(100);
    expect(world.last).toMatchObject({ state: "done", events: 2, overtaken: 1 });
  });

  test("before an operator asks for all rows again does not keep them out", async () => {
    const world = new World(20, { rowsPerSecond: 10 });
    world.runner.start();
    await vi.advanceTimersByTimeAsync(500);
    world.commit([world.event("15", "before a rewrite")]);
    world.runner.command("row.v1", command("start", { rowsPerSecond: 1_000 }));
    await vi.advanceTimersByTimeAsync(2_000);
    expect(world.last).toMatchObject({ state: "done", events: 20, overtaken: 0 });
  });
});

describe("while a backfill waits for transactions to end", () => {
  test("it says so, and follows commands", async () => {
    const world = new World(3);
    const quiet = Promise.withResolvers<void>();
    world.quiet = quiet.promise;
    world.runner.start();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(world.last).toMatchObject({ state: "running", waits: true });
    world.runner.command("row.v1", command("pause"));
    await vi.advanceTimersByTimeAsync(100);
    expect(world.last).toMatchObject({ state: "paused", waits: false });
    world.runner.command("row.v1", command("resume"));
    await vi.advanceTimersByTimeAsync(2_000);
    expect(world.last).toMatchObject({ state: "running", waits: true });
    quiet.resolve();
    await vi.advanceTimersByTimeAsync(100);
    expect(world.last).toMatchObject({ state: "done", rows: 3, waits: false });
    expect(world.failures).toEqual([]);
  });

  test("and cannot, it tries again", async () => {
    vi.useRealTimers();
    const world = new World(3);
    world.quiet = Promise.reject(new RejotError("POSTGRES_UNREACHABLE"));
    world.runner.start();
    await expect.poll(() => world.last?.state).toBe("running");
    world.quiet = Promise.resolve();
    await expect.poll(() => world.last?.state, { timeout: 5_000 }).toBe("done");
  });
});
