import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { RejotError } from "../../shared/errors/error.ts";
import type { KafkaReader } from "../../shared/kafka/kafka-reader.ts";
import type { BatchComparison, DestinationCheck, SinkProgress, TopicEvent } from "./destination.ts";
import { DestinationAudit } from "./destination-audit.ts";
import type { PairReport } from "./pair-report.ts";
import { SinkWatch } from "./sink-watch.ts";

const ABOUT = {
  kind: "destination",
  manifest: "m",
  dataStore: "d",
  publicSchema: "item.v1",
  consumerSchema: "copy",
  topic: "m.item.v1",
} as const;

/** A topic of one partition, and what is applied of it. */
class Topic {
  readonly log: TopicEvent[] = [];
  applied = 0;

  put(...keys: string[]): void {
    for (const key of keys)
      this.log.push({
        partition: 0,
        offset: BigInt(this.log.length),
        key: Buffer.from(key),
        value: Buffer.from("v"),
      });
  }

  applyAll(): void {
    this.applied = this.log.length;
  }

  get progress(): SinkProgress {
    if (this.applied === 0) return { applied: undefined, stored: new Map() };
    const applied = new Map([[0, BigInt(this.applied)]]);
    const row = { partition: 0, nextOffset: BigInt(this.applied), places: null };
    return { applied, stored: new Map([[ABOUT.topic, [row]]]) };
  }

  get reader(): KafkaReader {
    return {
      bounds: async () => [{ topic: ABOUT.topic, partition: 0, start: 0n, end: BigInt(this.log.length) }],
      fetch: async (_at, offset) => ({
        records: this.log
          .slice(Number(offset))
          .map((event) => ({ ...event, headers: {}, timestamp: 0n }) as never),
        nextOffset: BigInt(this.log.length),
      }),
      close: async () => {},
    };
  }

  /** A check that finds what `found` says of the events, and these rows too much. */
  check(
    found: (events: readonly TopicEvent[]) => Partial<BatchComparison>,
    extras: readonly string[] = [],
  ): DestinationCheck {
    return {
      open: async () => ({ kind: "open", progress: this.progress, notes: [] }),
      progress: async () => this.progress,
      compare: async (events) => {
        return { equal: 0, missing: [], different: [], undecodable: [], ...found(events) };
      },
      skip: async () => {},
      extras: async () => ({ kind: "found", keys: extras }),
      close: async () => {},
    };
  }
}

const allDifferent = (events: readonly TopicEvent[]) => {
  return { different: events.map((event) => ({ event, fields: ["name"] })) };
};

interface Audited {
  readonly report: PairReport;
  readonly error: RejotError | undefined;
}

async function audit(
  topic: Topic,
  createCheck: () => DestinationCheck,
  { rounds = 3, watch = new SinkWatch() } = {},
): Promise<Audited> {
  const made = new DestinationAudit({
    about: ABOUT,
    registry: {
      schemaById: async () => {
        throw new RejotError("SCHEMA_NOT_FOUND", { detail: "1" });
      },
    } as never,
    workDir: tmpdir(),
    show: 3,
    rounds,
    timeoutMs: 40,
    signal: new AbortController().signal,
    onProgress: () => {},
    createCheck,
    reader: topic.reader,
    watch,
  });
  const error = await made.run().then(
    () => undefined,
    (reason: RejotError) => reason,
  );
  return { report: made.report, error };
}

test.each([2, 3, 4, 5])(
  "differences that stand are told however often it is looked, while a key changes each time: %i rounds",
  async (rounds) => {
    const topic = new Topic();
    topic.put(...Array.from({ length: 100 }, (_, i) => `k${i}`));
    topic.applyAll();
    let started = 0;
    const createCheck = () => {
      if (started++ > 0) topic.put("k0");
      topic.applyAll();
      return topic.check(allDifferent);
    };
    const { report } = await audit(topic, createCheck, { rounds });
    expect(report).toMatchObject({
      rounds,
      keys: 100,
      equal: 0,
      different: { count: 99 },
      unsettled: { count: 1 },
    });
  },
);

test("a sink that has stopped hides nothing: what it applied is judged, and that it stands still is an error", async () => {
  const topic = new Topic();
  topic.put("a", "b", "c");
  topic.applyAll();
  topic.put("a", "b", "c", "d");
  const { report, error } = await audit(topic, () => topic.check(allDifferent));
  expect(report).toMatchObject({ compared: true, behind: 4, keys: 3, different: { count: 3 } });
  expect(report.notes).toEqual(["the destination is 4 records behind the topic, and compared where it is"]);
  expect(error).toMatchObject({ code: "VERIFY_SINK_BEHIND", retryable: true });
});

test("a sink that applies is not waited for, and is no error", async () => {
  const topic = new Topic();
  topic.put("a", "b");
  topic.applied = 1;
  topic.put("c");
  const check = topic.check((events) => ({ equal: events.length }));
  const moving = {
    ...check,
    progress: async () => {
      topic.applied++;
      return topic.progress;
    },
  };
  const { report, error } = await audit(topic, () => moving);
  expect([error, report.behind, report.equal]).toEqual([undefined, 2, 1]);
});

test("a sink that has applied nothing yet is waited for; where nothing was published, there is nothing to apply", async () => {
  const topic = new Topic();
  const equal = (events: readonly TopicEvent[]) => ({ equal: events.length });
  expect(await audit(topic, () => topic.check(equal))).toMatchObject({
    error: undefined,
    report: { compared: true, keys: 0, behind: 0 },
  });
  topic.put("a");
  const { report, error } = await audit(topic, () => topic.check(equal));
  expect([error?.code, report.compared]).toEqual(["VERIFY_SINK_BEHIND", false]);
  const starting = {
    ...topic.check(equal),
    progress: async () => {
      topic.applyAll();
      return topic.progress;
    },
  };
  expect(await audit(topic, () => starting)).toMatchObject({
    error: undefined,
    report: { keys: 1, equal: 1 },
  });
});

test("a sink that stands still is waited for once, not for each of its topics", async () => {
  const watch = new SinkWatch();
  const at = (places: Record<string, bigint> | null, nextOffset = 9n) => ({
    applied: undefined,
    stored: new Map([
      ["t", [{ partition: 0, nextOffset, places: places === null ? null : new Map(Object.entries(places)) }]],
    ]),
  });
  watch.see(at({ a: 1n, b: 9n }), 0);
  watch.see(at({ a: 1n, b: 9n }), 5_000);
  expect([watch.stillMs("t", "a", 6_000), watch.movedSince("t", "a", 0)]).toEqual([6_000, false]);
  watch.see(at({ a: 2n, b: 9n }), 7_000);
  expect([watch.stillMs("t", "a", 8_000), watch.movedSince("t", "a", 6_500)]).toEqual([1_000, true]);
  expect(watch.movedSince("t", "a", 7_500)).toBe(false);
  // The one that is ahead waits for it; it does not wait for the one that is ahead, nor does one that is not there.
  expect(watch.movedSince("t", "b", 6_500)).toBe(true);
  watch.see(at({ a: 2n, b: 10n }), 9_000);
  expect(["a", "b", "c"].map((name) => watch.movedSince("t", name, 8_500))).toEqual([false, true, false]);
  expect(watch.stillMs("t", "c", 9_000)).toBe(9_000);
});

test("rows without a list of consumer schemas are where all of them are", () => {
  const watch = new SinkWatch();
  const at = (nextOffset: bigint) => ({
    applied: undefined,
    stored: new Map([["t", [{ partition: 0, nextOffset, places: null }]]]),
  });
  watch.see(at(1n), 0);
  watch.see(at(1n), 1_000);
  expect(watch.movedSince("t", "a", 0)).toBe(false);
  watch.see(at(2n), 2_000);
  expect(watch.movedSince("t", "a", 1_500)).toBe(true);
});

test("a row is too much when two rounds name it: compaction may take the event of another away each time", async () => {
  const topic = new Topic();
  topic.put("a");
  topic.applyAll();
  const equal = (events: readonly TopicEvent[]) => ({ equal: events.length });
  let round = 0;
  const { report } = await audit(topic, () => topic.check(equal, [`passing ${++round}`, "staying"]));
  expect(report).toMatchObject({ rounds: 2, keys: 2, extra: { count: 1, first: ["staying"] } });
});
