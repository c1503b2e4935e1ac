import { expect, test } from "vitest";
import { readsByKey, statusOf, waitForBackfill } from "../support/backfill.ts";
import { latestByKey } from "../support/kafka.ts";
import { createSourceFixture, expectEveryPositionOnce, transformationsOf } from "../support/source.ts";

const WORDS = `(VALUES ('a'), ('A'), ('b'), ('B'), ('ä'), ('Ä'), ('z'), ('ß'), ('ss'), ('a b'), ('a-b'), ('ab'), (''),
  ('"'), ('\\'), ('{}'), ('NULL'), ('1'), ('10'), ('2'), (' '), ('%'), ('''')) AS w(word)`;

const BY_KEY = "WHERE k = :k";

/** Tables with keys of every kind, and how their one public schema finds a row. */
const TABLES = [
  {
    name: "uuids",
    sql: "CREATE TABLE uuids (k uuid PRIMARY KEY, v text); INSERT INTO uuids SELECT md5(i::text)::uuid, i FROM generate_series(1, 40) i",
    where: BY_KEY,
    keys: ["k"],
  },
  {
    name: "texts",
    sql: `CREATE TABLE texts (k text PRIMARY KEY, v text); INSERT INTO texts SELECT word, word FROM ${WORDS}`,
    where: BY_KEY,
    keys: ["k"],
  },
  {
    name: "icu_texts",
    sql: `CREATE TABLE icu_texts (k text COLLATE "und-x-icu" PRIMARY KEY, v text); INSERT INTO icu_texts SELECT word, word FROM ${WORDS}`,
    where: BY_KEY,
    keys: ["k"],
  },
  {
    name: "composites",
    sql: `CREATE TABLE composites (k text, n int, v text, PRIMARY KEY (n, k));
      INSERT INTO composites SELECT word, n, word FROM ${WORDS}, generate_series(-2, 2) n`,
    where: "WHERE k = :k AND n = :n",
    keys: ["k", "n"],
  },
  {
    name: "padded",
    sql: `CREATE TABLE padded (k char(4) PRIMARY KEY, v text); INSERT INTO padded SELECT chr(96 + i), i FROM generate_series(1, 25) i`,
    where: BY_KEY,
    keys: ["k"],
  },
  {
    name: "times",
    sql: `CREATE TABLE times (k timestamptz PRIMARY KEY, v text);
      INSERT INTO times SELECT '2000-01-01'::timestamptz + i * interval '1 microsecond', i FROM generate_series(1, 25) i`,
    where: BY_KEY,
    keys: ["k"],
  },
  {
    name: "numbers",
    sql: "CREATE TABLE numbers (k numeric PRIMARY KEY, v text); INSERT INTO numbers SELECT (i - 12) / 7.0, i FROM generate_series(1, 25) i",
    where: BY_KEY,
    keys: ["k"],
  },
  {
    name: "enums",
    sql: `CREATE TYPE mood AS ENUM ('z', 'y', 'x', 'a', 'b', 'c', 'm', 'n', 'o', 'p'); CREATE TABLE enums (k mood PRIMARY KEY, v text);
      INSERT INTO enums SELECT m, m FROM unnest(enum_range(NULL::mood)) m`,
    where: BY_KEY,
    keys: ["k"],
  },
  {
    name: "indexed",
    sql: `CREATE TABLE indexed (v text, k text NOT NULL, n int NOT NULL);
      CREATE UNIQUE INDEX indexed_key ON indexed (k, n); ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_key;
      INSERT INTO indexed SELECT n, word, n FROM ${WORDS}, generate_series(1, 2) n`,
    where: "WHERE k = :k AND n = :n",
    keys: ["k", "n"],
  },
  {
    name: "full_identity",
    sql: `CREATE TABLE full_identity (k bigint PRIMARY KEY, v text); ALTER TABLE full_identity REPLICA IDENTITY FULL;
      INSERT INTO full_identity SELECT i, i FROM generate_series(1, 25) i`,
    where: BY_KEY,
    keys: ["k"],
  },
  {
    name: "partitioned",
    sql: `CREATE TABLE partitioned (k bigint PRIMARY KEY, v text) PARTITION BY RANGE (k);
      CREATE TABLE partitioned_1 PARTITION OF partitioned FOR VALUES FROM (0) TO (10);
      CREATE TABLE partitioned_2 PARTITION OF partitioned FOR VALUES FROM (10) TO (100);
      INSERT INTO partitioned SELECT i, i FROM generate_series(1, 25) i`,
    where: BY_KEY,
    keys: ["k"],
  },
  {
    name: "inherited",
    sql: `CREATE TABLE inherited (k bigint PRIMARY KEY, n int NOT NULL, v text);
      ALTER TABLE inherited REPLICA IDENTITY FULL; CREATE TABLE heir_1 (PRIMARY KEY (k)) INHERITS (inherited); CREATE TABLE heir_2 (own int UNIQUE NOT NULL) INHERITS (inherited);
      ALTER TABLE heir_1 REPLICA IDENTITY FULL; ALTER TABLE heir_2 REPLICA IDENTITY FULL;
      INSERT INTO inherited SELECT i, 0, i FROM generate_series(1, 20) i; INSERT INTO heir_1 SELECT i, 1, i FROM generate_series(1, 20) i;
      INSERT INTO heir_2 SELECT i, 2, i, i FROM generate_series(1, 20) i`,
    where: "WHERE k = :k AND n = :n",
    keys: ["k", "n"],
  },
  { name: "empty", sql: "CREATE TABLE empty (k bigint PRIMARY KEY, v text)", where: BY_KEY, keys: ["k"] },
] as const;

test("keys of every kind, in portions of seven rows: each row once, none missing", async () => {
  await using fixture = await createSourceFixture({
    backfill: "auto",
    partitions: 1,
    sql: TABLES.map(({ sql }) => sql).join(";\n"),
    schemas: TABLES.map(({ name, where, keys }) => {
      const columns = keys.map((key) => `${key}::text AS ${key}`).join(", ");
      return {
        name,
        fields: Object.fromEntries([...keys.map((key) => [key, "string"]), ["v", "string?"]]),
        key: [...keys],
        transformations: transformationsOf(
          name,
          `SELECT ${columns}, v FROM ${name} ${where}`,
          `SELECT ${keys.map((key) => `:${key}::text AS ${key}`).join(", ")}`,
        ),
      };
    }),
    config: { backfillChunkRows: 7 },
  });
  await using source = await fixture.start();
  for (const { name, keys } of TABLES) {
    const done = await waitForBackfill(() => source.status, `${name}.v1`);
    const records = await fixture.read(name);
    const rows = await fixture.database.query(
      `SELECT ${keys.map((key) => `${key}::text`).join(", ")}, v FROM ${name}`,
    );
    const shown = (row: Record<string, unknown>) => JSON.stringify([...keys.map((key) => row[key]), row.v]);
    const state = [...latestByKey(records).values()] as Record<string, unknown>[];
    expect(state.map(shown).sort(), name).toEqual(rows.map(shown).sort());
    expect(
      [...readsByKey(records).values()].every((times) => times === 1),
      name,
    ).toBe(true);
    expect(done.rows, name).toBe(rows.length);
  }
}, 60_000);

test("several public schemas over one table are each read to their end, an object's parts through their own table", async () => {
  const basket = (condition: string) =>
    `SELECT b.id, count(t.n) AS things FROM basket b LEFT JOIN thing t ON t.basket = b.id WHERE ${condition} GROUP BY b.id`;
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `CREATE TABLE basket (id bigint PRIMARY KEY); CREATE TABLE thing (basket bigint, n bigint, PRIMARY KEY (basket, n));
      INSERT INTO basket SELECT i FROM generate_series(1, 60) i;
      INSERT INTO thing SELECT i, k FROM generate_series(1, 50) i, generate_series(1, 3) k`,
    schemas: [
      {
        name: "basket",
        fields: { id: "integer", things: "integer" },
        key: ["id"],
        transformations: [
          ...transformationsOf("basket", basket("b.id = :id"), "SELECT :id AS id"),
          ...transformationsOf("thing", basket("b.id = :basket")),
        ],
      },
      {
        name: "bare-basket",
        fields: { id: "integer" },
        transformations: transformationsOf(
          "basket",
          "SELECT id FROM basket WHERE id = :id",
          "SELECT :id AS id",
        ),
      },
      {
        name: "thing",
        fields: { basket: "integer", n: "integer" },
        transformations: transformationsOf(
          "thing",
          "SELECT basket, n FROM thing WHERE basket = :basket AND n = :n",
          "SELECT :basket AS basket, :n AS n",
        ),
      },
    ],
    config: { backfillChunkRows: 25 },
  });
  await using source = await fixture.start();
  const rows = { basket: 60, "bare-basket": 60, thing: 150 };
  for (const [name, count] of Object.entries(rows)) {
    expect(await waitForBackfill(() => source.status, `${name}.v1`)).toMatchObject({
      rows: count,
      events: count,
    });
  }
  const all = await Promise.all(Object.keys(rows).map((name) => fixture.read(name)));
  expectEveryPositionOnce(all.flat());
  const baskets = [...latestByKey(all[0] ?? []).values()] as { things: number }[];
  expect(baskets.filter(({ things }) => things === 3)).toHaveLength(50);
  expect(baskets.filter(({ things }) => things === 0)).toHaveLength(10);
});

test("a unique key over a column that may hold NULL, for all that its NOT NULL says, is none", async () => {
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `CREATE TABLE t (k int UNIQUE, id bigint NOT NULL); ALTER TABLE t REPLICA IDENTITY FULL;
      INSERT INTO t VALUES (1, 1), (NULL, 2); ALTER TABLE t ADD CONSTRAINT k_not_null NOT NULL k NOT VALID`,
    schemas: [
      {
        name: "t",
        fields: { id: "integer" },
        transformations: transformationsOf("t", "SELECT id FROM t WHERE id = :id"),
      },
    ],
    config: { backfillPollMs: 50, backfillChunkRows: 1 },
  });
  {
    await using source = await fixture.start();
    const { error } = await waitForBackfill(() => source.status, "t.v1", "failed");
    expect(error).toMatch(/^BACKFILL_TABLE_UNFIT/);
  }
  await fixture.database.query(
    "UPDATE t SET k = 2 WHERE k IS NULL; ALTER TABLE t VALIDATE CONSTRAINT k_not_null",
  );
  await using source = await fixture.start();
  expect(await waitForBackfill(() => source.status, "t.v1")).toMatchObject({ rows: 2 });
});

test("a union of which one part is not one to one with its table is read whole", async () => {
  const rows = (name: string) =>
    `CREATE TABLE ${name} (id bigint PRIMARY KEY, name text NOT NULL); INSERT INTO ${name} SELECT i, '${name}' FROM generate_series(1, 10) i`;
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `${rows("customer")}; ${rows("supplier")}`,
    schemas: [
      {
        name: "party",
        fields: { id: "integer", name: "string" },
        key: ["id"],
        transformations: [
          ...transformationsOf("customer", "SELECT c.id, c.name FROM customer c WHERE c.id = :id"),
          ...transformationsOf("supplier", "SELECT 0 - s.id AS id, s.name FROM supplier s WHERE s.id = :id"),
        ],
      },
    ],
  });
  await using source = await fixture.start();
  expect(await waitForBackfill(() => source.status, "party.v1")).toMatchObject({ rows: 20, events: 20 });
});

test.each([
  [
    "120 MB of rows alike",
    800,
    "INSERT INTO heavy SELECT i, repeat('x', 150000) FROM generate_series(1, 800) i",
  ],
  [
    "90 MB of large rows behind small ones",
    4_300,
    `INSERT INTO heavy SELECT i, 'x' FROM generate_series(1, 4000) i;
     INSERT INTO heavy SELECT i, repeat('x', 300000) FROM generate_series(4001, 4300) i`,
  ],
])(
  "memory holds a portion, not the table: %s go through a heap of 80 MB",
  async (_what, rows, insert) => {
    await using fixture = await createSourceFixture({
      backfill: "auto",
      sql: `CREATE TABLE heavy (id bigint PRIMARY KEY, body text NOT NULL); ${insert}`,
      schemas: [
        {
          name: "heavy",
          fields: { id: "integer", start: "string" },
          // The placeholders take the whole row out of the database.
          transformations: transformationsOf(
            "heavy",
            "SELECT :id AS id, left(:body, 3) AS start",
            "SELECT :id AS id",
          ),
        },
      ],
      config: { maxBytes: 2_000_000 },
    });
    await using source = await fixture.spawn({ env: { NODE_OPTIONS: "--max-old-space-size=80" } });
    await source.waitForReady();
    expect(await waitForBackfill(statusOf(source), "heavy.v1")).toMatchObject({ rows, events: rows });
  },
  90_000,
);
