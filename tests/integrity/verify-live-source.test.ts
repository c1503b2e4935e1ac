import { expect, test } from "vitest";
import { waitForBackfill } from "../support/backfill.ts";
import { type Random, seededRandom } from "../support/random.ts";
import { createSourceFixture, type SourceFixture, transformationsOf } from "../support/source.ts";
import { faultsOf, verifyJson } from "../support/verify.ts";

const TIMES = Number(process.env.REJOT_VERIFY_TIMES ?? 8);

/** Runs transactions of random statements in several sessions until it is stopped. */
function startWriters(fixture: SourceFixture, random: Random, statement: (random: Random) => string) {
  let stopped = false;
  let committed = 0;
  const writers = Array.from({ length: 5 }, async () => {
    const own = random.fork();
    const client = await fixture.database.connect();
    while (!stopped) {
      const statements = Array.from({ length: own.int(1, 3) }, () => statement(own));
      try {
        await client.query(`BEGIN; ${statements.join("; ")}`);
        // On its own: then a commit may well begin exactly where a snapshot stands.
        await client.query(own.chance(0.1) ? "ROLLBACK" : "COMMIT");
        committed++;
      } catch {
        // Another writer holds the rows or has taken the key: it is as if nothing had been written.
        await client.query("ROLLBACK");
      }
    }
  });
  return {
    committed: () => committed,
    stop: async () => {
      stopped = true;
      await Promise.all(writers);
    },
  };
}

test("objects of one table, whose events show what was committed, are equal at once, however often it is looked", async () => {
  const random = seededRandom("verify a table");
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `CREATE TABLE mark (place text, n int, seq bigint NOT NULL DEFAULT 0, body text, PRIMARY KEY (place, n));
      INSERT INTO mark SELECT 'p' || i % 7, i, i, repeat('x', i % 50) FROM generate_series(1, 300) i`,
    schemas: [
      {
        name: "mark",
        fields: { place: "string", n: "integer", seq: "integer", body: "string?" },
        key: ["place", "n"],
        transformations: transformationsOf(
          "mark",
          "SELECT place, n, seq, body FROM mark WHERE place = :place AND n = :n",
          "SELECT :place AS place, :n AS n",
        ),
      },
    ],
  });
  await using source = await fixture.start();
  await waitForBackfill(() => source.status, "mark.v1");
  const n = (own: Random) => own.int(1, 320);
  const writers = startWriters(fixture, random, (own) =>
    own.pick([
      `UPDATE mark SET seq = seq + 1 WHERE n = ${n(own)}`,
      `UPDATE mark SET seq = seq + 1, body = NULL WHERE n BETWEEN ${n(own)} AND ${n(own)}`,
      `DELETE FROM mark WHERE n = ${n(own)}`,
      `INSERT INTO mark SELECT 'p' || i % 7, i, 0, 'new' FROM generate_series(${n(own)}, ${n(own)}) i ON CONFLICT DO NOTHING`,
      `UPDATE mark SET place = 'q' || n % 5 WHERE n = ${n(own)}`,
    ]),
  );
  const positions = new Set<unknown>();
  for (let i = 0; i < TIMES; i++) {
    const { exitCode, comparisons } = await verifyJson(fixture.manifestPath);
    const [report] = comparisons;
    if (report === undefined) throw new Error("no comparison");
    expect(faultsOf(report)).toEqual({});
    // No second look was needed: both sides stood at the very same commit.
    expect([exitCode, report.rounds, report.keys - report.equal]).toEqual([0, 1, 0]);
    positions.add(report.position);
  }
  await writers.stop();
  expect(positions.size).toBe(TIMES);
  expect(writers.committed()).toBeGreaterThan(TIMES * 10);
});

test("objects that joined tables belong to are never called different while all of these are written to", async () => {
  const random = seededRandom("verify a join");
  const purchase = (condition: string) =>
    `SELECT p.id, b.name, coalesce(sum(l.quantity), 0)::bigint AS quantity
       FROM purchase p JOIN buyer b ON b.id = p.buyer LEFT JOIN line l ON l.purchase = p.id
      WHERE ${condition} AND p.status <> 'draft' GROUP BY p.id, b.name`;
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `CREATE TABLE buyer (id bigint PRIMARY KEY, name text NOT NULL);
      CREATE TABLE purchase (id uuid PRIMARY KEY, n bigint NOT NULL, buyer bigint NOT NULL, status text NOT NULL);
      CREATE TABLE line (purchase uuid NOT NULL, n bigint NOT NULL, quantity bigint NOT NULL, PRIMARY KEY (purchase, n));
      ALTER TABLE line REPLICA IDENTITY FULL;
      INSERT INTO buyer SELECT i, 'b' || i FROM generate_series(0, 19) i;
      INSERT INTO purchase SELECT md5(i::text)::uuid, i, i % 20, 'placed' FROM generate_series(1, 200) i;
      INSERT INTO line SELECT id, k, k FROM purchase, generate_series(1, 3) k`,
    schemas: [
      {
        name: "purchase",
        fields: { id: { type: "string", format: "uuid" }, name: "string", quantity: "integer" },
        key: ["id"],
        transformations: [
          ...transformationsOf("purchase", purchase("p.id = :id"), "SELECT :id AS id"),
          { operation: "update", table: "buyer", sql: purchase("p.buyer = :id") },
          ...transformationsOf("line", purchase("p.id = :purchase")),
          { operation: "delete", table: "line", emit: "upsert", sql: purchase("p.id = :purchase") },
        ],
      },
    ],
  });
  await using source = await fixture.start();
  await waitForBackfill(() => source.status, "purchase.v1");
  const id = (own: Random) => `md5('${own.int(1, 220)}')::uuid`;
  const writers = startWriters(fixture, random, (own) =>
    own.pick([
      `UPDATE buyer SET name = 'b' || random() WHERE id = ${own.int(0, 19)}`,
      `UPDATE line SET quantity = quantity + 1 WHERE purchase = ${id(own)}`,
      `DELETE FROM line WHERE purchase = ${id(own)} AND n = ${own.int(1, 3)}`,
      `INSERT INTO line VALUES (${id(own)}, ${own.int(1, 3)}, 5) ON CONFLICT DO NOTHING`,
      `UPDATE purchase SET status = CASE status WHEN 'draft' THEN 'placed' ELSE 'draft' END WHERE id = ${id(own)}`,
      `DELETE FROM purchase WHERE id = ${id(own)}`,
      `INSERT INTO purchase VALUES (${id(own)}, 0, ${own.int(0, 19)}, 'placed') ON CONFLICT DO NOTHING`,
    ]),
  );
  for (let i = 0; i < TIMES; i++) {
    const { exitCode, comparisons } = await verifyJson(fixture.manifestPath, "--rounds", "10");
    const [report] = comparisons;
    if (report === undefined) throw new Error("no comparison");
    expect(faultsOf(report)).toEqual({});
    expect([exitCode, report.keys - report.equal]).toEqual([0, 0]);
  }
  await writers.stop();
  expect(writers.committed()).toBeGreaterThan(TIMES * 10);
});
