import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { latestByKey, type ReadRecord } from "../support/kafka.ts";
import { type Random, seededRandom } from "../support/random.ts";
import {
  createSourceFixture,
  expectEveryPositionOnce,
  type SourceFixture,
  transformationsOf,
} from "../support/source.ts";

const LEDGER = {
  sql: "CREATE TABLE ledger (id bigint PRIMARY KEY, writer int NOT NULL, seq int NOT NULL)",
  schemas: [
    {
      name: "entry",
      fields: { id: "integer", writer: "integer", seq: "integer" },
      transformations: transformationsOf(
        "ledger",
        "SELECT id, writer, seq FROM ledger WHERE id = :id",
        "SELECT :id AS id",
      ),
    },
  ],
} as const;

/** What a writer has committed: per transaction, its events as `op id seq`. */
interface Writer {
  readonly committed: string[][];
  stop(): Promise<void>;
}

const KEYS_PER_WRITER = 50;

/** Writes transactions of known outcome, one after the other, to keys of its own. */
async function startWriter(fixture: SourceFixture, writer: number, random: Random): Promise<Writer> {
  const client = await fixture.database.connect();
  const committed: string[][] = [];
  const present = new Set<number>();
  let seq = 0;
  let stopped = false;
  const transaction = async (): Promise<void> => {
    const events: string[] = [];
    await client.query("BEGIN");
    for (let n = random.int(1, 12); n > 0; n--) {
      const id = writer * 1_000 + random.int(1, KEYS_PER_WRITER);
      seq++;
      if (!present.has(id)) {
        await client.query("INSERT INTO ledger VALUES ($1, $2, $3)", [id, writer, seq]);
        present.add(id);
        events.push(`c ${id} ${seq}`);
      } else if (random.chance(0.15)) {
        await client.query("DELETE FROM ledger WHERE id = $1", [id]);
        present.delete(id);
        events.push(`d ${id}`);
      } else {
        await client.query("UPDATE ledger SET seq = $2 WHERE id = $1", [id, seq]);
        events.push(`u ${id} ${seq}`);
      }
    }
    await client.query("COMMIT");
    committed.push(events);
  };
  const running = (async () => {
    while (!stopped) {
      await transaction();
      await delay(5);
    }
  })();
  return {
    committed,
    async stop() {
      stopped = true;
      await running;
    },
  };
}

const shown = ({ change, key, value }: ReadRecord) => {
  const { id } = key as { id: number };
  return value === null ? `${change?.[0]} ${id}` : `${change?.[0]} ${id} ${(value as { seq: number }).seq}`;
};

/** Events of one writer, transaction by transaction. */
function transactionsOf(records: readonly ReadRecord[], writer: number): string[][] {
  const byLsn = new Map<string, string[]>();
  for (const record of records) {
    if (Math.floor((record.key as { id: number }).id / 1_000) !== writer) continue;
    const lsn = record.change?.split(":")[1] ?? "";
    byLsn.set(lsn, [...(byLsn.get(lsn) ?? []), shown(record)]);
  }
  return [...byLsn.values()];
}

async function expectTableState(fixture: SourceFixture, records: readonly ReadRecord[]): Promise<void> {
  const rows = await fixture.database.query("SELECT id, seq FROM ledger ORDER BY id");
  const state = [...latestByKey(records).values()] as { id: number; seq: number }[];
  expect(state.map(({ id, seq }) => [id, seq]).toSorted((a, b) => (a[0] ?? 0) - (b[0] ?? 0))).toEqual(
    rows.map(({ id, seq }) => [Number(id), Number(seq)]),
  );
}

describe("every event exactly once", () => {
  test("ten kills with -9 at random moments under load: each position once, none missing, in the order of the commits", async () => {
    const random = seededRandom("ten kills of the source");
    await using fixture = await createSourceFixture(LEDGER);
    {
      await using first = await fixture.spawn();
      await first.waitForReady();
    }
    const writers = await Promise.all([1, 2].map((writer) => startWriter(fixture, writer, random.fork())));
    for (let kill = 1; kill <= 10; kill++) {
      await using source = await fixture.spawn();
      // Most while it publishes, some while it starts or takes over.
      if (random.chance(0.8)) await source.waitForLog("publishing");
      await delay(random.int(0, 1_500));
      await source.kill("SIGKILL");
    }
    await using source = await fixture.spawn();
    await source.waitForReady();
    for (const writer of writers) await writer.stop();
    await fixture.published();
    const records = await fixture.read("entry");
    expectEveryPositionOnce(records);
    for (const [i, writer] of writers.entries())
      expect(transactionsOf(records, i + 1)).toEqual(writer.committed);
    await expectTableState(fixture, records);
  }, 240_000);

  test("what the slot sends again, because its confirmation was lost, is not published again", async () => {
    await using fixture = await createSourceFixture(LEDGER);
    const { slotName } = fixture;
    const publish = async (id: number): Promise<void> => {
      await using _source = await fixture.start();
      await fixture.database.query("INSERT INTO ledger VALUES ($1, 1, 1), ($1 + 1, 1, 1)", [id]);
      await fixture.published();
    };
    await publish(10);
    // The copy stays where the slot was: a crash before the confirmation leaves the slot itself there.
    await fixture.database.query("SELECT pg_copy_logical_replication_slot($1, $2)", [
      slotName,
      `${slotName}_old`,
    ]);
    await publish(20);
    await fixture.database.query("SELECT pg_drop_replication_slot($1)", [slotName]);
    await fixture.database.query("SELECT pg_copy_logical_replication_slot($2, $1)", [
      slotName,
      `${slotName}_old`,
    ]);
    await publish(30);
    const records = await fixture.read("entry");
    expectEveryPositionOnce(records);
    expect(records.map(shown)).toEqual([10, 11, 20, 21, 30, 31].map((id) => `c ${id} 1`));
  });

  test("SIGTERM under load: it finishes what it has begun, exits 0, and the next one goes on", async () => {
    const random = seededRandom("SIGTERM of the source");
    await using fixture = await createSourceFixture(LEDGER);
    let writer: Writer;
    {
      await using source = await fixture.spawn();
      await source.waitForReady();
      writer = await startWriter(fixture, 1, random.fork());
      await delay(random.int(500, 1_500));
      expect(await source.kill("SIGTERM")).toBe(0);
      expect(source.logTail()).not.toMatch(/"level":"(error|fatal)"/);
    }
    const inBetween = await fixture.read("entry");
    expectEveryPositionOnce(inBetween);
    await using source = await fixture.spawn();
    await source.waitForReady();
    await writer.stop();
    await fixture.published();
    const records = await fixture.read("entry");
    expectEveryPositionOnce(records);
    expect(transactionsOf(records, 1)).toEqual(writer.committed);
  });
});

describe("every event at least once", () => {
  test("delivery at-least-once: nothing is lost over kills, duplicates carry the same position and content", async () => {
    const random = seededRandom("at least once");
    await using fixture = await createSourceFixture({ ...LEDGER, delivery: "at-least-once" });
    {
      await using first = await fixture.spawn();
      await first.waitForReady();
    }
    const writer = await startWriter(fixture, 1, random.fork());
    for (let kill = 1; kill <= 3; kill++) {
      await using source = await fixture.spawn();
      await source.waitForLog("publishing");
      await delay(random.int(0, 1_000));
      await source.kill("SIGKILL");
    }
    await using source = await fixture.spawn();
    await source.waitForReady();
    await writer.stop();
    await fixture.published();
    const records = await fixture.read("entry");
    const byChange = new Map<string, ReadRecord>();
    for (const record of records) {
      const change = record.change ?? "";
      const known = byChange.get(change);
      if (known === undefined) byChange.set(change, record);
      else
        expect([record.partition, record.key, record.value]).toEqual([
          known.partition,
          known.key,
          known.value,
        ]);
    }
    const distinct = [...byChange.values()];
    expectEveryPositionOnce(distinct);
    expect(transactionsOf(distinct, 1)).toEqual(writer.committed);
    await expectTableState(fixture, distinct);
  });
});
