import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { latestByKey, type ReadRecord } from "../support/kafka.ts";
import {
  createSourceFixture,
  opsOf,
  type SourceFixture,
  type TestSchema,
  transformationsOf,
} from "../support/source.ts";

const SQL = `
  CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, big text, tag text);
  CREATE TABLE owners (item_id bigint PRIMARY KEY, owner text NOT NULL);
  CREATE TABLE full_items (LIKE items INCLUDING ALL);
  ALTER TABLE full_items REPLICA IDENTITY FULL;
  CREATE TABLE index_items (id bigint PRIMARY KEY, code text NOT NULL UNIQUE, name text NOT NULL);
  ALTER TABLE index_items REPLICA IDENTITY USING INDEX index_items_code_key;
  CREATE TABLE nokey_items (code text NOT NULL, name text NOT NULL);
  ALTER TABLE nokey_items REPLICA IDENTITY FULL;
  CREATE TABLE big_keys (k text PRIMARY KEY, n int NOT NULL);
  ALTER TABLE big_keys ALTER k SET STORAGE EXTERNAL;
  CREATE SCHEMA archive;
  CREATE TABLE archive.items (id bigint PRIMARY KEY, name text NOT NULL);`;

const VALUE = { id: "integer", name: "string", big: "string?" } as const;
const select = (table: string) => `SELECT id, name, big FROM ${table} WHERE id = :id`;

const SCHEMAS: readonly TestSchema[] = [
  {
    name: "item",
    fields: VALUE,
    transformations: transformationsOf("items", select("items"), "SELECT :id AS id"),
  },
  {
    name: "joined",
    fields: { id: "integer", name: "string", owner: "string?" },
    transformations: transformationsOf(
      "items",
      "SELECT i.id, i.name, o.owner FROM items i LEFT JOIN owners o ON o.item_id = i.id WHERE i.id = :id",
      "SELECT :id AS id",
    ),
  },
  {
    name: "full",
    fields: VALUE,
    transformations: transformationsOf("full_items", select("full_items"), "SELECT :id AS id"),
  },
  {
    name: "tagged",
    fields: { id: "integer", tag: "string", name: "string" },
    key: ["id", "tag"],
    transformations: transformationsOf(
      "full_items",
      "SELECT id, coalesce(tag, '') AS tag, name FROM full_items WHERE id = :id",
      "SELECT id, coalesce(tag, '') AS tag FROM full_items WHERE id = :id",
    ),
  },
  {
    name: "coded",
    fields: { code: "string", name: "string" },
    transformations: transformationsOf(
      "index_items",
      "SELECT code, name FROM index_items WHERE code = :code",
      "SELECT :code AS code",
    ),
  },
  {
    name: "nokey",
    fields: { code: "string", name: "string" },
    transformations: transformationsOf(
      "nokey_items",
      "SELECT :code AS code, :name AS name",
      "SELECT :code AS code",
    ),
  },
  {
    name: "bigkey",
    fields: { k: "string", n: "integer" },
    transformations: transformationsOf(
      "big_keys",
      "SELECT k, n FROM big_keys WHERE k = :k",
      "SELECT :k AS k",
    ),
  },
  {
    // Its SQL names a table of the same name in another schema.
    name: "archived",
    fields: { id: "integer", name: "string", current: "string?" },
    transformations: transformationsOf(
      "archive.items",
      "SELECT :id::bigint AS id, :name::text AS name, (SELECT max(name) FROM items WHERE id = :id) AS current",
    ).concat({
      operation: "delete",
      table: "archive.items",
      sql: "SELECT id FROM items WHERE id = :id",
      emit: "tombstone",
    }),
  },
];

const BIG = "x".repeat(100_000);

let fixture: SourceFixture;
beforeAll(async () => {
  fixture = await createSourceFixture({ sql: SQL, schemas: SCHEMAS });
});
afterAll(async () => {
  await fixture[Symbol.asyncDispose]();
});

/** What the statements, run while no source runs, are published as. */
async function eventsOf(schema: string, sql: string, prepare?: string): Promise<ReadRecord[]> {
  if (prepare !== undefined) {
    await using _source = await fixture.start();
    await fixture.database.query(prepare);
    await fixture.published();
  } else if (
    (
      await fixture.database.query("SELECT FROM pg_replication_slots WHERE slot_name = $1", [
        fixture.slotName,
      ])
    ).length === 0
  ) {
    await using _source = await fixture.start();
  }
  const before = new Set((await fixture.read(schema)).map((record) => record.change));
  await fixture.database.query(sql);
  await using _source = await fixture.start();
  await fixture.published();
  return (await fixture.read(schema)).filter((record) => !before.has(record.change));
}

const shown = (records: readonly ReadRecord[]) =>
  records.map(({ change, key, value }) => [
    change?.[0],
    Object.values(key as object).join("/"),
    value === null ? null : (value as { name?: string }).name,
  ]);

describe("an event shows the change it stands for", () => {
  test("ten updates of a row in a row each show their own state, though the row has long changed", async () => {
    const updates = Array.from({ length: 10 }, (_, i) => `UPDATE items SET name = 'v${i}' WHERE id = 1`);
    const records = await eventsOf("item", `INSERT INTO items VALUES (1, 'new'); ${updates.join("; ")}`);
    expect(shown(records).map(([, , name]) => name)).toEqual(["new", ...updates.map((_, i) => `v${i}`)]);
    expect(latestByKey(records).get('{"id":1}')).toMatchObject({ name: "v9" });
    const joined = (await fixture.read("joined")).filter((record) => (record.key as { id: number }).id === 1);
    expect(shown(joined).map(([, , name]) => name)).toEqual(["new", ...updates.map((_, i) => `v${i}`)]);
  });

  test("an insert and a delete before the transformation runs give the insert's event and a tombstone", async () => {
    await eventsOf("item", "INSERT INTO items VALUES (2, 'short'); ");
    const records = await eventsOf(
      "item",
      "INSERT INTO items VALUES (3, 'gone'); DELETE FROM items WHERE id IN (2, 3)",
    );
    expect(shown(records)).toEqual([
      ["c", "3", "gone"],
      ["d", "2", null],
      ["d", "3", null],
    ]);
  });

  test("delete and insert of a key in one transaction keep their order", async () => {
    const records = await eventsOf(
      "item",
      "BEGIN; INSERT INTO items VALUES (4, 'one'); DELETE FROM items WHERE id = 4; INSERT INTO items VALUES (4, 'two'); COMMIT",
    );
    expect(shown(records)).toEqual([
      ["c", "4", "one"],
      ["d", "4", null],
      ["c", "4", "two"],
    ]);
    expect(latestByKey(records).get('{"id":4}')).toMatchObject({ name: "two" });
  });

  test("an update and then a delete of a row end with a tombstone", async () => {
    const records = await eventsOf(
      "item",
      "INSERT INTO items VALUES (5, 'a'); UPDATE items SET name = 'b' WHERE id = 5; DELETE FROM items WHERE id = 5",
    );
    expect(shown(records)).toEqual([
      ["c", "5", "a"],
      ["u", "5", "b"],
      ["d", "5", null],
    ]);
  });

  test("a changed primary key is a tombstone for the old one, then an event for the new", async () => {
    const records = await eventsOf(
      "item",
      "INSERT INTO items VALUES (6, 'six'); UPDATE items SET id = 60 WHERE id = 6",
    );
    expect(shown(records)).toEqual([
      ["c", "6", "six"],
      ["d", "6", null],
      ["u", "60", "six"],
    ]);
  });

  test("two rows that swap their keys in one transaction both stay", async () => {
    const records = await eventsOf(
      "item",
      `INSERT INTO items VALUES (7, 'seven'), (8, 'eight');
       BEGIN; UPDATE items SET id = -1 WHERE id = 7; UPDATE items SET id = 7 WHERE id = 8; UPDATE items SET id = 8 WHERE id = -1; COMMIT`,
    );
    const state = latestByKey(records);
    expect([state.get('{"id":7}'), state.get('{"id":8}'), state.has('{"id":-1}')]).toMatchObject([
      { name: "eight" },
      { name: "seven" },
      false,
    ]);
  });

  test("a large value that an update leaves alone is read from the table, or from the old row under FULL", async () => {
    const records = await eventsOf(
      "item",
      `INSERT INTO items VALUES (9, 'small', '${BIG}'); UPDATE items SET name = 'other' WHERE id = 9;
       INSERT INTO full_items VALUES (9, 'small', '${BIG}'); UPDATE full_items SET name = 'a' WHERE id = 9; UPDATE full_items SET big = NULL, name = 'b' WHERE id = 9`,
    );
    const sizes = (list: readonly ReadRecord[]) =>
      list.map(({ value }) => {
        const { name, big } = value as { name: string; big: string | null };
        return [name, big?.length ?? null];
      });
    expect(sizes(records)).toEqual([
      ["small", BIG.length],
      ["other", BIG.length],
    ]);
    // FULL: each state is whole, though the table says null by now.
    expect(sizes(await fixture.read("full"))).toEqual([
      ["small", BIG.length],
      ["a", BIG.length],
      ["b", null],
    ]);
  });

  test("a large key that an update leaves alone is known", async () => {
    const key = `'${"k".repeat(2_400)}'`;
    const records = await eventsOf(
      "bigkey",
      `INSERT INTO big_keys VALUES (${key}, 1); UPDATE big_keys SET n = 2`,
    );
    expect(records.map(({ value }) => (value as { n: number }).n)).toEqual([1, 2]);
    expect(records.map(({ key }) => (key as { k: string }).k.length)).toEqual([2_400, 2_400]);
  });
});

describe("replica identities", () => {
  test("index: the index's columns are the key, of updates and deletes too", async () => {
    const records = await eventsOf(
      "coded",
      `INSERT INTO index_items VALUES (1, 'a', 'one'); UPDATE index_items SET name = 'uno' WHERE id = 1;
       UPDATE index_items SET code = 'b' WHERE id = 1; UPDATE index_items SET id = 2 WHERE id = 1; DELETE FROM index_items`,
    );
    expect(shown(records)).toEqual([
      ["c", "a", "one"],
      ["u", "a", "uno"],
      ["d", "a", null],
      ["u", "b", "uno"],
      ["u", "b", "uno"],
      ["d", "b", null],
    ]);
  });

  test("full without any key works from the placeholders' values", async () => {
    const records = await eventsOf(
      "nokey",
      "INSERT INTO nokey_items VALUES ('a', 'one'); UPDATE nokey_items SET code = 'b'; DELETE FROM nokey_items",
    );
    expect(shown(records)).toEqual([
      ["c", "a", "one"],
      ["d", "a", null],
      ["u", "b", "one"],
      ["d", "b", null],
    ]);
  });

  test("full: a key that holds more than the primary key moves when any of it changes", async () => {
    const records = await eventsOf(
      "tagged",
      "INSERT INTO full_items VALUES (20, 'x', NULL, 'old'); UPDATE full_items SET tag = 'new' WHERE id = 20; DELETE FROM full_items WHERE id = 20",
    );
    expect(shown(records)).toEqual([
      ["c", "20/old", "x"],
      ["d", "20/old", null],
      ["u", "20/new", "x"],
      ["d", "20/new", null],
    ]);
  });
});

describe("which transformation reads what is told", () => {
  test("each once, with the reason where the table is read", async () => {
    await using source = await fixture.start();
    await fixture.database.query(
      "UPDATE items SET name = name || '!'; UPDATE full_items SET name = name || '!'",
    );
    await fixture.published();
    const list = source.status.details?.transformations as {
      schema: string;
      table: string;
      operation: string;
      reads: string;
    }[];
    const reads = (schema: string, operation: string) =>
      list
        .filter((entry) => entry.schema === schema && entry.operation === operation)
        .map((entry) => entry.reads);
    expect(reads("item", "update")).toEqual(["row image"]);
    expect(reads("joined", "update")).toEqual(["row image"]);
    expect(reads("nokey", "update")).toEqual(["placeholders"]);
    // Beside a table of the same name elsewhere, the row image would show the wrong table's row.
    expect(reads("archived", "delete")).toEqual(["table: it does not read items itself"]);
  });

  test("a table of the same name in another schema is not taken for the changed one", async () => {
    const records = await eventsOf(
      "archived",
      "INSERT INTO items VALUES (30, 'current'); INSERT INTO archive.items VALUES (30, 'old'); DELETE FROM archive.items",
    );
    expect(opsOf(records)).toEqual(["c", "d"]);
    expect(records[0]?.value).toEqual({ id: 30, name: "old", current: "current" });
  });
});
