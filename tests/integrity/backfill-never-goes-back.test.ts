import { expect, test } from "vitest";
import { waitForBackfill } from "../support/backfill.ts";
import { latestByKey, type ReadRecord, toJson } from "../support/kafka.ts";
import { type Random, seededRandom } from "../support/random.ts";
import {
  createSourceFixture,
  expectEveryPositionOnce,
  opsOf,
  type SourceFixture,
  transformationsOf,
} from "../support/source.ts";

/** Runs transactions of random statements in several sessions until it is stopped. */
function startWriters(fixture: SourceFixture, random: Random, statement: (random: Random) => string) {
  let stopped = false;
  let committed = 0;
  const writers = Array.from({ length: 3 }, async () => {
    const own = random.fork();
    const client = await fixture.database.connect();
    while (!stopped) {
      const statements = Array.from({ length: own.int(1, 4) }, () => statement(own));
      // Another writer may hold the row or have taken the key: then it is as if nothing had been written.
      await client.query(`BEGIN; ${statements.join("; ")}; COMMIT`).then(
        () => committed++,
        () => client.query("ROLLBACK"),
      );
    }
    await client.end();
  });
  return {
    stop: async () => {
      stopped = true;
      await Promise.all(writers);
      return committed;
    },
  };
}

const ROWS = 3_000;

/** Keys whose `seq`, which only grows at the source, was less than before. */
function gonesBack(records: readonly ReadRecord[]): string[] {
  const last = new Map<string, number>();
  return records.flatMap(({ key, value, change }) => {
    const { seq } = (value ?? { seq: undefined }) as { seq: number | undefined };
    if (seq === undefined) return [];
    const id = toJson(key);
    const before = last.get(id) ?? -1;
    last.set(id, seq);
    return seq < before ? [`${id} ${change}: ${seq} after ${before}`] : [];
  });
}

test("under random inserts, updates, deletes and key changes no key goes back, and the topic ends as the table is", async () => {
  const random = seededRandom("backfill of a table");
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `CREATE SEQUENCE seq;
      CREATE TABLE entry (id bigint PRIMARY KEY, seq bigint NOT NULL DEFAULT nextval('seq'), public bool NOT NULL);
      INSERT INTO entry SELECT i, nextval('seq'), i % 10 > 0 FROM generate_series(1, ${ROWS}) i`,
    schemas: [
      {
        name: "entry",
        fields: { id: "integer", seq: "integer" },
        transformations: transformationsOf(
          "entry",
          "SELECT id, seq FROM entry WHERE id = :id AND public",
          "SELECT :id AS id",
        ),
      },
    ],
    config: { backfillChunkRows: 40 },
  });
  const id = (own: Random) => own.int(1, ROWS + 200);
  const writers = startWriters(fixture, random, (own) =>
    own.pick([
      `UPDATE entry SET seq = nextval('seq') WHERE id = ${id(own)}`,
      `UPDATE entry SET seq = nextval('seq') WHERE id BETWEEN ${id(own)} AND ${id(own)} AND random() < 0.01`,
      `UPDATE entry SET seq = nextval('seq'), public = NOT public WHERE id = ${id(own)}`,
      `DELETE FROM entry WHERE id = ${id(own)}`,
      `INSERT INTO entry VALUES (${id(own)}, nextval('seq'), true) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq`,
      `UPDATE entry SET seq = nextval('seq'), id = ${id(own)} WHERE id = ${id(own)}`,
    ]),
  );
  await using source = await fixture.start();
  const done = await waitForBackfill(() => source.status, "entry.v1");
  const committed = await writers.stop();
  await fixture.published();

  const records = await fixture.read("entry");
  expectEveryPositionOnce(records);
  expect(gonesBack(records)).toEqual([]);
  const rows = await fixture.database.query("SELECT id, seq FROM entry WHERE public ORDER BY id");
  const state = [...latestByKey(records).values()] as { id: number; seq: number }[];
  expect(state.map((entry) => `${entry.id} ${entry.seq}`).sort()).toEqual(
    rows.map((row) => `${row.id} ${row.seq}`).sort(),
  );
  expect(opsOf(records).filter((op) => op === "r")).toHaveLength(done.events);
  expect(committed).toBeGreaterThan(100);
  expect(done.overtaken).toBeGreaterThan(0);
}, 120_000);

test("an object of several tables, all of which are written to, ends as the public schema's SQL says", async () => {
  const random = seededRandom("backfill of a join");
  const purchase = (condition: string) =>
    `SELECT p.id, b.name, coalesce(sum(l.quantity), 0)::bigint AS quantity, count(l.n) AS lines
       FROM purchase p JOIN buyer b ON b.id = p.buyer LEFT JOIN line l ON l.purchase = p.id
      WHERE ${condition} AND p.status <> 'draft' GROUP BY p.id, b.name`;
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `CREATE TABLE buyer (id bigint PRIMARY KEY, name text NOT NULL);
      CREATE TABLE purchase (id uuid PRIMARY KEY, n bigint NOT NULL, buyer bigint NOT NULL, status text NOT NULL);
      CREATE TABLE line (purchase uuid NOT NULL, n bigint NOT NULL, quantity bigint NOT NULL, PRIMARY KEY (purchase, n));
      INSERT INTO buyer SELECT i, 'b' || i FROM generate_series(0, 49) i;
      INSERT INTO purchase SELECT md5(i::text)::uuid, i, i % 50, CASE WHEN i % 7 = 0 THEN 'draft' ELSE 'placed' END
        FROM generate_series(1, 800) i;
      INSERT INTO line SELECT id, k, k FROM purchase, generate_series(1, 3) k WHERE n % 5 > 0`,
    schemas: [
      {
        name: "purchase",
        fields: { id: "string", name: "string", quantity: "integer", lines: "integer" },
        key: ["id"],
        transformations: [
          ...transformationsOf("purchase", purchase("p.id = :id"), "SELECT :id::uuid AS id"),
          ...transformationsOf("line", purchase("p.id = :purchase")),
          { operation: "delete", table: "line", sql: purchase("p.id = :purchase"), emit: "upsert" },
          ...transformationsOf("buyer", purchase("b.id = :id")),
        ],
      },
    ],
    config: { backfillChunkRows: 20 },
  });
  const one = (own: Random) => `(md5('${own.int(1, 850)}')::uuid)`;
  const writers = startWriters(fixture, random, (own) =>
    own.pick([
      `UPDATE purchase SET status = '${own.pick(["draft", "placed", "paid"])}' WHERE id = ${one(own)}`,
      `UPDATE purchase SET buyer = ${own.int(0, 49)} WHERE id = ${one(own)}`,
      `UPDATE buyer SET name = 'b${own.int(0, 1_000_000)}' WHERE id = ${own.int(0, 49)}`,
      `UPDATE line SET quantity = quantity + 1 WHERE purchase = ${one(own)}`,
      `DELETE FROM line WHERE purchase = ${one(own)} AND n = ${own.int(1, 3)}`,
      `INSERT INTO line VALUES (${one(own)}, ${own.int(1, 9)}, ${own.int(1, 9)}) ON CONFLICT DO NOTHING`,
      `DELETE FROM purchase WHERE id = ${one(own)}`,
      `INSERT INTO purchase VALUES (${one(own)}, 0, ${own.int(0, 49)}, 'placed') ON CONFLICT DO NOTHING`,
    ]),
  );
  await using source = await fixture.start();
  const done = await waitForBackfill(() => source.status, "purchase.v1");
  const committed = await writers.stop();
  await fixture.published();

  const records = await fixture.read("purchase");
  expectEveryPositionOnce(records);
  const rows = await fixture.database.query(purchase("true"));
  const shown = (row: Record<string, unknown>) => `${row.id} ${row.name} ${row.quantity} ${row.lines}`;
  const state = [...latestByKey(records).values()] as Record<string, unknown>[];
  expect(state.map(shown).sort()).toEqual(rows.map(shown).sort());
  expect(committed).toBeGreaterThan(100);
  expect(done.events).toBeGreaterThan(0);
  expect(done.overtaken).toBeGreaterThan(0);
}, 120_000);

test("what is deleted, or changed by a joined table, while its chunk is read stays as the change left it", async () => {
  const item = (condition: string) =>
    `SELECT i.id, g.title FROM item i JOIN "group" g ON g.id = i.g WHERE ${condition}`;
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `CREATE FUNCTION gate() RETURNS bool LANGUAGE sql AS 'SELECT pg_advisory_xact_lock_shared(7) IS NOT NULL';
      CREATE TABLE "group" (id bigint PRIMARY KEY, title text NOT NULL);
      CREATE TABLE item (id bigint PRIMARY KEY, g bigint NOT NULL);
      INSERT INTO "group" SELECT i, 'before' FROM generate_series(1, 5) i;
      INSERT INTO item SELECT i, i FROM generate_series(1, 5) i`,
    schemas: [
      {
        name: "item",
        fields: { id: "integer", title: "string" },
        transformations: [
          ...transformationsOf("item", item("i.id = :id AND gate()"), "SELECT :id AS id"),
          ...transformationsOf("group", item("g.id = :id")),
        ],
      },
    ],
  });
  // Reading waits for this lock with its snapshot taken; the other transformations do not.
  const holder = await fixture.database.connect();
  await holder.query("SELECT pg_advisory_lock(7)");
  await using source = await fixture.start();
  const waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
  await expect.poll(async () => (await holder.query(waiting)).rowCount).toBe(1);
  await fixture.database.query("DELETE FROM item WHERE id = 2");
  await fixture.database.query(`UPDATE "group" SET title = 'after' WHERE id = 4`);
  await fixture.published();
  await holder.query("SELECT pg_advisory_unlock(7)");
  const done = await waitForBackfill(() => source.status, "item.v1");
  expect(done).toMatchObject({ rows: 5, events: 3, overtaken: 2 });
  const records = await fixture.read("item");
  expectEveryPositionOnce(records);
  const shown = records.map(({ change, key, value }) => {
    return `${change?.[0]} ${(key as { id: number }).id} ${(value as { title: string } | null)?.title}`;
  });
  expect(shown).toEqual(["d 2 undefined", "u 4 after", "r 1 before", "r 3 before", "r 5 before"]);
});
