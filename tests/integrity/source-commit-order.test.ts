import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { latestByKey } from "../support/kafka.ts";
import { seededRandom } from "../support/random.ts";
import { createSourceFixture, expectEveryPositionOnce, transformationsOf } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

const SQL = `
  CREATE TABLE rows (id bigint PRIMARY KEY, n int NOT NULL);
  CREATE TABLE details (id bigint PRIMARY KEY, m int NOT NULL);`;

const SCHEMAS = [
  {
    name: "row",
    fields: { id: "integer", n: "integer" },
    transformations: transformationsOf("rows", "SELECT id, n FROM rows WHERE id = :id", "SELECT :id AS id"),
  },
] as const;

const idsOf = (records: readonly { key: unknown }[]) => records.map(({ key }) => (key as { id: number }).id);

describe("events come in the order of the commits", () => {
  test("of two interleaved transactions neither is lost, the earlier committed one comes first", async () => {
    await using fixture = await createSourceFixture({ sql: SQL, schemas: SCHEMAS });
    await using _source = await fixture.start();
    const [first, second] = [await fixture.database.connect(), await fixture.database.connect()];
    await first.query("BEGIN; INSERT INTO rows VALUES (1, 0)");
    await second.query("BEGIN; INSERT INTO rows VALUES (2, 0)");
    await first.query("INSERT INTO rows VALUES (3, 0)");
    await second.query("INSERT INTO rows VALUES (4, 0); COMMIT");
    await fixture.published();
    expect(idsOf(await fixture.read("row"))).toEqual([2, 4]);
    await first.query("INSERT INTO rows VALUES (5, 0); COMMIT");
    await fixture.published();
    const records = await fixture.read("row");
    expect(idsOf(records)).toEqual([2, 4, 1, 3, 5]);
    expectEveryPositionOnce(records);
  });

  test("the first start waits for transactions that run already, so none is published in part", async () => {
    await using fixture = await createSourceFixture({ sql: SQL, schemas: SCHEMAS });
    const early = await fixture.database.connect();
    await early.query("BEGIN; INSERT INTO rows VALUES (1, 0)");
    const starting = fixture.start();
    const creating =
      "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_create_logical%' AND wait_event_type = 'Lock' AND datname = current_database()";
    await waitFor(async () => (await fixture.database.query(creating)).length > 0, {
      describe: "the slot's creation to wait",
    });
    await early.query("INSERT INTO rows VALUES (3, 0); COMMIT");
    await using _source = await starting;
    await fixture.database.query("INSERT INTO rows VALUES (2, 0)");
    await fixture.published();
    expect(idsOf(await fixture.read("row"))).toEqual([2]);
  });

  test("savepoints: what was rolled back is not published, the rest keeps its order", async () => {
    await using fixture = await createSourceFixture({ sql: SQL, schemas: SCHEMAS });
    await using _source = await fixture.start();
    await fixture.database.query(`
      BEGIN; INSERT INTO rows VALUES (1, 0);
      SAVEPOINT a; INSERT INTO rows VALUES (2, 0); ROLLBACK TO a; INSERT INTO rows VALUES (3, 0); RELEASE a;
      SAVEPOINT b; UPDATE rows SET n = 1 WHERE id = 1; SAVEPOINT c; DELETE FROM rows WHERE id = 3; ROLLBACK TO c;
      RELEASE b; UPDATE rows SET n = 2 WHERE id = 3; COMMIT`);
    await fixture.database.query("BEGIN; INSERT INTO rows VALUES (4, 0); ROLLBACK");
    await fixture.database.query(
      "DO $$ BEGIN INSERT INTO rows VALUES (5, 0); RAISE EXCEPTION 'x'; EXCEPTION WHEN raise_exception THEN INSERT INTO rows VALUES (6, 0); END $$",
    );
    await fixture.published();
    const records = await fixture.read("row");
    expect(
      records.map(({ change, key, value }) => [
        change?.[0],
        (key as { id: number }).id,
        (value as { n: number }).n,
      ]),
    ).toEqual([
      ["c", 1, 0],
      ["c", 3, 0],
      ["u", 1, 1],
      ["u", 3, 2],
      ["c", 6, 0],
    ]);
    expectEveryPositionOnce(records);
  });

  test("several writers on the same rows, with savepoints and rollbacks: each key ends as its row", async () => {
    await using fixture = await createSourceFixture({ sql: SQL, schemas: SCHEMAS });
    await using _source = await fixture.start();
    const random = seededRandom("writers on the same rows");
    const write = async (): Promise<void> => {
      const mine = random.fork();
      const client = await fixture.database.connect();
      for (let i = 0; i < 60; i++) {
        await client.query("BEGIN");
        // Ascending ids, so that no two writers wait for each other.
        for (const id of Array.from({ length: 3 }, () => mine.int(1, 20)).toSorted((a, b) => a - b)) {
          await client.query("SAVEPOINT s");
          if (mine.chance(0.2)) await client.query("DELETE FROM rows WHERE id = $1", [id]);
          else
            await client.query("INSERT INTO rows VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = $2", [
              id,
              mine.int(0, 1e6),
            ]);
          if (mine.chance(0.2)) await client.query("ROLLBACK TO s");
        }
        await client.query(mine.chance(0.2) ? "ROLLBACK" : "COMMIT");
      }
    };
    await Promise.all([write(), write(), write()]);
    await fixture.published();
    const records = await fixture.read("row");
    expectEveryPositionOnce(records);
    const expected = await fixture.database.query("SELECT id, n FROM rows ORDER BY id");
    const state = [...latestByKey(records).values()] as { id: number; n: number }[];
    expect(state.toSorted((a, b) => a.id - b.id)).toEqual(
      expected.map(({ id, n }) => ({ id: Number(id), n: Number(n) })),
    );
  });
});

describe("what tables say is never older than the change", () => {
  test("300 inserts and 300 updates at 50 a second with synchronous commit: no row is stale or missing", async () => {
    await using fixture = await createSourceFixture({
      sql: SQL,
      schemas: [
        {
          name: "joined",
          fields: { id: "integer", n: "integer", m: "integer" },
          key: ["id"],
          transformations: [
            // The join of two rows written by one transaction: a snapshot without it would find none or an old one.
            ...transformationsOf(
              "rows",
              "SELECT r.id, r.n, d.m FROM (SELECT * FROM rows) r JOIN details d ON d.id = r.id WHERE r.id = :id",
              "SELECT :id AS id",
            ),
          ],
        },
      ],
    });
    await using _source = await fixture.start();
    const client = await fixture.database.connect();
    await client.query("SET synchronous_commit = on");
    const every = async (count: number, sql: (i: number) => string): Promise<void> => {
      const startedAt = performance.now();
      for (let i = 1; i <= count; i++) {
        await client.query(sql(i));
        await delay(Math.max(0, startedAt + i * 20 - performance.now()));
      }
    };
    await every(
      300,
      (i) => `BEGIN; INSERT INTO details VALUES (${i}, ${i}); INSERT INTO rows VALUES (${i}, 0); COMMIT`,
    );
    await every(
      300,
      (i) =>
        `BEGIN; UPDATE details SET m = m + 1000 WHERE id = ${i}; UPDATE rows SET n = 1 WHERE id = ${i}; COMMIT`,
    );
    await fixture.published();
    const records = await fixture.read("joined");
    expectEveryPositionOnce(records);
    expect(records).toHaveLength(600);
    const stale = records.filter(({ change, value }) => {
      if (value === null) return true;
      const { id, n, m } = value as { id: number; n: number; m: number };
      return change?.startsWith("u") === true ? n !== 1 || m !== id + 1000 : m < id;
    });
    expect(stale).toEqual([]);
    for (const value of latestByKey(records).values()) {
      const { id, n, m } = value as { id: number; n: number; m: number };
      expect([n, m]).toEqual([1, id + 1000]);
    }
  });
});
