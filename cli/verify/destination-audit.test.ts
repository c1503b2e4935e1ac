import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { RejotError } from "../../shared/errors/error.ts";
import type { KafkaReader } from "../../shared/kafka/kafka-reader.ts";
import type { BatchComparison, DestinationCheck, TopicEvent } from "./destination.ts";
import { DestinationAudit } from "./destination-audit.ts";
import type { PairReport } from "./pair-report.ts";

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

  /** A check that finds what `found` says of the events, and no row too much. */
  check(found: (events: readonly TopicEvent[]) => Partial<BatchComparison>): DestinationCheck {
    return {
      open: async () => ({ kind: "open", applied: new Map([[0, BigInt(this.applied)]]), notes: [] }),
      compare: async (events) => {
        return { equal: 0, missing: [], different: [], undecodable: [], ...found(events) };
      },
      skip: async () => {},
      extras: async () => ({ kind: "counted", count: 0, first: [] }),
      close: async () => {},
    };
  }
}

const allDifferent = (events: readonly TopicEvent[]) => {
  return { different: events.map((event) => ({ event, fields: ["name"] })) };
};

async function audit(topic: Topic, rounds: number, createCheck: () => DestinationCheck): Promise<PairReport> {
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
    timeoutMs: 1_000,
    signal: new AbortController().signal,
    onProgress: () => {},
    createCheck,
    reader: topic.reader,
  });
  await made.run();
  return made.report;
}

test.each([2, 3, 4, 5])(
  "differences that stand are told however often it is looked, while a key changes each time: %i rounds",
  async (rounds) => {
    const topic = new Topic();
    topic.put(...Array.from({ length: 100 }, (_, i) => `k${i}`));
    topic.applyAll();
    let started = 0;
    const report = await audit(topic, rounds, () => {
      if (started++ > 0) topic.put("k0");
      topic.applyAll();
      return topic.check(allDifferent);
    });
    expect(report).toMatchObject({
      rounds,
      keys: 100,
      equal: 0,
      different: { count: 99 },
      unsettled: { count: 1 },
    });
  },
);
