import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CommittedRecord } from "../../kafka/committed-records.ts";
import type { KafkaReader } from "../../kafka/kafka-reader.ts";
import { CHANGE_HEADER, formatChange } from "../../kafka/position.ts";
import { encodeProgress } from "../../kafka/progress-record.ts";
import type { ResolvedPublicSchema } from "../../manifest/workspace.ts";
import type { Lsn } from "../../postgres/lsn.ts";
import { type DataStoreEvent, DataStoreEvents } from "./data-store-events.ts";
import { OffsetMemory } from "./offset-memory.ts";
import { wholeTransactions } from "./whole-transactions.ts";

const lsn = (value: number) => BigInt(value) as Lsn;
const signal = new AbortController().signal;
const publicSchema = { topic: "t" } as ResolvedPublicSchema;

/** An event: transaction, index inside it, partition. */
interface Written {
  tx: number;
  index: number;
  partition: number;
}

/** Kafka in memory: a log per partition, offsets with holes as markers leave them, pages of a few records. */
class FakeKafka implements KafkaReader {
  readonly logs = new Map<string, CommittedRecord[]>();
  /** Fetches of events; those of progress are not counted. */
  eventFetches = 0;
  readonly #pageRecords: number;

  constructor(pageRecords: number) {
    this.#pageRecords = pageRecords;
  }

  append(place: string, record: Partial<CommittedRecord>, hole = 0): bigint {
    const log = this.logs.get(place) ?? [];
    this.logs.set(place, log);
    const offset = (log.at(-1)?.offset ?? -1n) + 1n + BigInt(hole);
    log.push({ timestampMs: 0, key: null, value: null, headers: {}, ...record, offset });
    return offset + 1n;
  }

  async bounds(topics: readonly string[]) {
    return [...this.logs].flatMap(([place, log]) => {
      const [topic, partition] = place.split("/") as [string, string];
      const end = (log.at(-1)?.offset ?? -1n) + 2n;
      return topics.includes(topic) ? [{ topic, partition: Number(partition), start: 0n, end }] : [];
    });
  }

  async fetch({ topic, partition, end }: { topic: string; partition: number; end: bigint }, offset: bigint) {
    if (topic === "t") this.eventFetches++;
    const log = this.logs.get(`${topic}/${partition}`) ?? [];
    const records = log.filter((record) => record.offset >= offset).slice(0, this.#pageRecords);
    const last = records.at(-1);
    return { records, nextOffset: last === undefined ? end : last.offset + 1n };
  }

  async close() {}
}

function kafkaWith(written: readonly Written[], progress: number, pageRecords: number): FakeKafka {
  const kafka = new FakeKafka(pageRecords);
  const ends: Record<string, string> = {};
  for (const { tx, index, partition } of written) {
    const change = Buffer.from(formatChange("u", { commitLsn: lsn(tx), index }));
    const end = kafka.append(`t/${partition}`, { headers: { [CHANGE_HEADER]: change } }, index % 2);
    ends[partition] = String(end);
  }
  const value = encodeProgress({
    commitLsn: lsn(progress),
    endLsn: lsn(progress + 1),
    commitTimeMs: 0,
    systemIdentifier: "1",
    timeline: 1,
    instance: "i",
    ends: { t: ends },
  });
  kafka.append("p/0", { key: Buffer.from("progress"), value: Buffer.from(value) });
  for (let i = 0; i < 40; i++) {
    kafka.append("p/0", { key: Buffer.from("alive"), value: Buffer.from('{"instance":"i"}') });
  }
  return kafka;
}

async function read(kafka: FakeKafka, memory: OffsetMemory, after: Lsn | null, limit: number) {
  const source = await DataStoreEvents.open(
    {
      reader: kafka,
      memory,
      progressTopic: "p",
      schemas: [{ publicSchema, cursor: { after } }],
      maxFetchBytes: 1,
    },
    signal,
  );
  const events: DataStoreEvent[] = [];
  let drained = false;
  const watched = (async function* () {
    yield* source;
    drained = true;
  })();
  for await (const event of wholeTransactions(watched, limit)) events.push(event);
  source.remember(new Map(events.map((event) => [`t/${event.partition}`, event])), drained);
  return events;
}

const transactionSizes = fc.array(fc.array(fc.nat(2), { minLength: 1, maxLength: 6 }), { maxLength: 25 });

describe("DataStoreEvents", () => {
  test("a reader that follows its cursor gets every complete event once, in order, no transaction cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        transactionSizes,
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 8 }),
        fc.nat(3),
        fc.boolean(),
        async (sizes, limit, pageRecords, incomplete, remembers) => {
          const all = sizes.flatMap((partitions, i) =>
            partitions.map((partition, index) => ({ tx: (i + 1) * 10, index, partition })),
          );
          const progress = Math.max(0, sizes.length - incomplete) * 10;
          const expected = all.filter(({ tx }) => tx <= progress);
          const kafka = kafkaWith(all, progress, pageRecords);
          let memory = new OffsetMemory();
          const seen: Written[] = [];
          let after: Lsn | null = null;
          for (;;) {
            const events: DataStoreEvent[] = await read(kafka, memory, after, limit);
            if (events.length === 0) break;
            const last = events.at(-1) as DataStoreEvent;
            const whole = all.filter(
              ({ tx }) => lsn(tx) > (after ?? 0n) && lsn(tx) <= last.position.commitLsn,
            );
            expect(events).toHaveLength(whole.length);
            seen.push(
              ...events.map(({ position, partition }) => ({
                tx: Number(position.commitLsn),
                index: position.index,
                partition,
              })),
            );
            after = last.position.commitLsn;
            if (!remembers) memory = new OffsetMemory();
          }
          expect(seen).toEqual(expected);
        },
      ),
    );
  });

  test("what an at-least-once publisher repeats after a crash comes once, from any cursor", async () => {
    await fc.assert(
      fc.asyncProperty(
        transactionSizes,
        fc.nat(25),
        fc.nat(25),
        fc.nat(250),
        fc.integer({ min: 1, max: 8 }),
        async (sizes, crashAt, back, after, pageRecords) => {
          const all = sizes.flatMap((partitions, i) =>
            partitions.map((partition, index) => ({ tx: i + 1, index, partition })),
          );
          const resumed = Math.max(0, crashAt - back);
          const written = [
            ...all.filter(({ tx }) => tx <= crashAt),
            ...(crashAt >= sizes.length ? [] : all.filter(({ tx }) => tx > resumed)),
          ];
          const kafka = kafkaWith(written, sizes.length, pageRecords);
          const events = await read(kafka, new OffsetMemory(), lsn(after), 1000);
          expect(events.map(({ position }) => [Number(position.commitLsn), position.index])).toEqual(
            all.filter(({ tx }) => tx > after).map(({ tx, index }) => [tx, index]),
          );
        },
      ),
    );
  });

  test("offsets given are where it begins, the rest of the partitions begins at the start", async () => {
    const written = Array.from({ length: 20 }, (_, i) => ({ tx: i + 1, index: 0, partition: i % 2 }));
    const kafka = kafkaWith(written, 20, 100);
    const memory = new OffsetMemory();
    const open = (offsets: Map<number, bigint>, after: Lsn | null) =>
      DataStoreEvents.open(
        {
          reader: kafka,
          memory,
          progressTopic: "p",
          schemas: [{ publicSchema, cursor: { after, offsets } }],
          maxFetchBytes: 1,
        },
        signal,
      );
    const numbers = async (source: DataStoreEvents) => {
      const found: number[] = [];
      for await (const { position } of source) found.push(Number(position.commitLsn));
      return found;
    };
    expect(await numbers(await open(new Map([[1, 8n]]), null))).toEqual([
      1, 3, 5, 7, 9, 11, 13, 15, 17, 18, 19, 20,
    ]);
    expect(await numbers(await open(new Map([[1, 8n]]), lsn(10)))).toEqual([11, 13, 15, 17, 18, 19, 20]);
    expect(await numbers(await open(new Map([[0, 900n]]), null))).toEqual([
      2, 4, 6, 8, 10, 12, 14, 16, 18, 20,
    ]);
  });

  test("a reader that comes back at the end fetches no events", async () => {
    const written = Array.from({ length: 500 }, (_, i) => ({ tx: i + 1, index: 0, partition: i % 3 }));
    const kafka = kafkaWith(written, 500, 100);
    const memory = new OffsetMemory();
    expect(await read(kafka, memory, lsn(400), 1000)).toHaveLength(100);
    const before = kafka.eventFetches;
    expect(await read(kafka, memory, lsn(500), 1000)).toEqual([]);
    expect(kafka.eventFetches).toBe(before);
  });

  test("a data store that has published nothing has no events", async () => {
    const kafka = new FakeKafka(10);
    kafka.append("t/0", {
      headers: { [CHANGE_HEADER]: Buffer.from(formatChange("c", { commitLsn: lsn(1), index: 0 })) },
    });
    expect(await read(kafka, new OffsetMemory(), null, 10)).toEqual([]);
  });
});
