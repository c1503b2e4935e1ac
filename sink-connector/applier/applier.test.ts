import fc from "fast-check";
import pg from "pg";
import { describe, expect, test } from "vitest";
import { RejotError } from "../../shared/errors/error.ts";
import { placesAt } from "../../tests/support/places.ts";
import {
  BatchTooSlow,
  CallFailed,
  type DeadLetter,
  type DeadLetters,
  type Destination,
  type EventBatch,
  type EventRun,
  partitionName,
  type SinkEvent,
  type WriteOutcome,
} from "../ports.ts";
import { Applier } from "./applier.ts";

/** A destination in memory: all or nothing, guarded, and with calls that it does not take. */
class FakeDestination implements Destination {
  readonly applied: string[] = [];
  /** Dead letters noted: their event and their offset. */
  readonly setAside: [string, number][] = [];
  readonly nextOffsets = new Map<string, number>();
  readonly #poison: ReadonlySet<string>;
  readonly #naming: boolean;

  constructor(poison: Iterable<string>, naming = true) {
    this.#poison = new Set(poison);
    this.#naming = naming;
  }

  progress(): Promise<never> {
    throw new Error("not used");
  }

  async write({ events, moves }: EventBatch): Promise<WriteOutcome> {
    for (const move of moves)
      if ((this.nextOffsets.get(partitionName(move)) ?? 0) !== move.from.row.nextOffset) return "stale";
    const done: string[] = [];
    for (const [eventIndex, event] of events.entries()) {
      for (const [callIndex, call] of event.calls.entries()) {
        const name = callName(event, call.statement);
        if (this.#poison.has(name)) {
          throw this.#naming ? new CallFailed(eventIndex, callIndex, new Error(name)) : refusal("at commit");
        }
        done.push(name);
      }
    }
    this.applied.push(...done);
    for (const event of events) {
      for (const { consumer, letterOffset } of event.setAside ?? [])
        this.setAside.push([callName(event, consumer), letterOffset]);
    }
    for (const move of moves) this.nextOffsets.set(partitionName(move), move.nextOffset);
    return "applied";
  }

  async rehearse(tried: SinkEvent): Promise<unknown> {
    const failing = tried.calls.find((call) => this.#poison.has(callName(tried, call.statement)));
    return failing && refusal(callName(tried, failing.statement));
  }
}

const unused = async (): Promise<never> => {
  throw new Error("not used");
};

const refusal = (message: string, code = "23503") =>
  Object.assign(new pg.DatabaseError(message, message.length, "error"), { code });

const callName = (event: SinkEvent, statement: number) =>
  `${partitionName(event)}@${event.record.offset}#${statement}`;

const event = (partition: number, offset: number, statements: readonly number[] = [0]): SinkEvent => ({
  topic: "t",
  partition,
  record: { offset, key: null, value: null, timestampMs: 0, change: undefined, transactional: true },
  calls: statements.map((statement) => ({ statement, values: [] })),
  failures: [],
});

const run = (partition: number, events: readonly SinkEvent[], endOffset: number): EventRun => ({
  topic: "t",
  partition,
  events,
  endOffset,
  bytes: 0,
});

function applierOf(
  destination: Destination,
  policies: readonly ("stop" | "dlq")[],
  deadLetters: Partial<DeadLetters> = {},
) {
  const letters: DeadLetter[] = [];
  const applier = new Applier({
    destination,
    deadLetters: {
      send: async (sent) => {
        letters.push(...sent);
        return sent.map((_, i) => letters.length - sent.length + i);
      },
      passed: () => {},
      ...deadLetters,
    },
    consumers: policies.map((onError, i) => ({ name: `c${i}`, topic: "t", onError })),
    consumerOfStatement: policies.map((_, i) => i),
    maxRows: 5_000,
    onMoved: () => {},
    describeKey: async () => "{}",
  });
  const names = policies.map((_, i) => `c${i}`);
  const places = placesAt(0, { names });
  applier.place([0, 1, 2].map((partition) => ({ topic: "t", partition, nextOffset: 0, places })));
  return { applier, letters };
}

describe("stop", () => {
  test("applies what is before the event, nothing after it, and leaves the progress at the event", async () => {
    const destination = new FakeDestination(["t/1@0#0"]);
    const { applier } = applierOf(destination, ["stop"]);
    const runs = [run(0, [event(0, 0), event(0, 3)], 9), run(1, [event(1, 0), event(1, 1)], 2)];
    await expect(applier.apply(runs)).rejects.toMatchObject({
      code: "SINK_EVENT_FAILED",
      context: { topic: "t", partition: 1, offset: 0, consumerSchema: "c0" },
    });
    expect(destination.applied).toEqual(["t/0@0#0", "t/0@3#0"]);
    expect(destination.nextOffsets.get("t/0")).toBe(9);
    expect(destination.nextOffsets.get("t/1") ?? 0).toBe(0);
  });

  test("an event that could not be prepared stops in the same way", async () => {
    const destination = new FakeDestination([]);
    const { applier } = applierOf(destination, ["stop"]);
    const bad = {
      ...event(0, 1, []),
      failures: [{ consumer: 0, error: new RejotError("RECORD_UNREADABLE") }],
    };
    await expect(applier.apply([run(0, [event(0, 0), bad, event(0, 2)], 3)])).rejects.toThrow(
      "RECORD_UNREADABLE",
    );
    expect(destination.applied).toEqual(["t/0@0#0"]);
    expect(destination.nextOffsets.get("t/0")).toBe(1);
  });
});

test("dlq: of two consumer schemas only the one that fails leaves the event out", async () => {
  const destination = new FakeDestination(["t/0@1#1"]);
  const { applier, letters } = applierOf(destination, ["stop", "dlq"]);
  const events = [0, 1, 2].map((offset) => event(0, offset, [0, 1]));
  await applier.apply([run(0, events, 3)]);
  expect(destination.applied).toEqual(["t/0@0#0", "t/0@0#1", "t/0@1#0", "t/0@2#0", "t/0@2#1"]);
  expect(letters.map(({ event: e, failure }) => [e.record.offset, failure.consumer])).toEqual([[1, 1]]);
  expect(destination.setAside).toEqual([["t/0@1#1", 0]]);
  expect(destination.nextOffsets.get("t/0")).toBe(3);
});

for (const naming of [true, false]) {
  test(`of three consumer schemas only those that fail are to blame (call named: ${naming})`, async () => {
    const setAside = new FakeDestination(["t/0@1#0", "t/0@1#2"], naming);
    const { applier, letters } = applierOf(setAside, ["dlq", "stop", "dlq"]);
    await applier.apply([run(0, [event(0, 0), event(0, 1, [0, 1, 2])], 2)]);
    expect(setAside.applied).toEqual(["t/0@0#0", "t/0@1#1"]);
    expect(letters.map(({ failure }) => failure.consumer)).toEqual([0, 2]);

    const stopped = new FakeDestination(["t/0@1#1"], naming);
    const other = applierOf(stopped, ["dlq", "stop", "dlq"]);
    await expect(other.applier.apply([run(0, [event(0, 1, [0, 1, 2])], 2)])).rejects.toMatchObject({
      context: { consumerSchema: "c1" },
    });
    expect(other.letters).toEqual([]);
  });

  test(`no letter is sent for an event that stops its topic by another consumer schema (call named: ${naming})`, async () => {
    const destination = new FakeDestination(["t/0@0#0", "t/0@0#1"], naming);
    const { applier, letters } = applierOf(destination, ["dlq", "stop"]);
    await expect(applier.apply([run(0, [event(0, 0, [0, 1])], 1)])).rejects.toMatchObject({
      code: "SINK_EVENT_FAILED",
      context: { offset: 0, consumerSchema: "c1" },
    });
    expect(letters).toEqual([]);
  });
}

test("dlq: an event that could not be prepared is noted with its letter", async () => {
  const destination = new FakeDestination([]);
  const { applier } = applierOf(destination, ["dlq", "dlq"]);
  const error = new RejotError("RECORD_UNREADABLE");
  const bad = (offset: number) => ({
    ...event(0, offset, []),
    failures: [0, 1].map((consumer) => ({ consumer, error })),
  });
  await applier.apply([run(0, [event(0, 0), bad(1)], 2), run(0, [bad(2)], 3)]);
  expect(destination.setAside).toEqual([
    ["t/0@1#0", 0],
    ["t/0@1#1", 1],
    ["t/0@2#0", 2],
    ["t/0@2#1", 3],
  ]);
});

test("dlq: what is before an event whose letter is not taken is applied, nothing after it", async () => {
  const destination = new FakeDestination([]);
  const tooLarge = new RejotError("KAFKA_RECORD_TOO_LARGE", {
    context: { topic: "t", partition: 1, offset: 1 },
  });
  const { applier } = applierOf(destination, ["dlq"], {
    send: async (letters) => {
      if (letters.some(({ event: e }) => e.partition === 1 && e.record.offset === 1)) throw tooLarge;
      return letters.map((_, i) => i);
    },
  });
  const failures = [{ consumer: 0, error: new RejotError("RECORD_UNREADABLE") }];
  const bad = (partition: number, offset: number) => ({ ...event(partition, offset, []), failures });
  const runs = [run(0, [event(0, 0), bad(0, 1)], 2), run(1, [event(1, 0), bad(1, 1), event(1, 2)], 3)];
  await expect(applier.apply(runs)).rejects.toBe(tooLarge);
  expect(destination.applied).toEqual(["t/0@0#0", "t/1@0#0"]);
  expect(destination.setAside).toEqual([["t/0@1#0", 0]]);
  expect(Object.fromEntries(destination.nextOffsets)).toEqual({ "t/0": 2, "t/1": 1 });
});

test("somebody else's progress is reported, not written over", async () => {
  const destination = new FakeDestination([]);
  destination.nextOffsets.set("t/0", 5);
  const { applier } = applierOf(destination, ["stop"]);
  expect((await applier.apply([run(0, [event(0, 0)], 1)])).outcome).toBe("stale");
  expect(destination.applied).toEqual([]);
});

test("a batch that is too slow is applied in smaller ones, once and in order, and so are those after it", async () => {
  const MANAGES = 7;
  const destination = new FakeDestination(["t/1@4#0"]);
  const sizes: number[] = [];
  const { applier, letters } = applierOf(
    {
      progress: unused,
      rehearse: unused,
      write: async (batch) => {
        sizes.push(batch.events.length);
        if (batch.events.length > MANAGES) throw new BatchTooSlow(new Error("timeout"));
        return destination.write(batch);
      },
    },
    ["dlq"],
  );
  const events = (partition: number) => Array.from({ length: 40 }, (_, i) => event(partition, i));
  await applier.apply([run(0, events(0), 41), run(1, events(1), 41), run(2, [], 3)]);
  const names = [...events(0), ...events(1)].map((e) => callName(e, 0));
  expect(destination.applied).toEqual(names.filter((name) => name !== "t/1@4#0"));
  expect(letters).toHaveLength(1);
  expect(Object.fromEntries(destination.nextOffsets)).toEqual({ "t/0": 41, "t/1": 41, "t/2": 3 });
  const before = sizes.length;
  await applier.apply([
    run(
      0,
      Array.from({ length: 14 }, (_, i) => event(0, 41 + i)),
      55,
    ),
  ]);
  expect(Math.max(...sizes.slice(before))).toBeLessThan(14);
});

test("a server's error that is nobody's fault is passed on", async () => {
  const broken = new RejotError("SINK_DESTINATION_CHANGED");
  const { applier, letters } = applierOf(
    { progress: unused, rehearse: unused, write: () => Promise.reject(broken) },
    ["dlq"],
  );
  await expect(applier.apply([run(0, [event(0, 0), event(0, 1)], 2)])).rejects.toBe(broken);
  expect(letters).toEqual([]);
});

test("a session that ends blames no event", async () => {
  const ended = new DOMException("the connector stops", "AbortError");
  const { applier, letters } = applierOf(
    { progress: unused, rehearse: unused, write: () => Promise.reject(ended) },
    ["dlq"],
  );
  for (const events of [[event(0, 0)], [event(0, 0), event(0, 1)]])
    await expect(applier.apply([run(0, events, events.length)])).rejects.toBe(ended);
  expect(letters).toEqual([]);
});

test("a batch whose values no text can hold is applied in smaller ones", async () => {
  const destination = new FakeDestination([]);
  const { applier } = applierOf(
    {
      progress: unused,
      rehearse: unused,
      write: async (batch) => {
        if (batch.events.length > 3) throw new RangeError("Invalid string length");
        return destination.write(batch);
      },
    },
    ["stop"],
  );
  const events = Array.from({ length: 10 }, (_, i) => event(0, i));
  await applier.apply([run(0, events, 10)]);
  expect(destination.applied).toEqual(events.map((e) => callName(e, 0)));
});

for (const naming of [true, false]) {
  test(`dlq: whatever is poisoned, the rest is applied once and in order (call named: ${naming})`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ partition: fc.nat(2), poisoned: fc.boolean() }), { maxLength: 40 }),
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 }),
        async (plan, sizes) => {
          const counts = [0, 0, 0];
          const events = plan.map(({ partition }) => {
            const offset = counts[partition] ?? 0;
            counts[partition] = offset + 1;
            return event(partition, offset);
          });
          const poison = events.filter((_, i) => plan[i]?.poisoned).map((e) => callName(e, 0));
          const destination = new FakeDestination(poison, naming);
          const { applier, letters } = applierOf(destination, ["dlq"]);
          for (let at = 0, i = 0; at < events.length; i++) {
            const size = sizes[i % sizes.length] as number;
            const runs = events.slice(at, at + size).map((e) => run(e.partition, [e], e.record.offset + 1));
            expect((await applier.apply(runs)).outcome).toBe("applied");
            at += size;
          }
          expect(destination.applied).toEqual(
            events.map((e) => callName(e, 0)).filter((name) => !poison.includes(name)),
          );
          expect(letters.map((letter) => callName(letter.event, 0))).toEqual(poison);
          expect(destination.setAside).toEqual(poison.map((name, i) => [name, i]));
          for (const [partition, count] of counts.entries())
            expect(destination.nextOffsets.get(`t/${partition}`) ?? 0).toBe(count);
        },
      ),
    );
  });
}
