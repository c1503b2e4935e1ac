import { readFile } from "node:fs/promises";
import { describe, expect, inject, test } from "vitest";
import { createKafkaReader, type KafkaReader } from "../../shared/kafka/kafka-reader.ts";
import { CHANGE_HEADER } from "../../shared/kafka/position.ts";
import type { SpawnedConnector } from "../support/connector.ts";
import { plainKafka } from "../support/kafka.ts";
import {
  createSourceFixture,
  expectEveryPositionOnce,
  type SourceFixture,
  transformationsOf,
} from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

const SMALL = {
  sql: "CREATE TABLE rows (id bigint PRIMARY KEY, text text NOT NULL)",
  schemas: [
    {
      name: "row",
      fields: { id: "integer", text: "string" },
      transformations: transformationsOf(
        "rows",
        "SELECT id, text FROM rows WHERE id = :id",
        "SELECT :id AS id",
      ),
    },
  ],
} as const;

/** V8 takes what it is given before it collects; with this it has to keep up, or dies. */
const MAX_HEAP_MB = 200;
const MAX_RSS_MB = 500;

/** The largest resident set a process has had, in MB. */
async function peakRssMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** What a reader of committed transactions can read of a topic, and what is there in all. */
async function recordsOf(reader: KafkaReader, topic: string): Promise<bigint> {
  const bounds = await reader.bounds([topic], AbortSignal.timeout(10_000));
  return bounds.reduce((sum, { start, end }) => sum + end - start, 0n);
}

/** How many events a process has sent, those of an open transaction included. */
async function sentBy(source: SpawnedConnector): Promise<number> {
  const text = await (await fetch(`${source.url}/metrics`)).text();
  return Number(/^rejot_source_events_total\{.*\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

/** How often each index of the one transaction in a topic was read; decoding a million records would take minutes. */
async function countIndexes(reader: KafkaReader, topic: string, count: number): Promise<Uint8Array> {
  const seen = new Uint8Array(count);
  const signal = AbortSignal.timeout(120_000);
  for (const at of await reader.bounds([topic], signal)) {
    for (let offset = at.start; offset < at.end; ) {
      const page = await reader.fetch(at, offset, 8_000_000, signal);
      for (const { headers } of page.records) {
        const index = Number(String(headers[CHANGE_HEADER]).split(":")[2]);
        seen[index] = (seen[index] ?? 0) + 1;
      }
      offset = page.nextOffset;
    }
  }
  return seen;
}

async function expectRows(fixture: SourceFixture, count: number): Promise<void> {
  const records = await fixture.read("row", { decode: false });
  expectEveryPositionOnce(records);
  expect(records).toHaveLength(count);
  expect(new Set(records.map(({ rawKey }) => rawKey?.toString("hex"))).size).toBe(count);
}

describe("transactions arrive whole, whatever their size", () => {
  test("250 operations in one transaction, and 50 transactions of 1,000 rows: each event once", async () => {
    await using fixture = await createSourceFixture(SMALL);
    await using _source = await fixture.start();
    await fixture.database.query(
      "BEGIN; DO $$ BEGIN FOR i IN 1..250 LOOP INSERT INTO rows VALUES (-i, 'x'); END LOOP; END $$; COMMIT",
    );
    for (let i = 0; i < 50; i++) {
      await fixture.database.query(
        "INSERT INTO rows SELECT $1 * 1000 + g, 'x' FROM generate_series(1, 1000) g",
        [i],
      );
    }
    await fixture.published();
    await expectRows(fixture, 50_250);
  });

  test("rows of several kilobytes in one partition exceed what a broker takes in one batch, and arrive", async () => {
    await using fixture = await createSourceFixture({ ...SMALL, partitions: 1 });
    await using source = await fixture.start();
    await fixture.database.query(
      `INSERT INTO rows SELECT g, string_agg(md5(g::text || i::text), '') FROM generate_series(1, 1500) g, generate_series(1, 120) i GROUP BY g;
       INSERT INTO rows SELECT g, string_agg(md5(g::text || i::text), '') FROM generate_series(2001, 2005) g, generate_series(1, 28000) i GROUP BY g`,
    );
    await fixture.published();
    expect(source.status.lastError).toBeNull();
    await expectRows(fixture, 1_505);
  });

  test("a record that no broker takes stops the source with its size in words", async () => {
    await using fixture = await createSourceFixture(SMALL);
    await using source = await fixture.start();
    await fixture.database.query(
      "INSERT INTO rows SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 40000) i",
    );
    const error = await source.connector.done.catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: "KAFKA_RECORD_TOO_LARGE",
      message: expect.stringMatching(/12800\d\d bytes, change c:.*:0, topic .*\.row\.v1/),
    });
    expect(source.status.role).toBe("failed");
  });

  test("pieces of a transaction are one Kafka transaction: nothing is seen before its end, and a kill in the middle leaves nothing", async () => {
    await using fixture = await createSourceFixture({ ...SMALL, config: { maxRows: 50 } });
    const reader = createKafkaReader(plainKafka());
    const topic = fixture.topicOf("row");
    {
      await using first = await fixture.spawn();
      await first.waitForReady();
      await fixture.database.query("INSERT INTO rows SELECT g, 'x' FROM generate_series(1, 20000) g");
      await waitFor(async () => (await sentBy(first)) > 200, {
        intervalMs: 5,
        describe: "some pieces to be sent",
      });
      const seen = await recordsOf(reader, topic);
      const sent = await sentBy(first);
      await first.kill("SIGKILL");
      expect([seen, sent < 20_000]).toEqual([0n, true]);
    }
    expect(await recordsOf(reader, topic)).toBe(0n);
    await using _second = await fixture.start({ maxRows: 5_000 });
    await fixture.published();
    await reader.close();
    await expectRows(fixture, 20_000);
  });

  test("a million rows in one transaction, in bounded memory", async () => {
    const count = 1_000_000;
    await using fixture = await createSourceFixture(SMALL);
    const reader = createKafkaReader(plainKafka(inject("stack").brokers));
    const topic = fixture.topicOf("row");
    await using source = await fixture.spawn({
      env: { NODE_OPTIONS: `--max-old-space-size=${MAX_HEAP_MB}` },
    });
    await source.waitForReady();
    await fixture.database.query(
      "INSERT INTO rows SELECT g, 'row ' || g FROM generate_series(1, $1::int) g",
      [count],
    );
    await waitFor(async () => (await sentBy(source)) > 50_000, {
      timeoutMs: 60_000,
      describe: "the first pieces",
    });
    expect(await recordsOf(reader, topic)).toBe(0n);
    expect((await source.status()).units[0]?.role).toBe("active");
    await fixture.published(300_000);
    const seen = await countIndexes(reader, topic, count);
    await reader.close();
    expect(seen.findIndex((times) => times !== 1)).toBe(-1);
    const peak = await peakRssMb(source.pid);
    console.log(`a million rows in one transaction: at most ${Math.round(peak)} MB resident`);
    expect(peak).toBeLessThan(MAX_RSS_MB);
  }, 400_000);
});
