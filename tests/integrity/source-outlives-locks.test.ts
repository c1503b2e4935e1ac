import { expect, test } from "vitest";
import { publishedOids } from "../../source-connector/setup/postgres-published.ts";
import { ensurePublication } from "../../source-connector/setup/postgres-setup.ts";
import { createDatabase } from "../support/database.ts";
import { createSourceFixture, transformationsOf } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

/** Longer than the heartbeat takes a server for silent. */
const LOCKED_MS = 7_000;

function twoTables() {
  return createSourceFixture({
    sql: "CREATE TABLE a (id bigint PRIMARY KEY, n int); CREATE TABLE b (id bigint PRIMARY KEY, n int)",
    schemas: ["a", "b"].map((name) => ({
      name,
      fields: { id: "integer", n: "integer" },
      key: ["id"],
      transformations: transformationsOf(
        name,
        `SELECT id, n FROM ${name} WHERE id = :id`,
        "SELECT :id AS id",
      ),
    })),
  });
}

test("while a statement holds one table locked, as VACUUM FULL does, the others go on", async () => {
  await using fixture = await twoTables();
  await using source = await fixture.start();
  const holder = await fixture.database.connect();
  await holder.query("BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE");
  const endMs = performance.now() + LOCKED_MS;
  let rows = 0;
  for (; performance.now() < endMs; rows++) {
    await fixture.database.query("INSERT INTO b VALUES ($1, 1)", [rows]);
    await fixture.published(3_000);
  }
  expect(source.status).toMatchObject({ role: "active", lastError: null });
  await holder.query("INSERT INTO a VALUES (1, 1); COMMIT");
  await fixture.published();
  expect(await fixture.read("a", { decode: false })).toHaveLength(1);
  expect(await fixture.read("b", { decode: false })).toHaveLength(rows);
});

test("a source that starts meanwhile says which table is locked and by whom, and starts when it is not", async () => {
  await using fixture = await twoTables();
  const holder = await fixture.database.connect();
  await holder.query("BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE");
  const [row] = (await holder.query<{ pid: string }>("SELECT pg_backend_pid() AS pid")).rows;
  const connector = await fixture.create();
  const starting = connector.start(new AbortController().signal);
  const status = () => connector.status().units[0];
  try {
    await waitFor(() => status()?.lastError?.code === "TABLE_LOCKED", {
      describe: () => `it to say what is locked; ${JSON.stringify(status())}`,
    });
    expect(status()).toMatchObject({
      role: "retrying",
      lastError: { message: expect.stringMatching(new RegExp(`\\ba: .*held by process ${row?.pid} `)) },
    });
    await holder.query("COMMIT");
    await starting;
    await waitFor(() => status()?.role === "active", { describe: "it to publish" });
  } finally {
    await connector.stop();
    await starting.catch(() => {});
  }
});

test("an ALTER PUBLICATION that waits for a table names it too", async () => {
  await using database = await createDatabase({ sql: "CREATE TABLE a (id bigint PRIMARY KEY)" });
  const [client, holder] = [await database.connect(), await database.connect()];
  await client.query("SET lock_timeout = 100");
  await holder.query("BEGIN; LOCK TABLE a IN SHARE MODE");
  const config = { connectionType: "postgres", slotName: "none", publicationName: "p" } as const;
  const [row] = (await client.query<{ oid: string }>("SELECT 'a'::regclass::oid AS oid")).rows;
  const table = { oid: Number(row?.oid), schema: "public", name: "a" };
  await expect(ensurePublication(client, config, [table as never], true)).rejects.toMatchObject({
    code: "TABLE_LOCKED",
    message: expect.stringMatching(/\ba: ShareLock held by process/),
  });
});

test("what is published is what the view says, for publications of every kind, without waiting for a lock", async () => {
  await using database = await createDatabase({
    sql: `CREATE SCHEMA s; CREATE TABLE plain (id int); CREATE TABLE s.inside (id int); CREATE UNLOGGED TABLE s.fleeting (id int);
      CREATE VIEW s.shown AS SELECT 1 AS id; CREATE TABLE heir () INHERITS (plain);
      CREATE TABLE root (id int) PARTITION BY RANGE (id); CREATE TABLE s.leaf PARTITION OF root FOR VALUES FROM (0) TO (9);
      CREATE TABLE branch PARTITION OF root FOR VALUES FROM (9) TO (99) PARTITION BY RANGE (id);
      CREATE TABLE twig PARTITION OF branch FOR VALUES FROM (9) TO (19)`,
  });
  const client = await database.connect();
  const WHAT = [
    "ALL TABLES",
    "TABLES IN SCHEMA s",
    "TABLE plain",
    "TABLE root",
    "TABLE branch, twig, plain",
    "TABLE root, TABLES IN SCHEMA s",
  ];
  const expected = new Map<string, string[]>();
  for (const [i, what] of WHAT.entries()) {
    for (const viaRoot of [true, false]) {
      const name = `p${i}_${viaRoot}`;
      await client.query(
        `CREATE PUBLICATION ${name} FOR ${what} WITH (publish_via_partition_root = ${viaRoot})`,
      );
      const shown = await client.query<{ oid: string }>(
        "SELECT format('%I.%I', schemaname, tablename)::regclass::oid AS oid FROM pg_publication_tables WHERE pubname = $1",
        [name],
      );
      expected.set(name, shown.rows.map(({ oid }) => oid).sort());
    }
  }
  await client.query("CREATE PUBLICATION none");
  expected.set("none", []).set("absent", []);
  const holder = await database.connect();
  await holder.query("BEGIN; LOCK TABLE plain, root, s.inside IN ACCESS EXCLUSIVE MODE");
  await client.query("SET lock_timeout = 100");
  for (const [name, oids] of expected)
    expect([...(await publishedOids(client, name))].map(String).sort(), name).toEqual(oids);
});

test("a joined table that ALTER TABLE rewrites while a batch waits for it does not look empty", async () => {
  const sql = (where: string) => `SELECT o.id, c.name FROM o JOIN c ON c.id = o.c WHERE ${where}`;
  await using fixture = await createSourceFixture({
    sql: `CREATE TABLE c (id bigint PRIMARY KEY, name text, n int); INSERT INTO c VALUES (1, 'x', 1);
      CREATE TABLE o (id bigint PRIMARY KEY, c bigint)`,
    schemas: [
      {
        name: "o",
        fields: { id: "integer", name: "string" },
        key: ["id"],
        transformations: [
          ...transformationsOf("o", sql("o.id = :id"), "SELECT :id AS id"),
          ...transformationsOf("c", sql("c.id = :id")),
        ],
      },
    ],
  });
  await using source = await fixture.start();
  await fixture.database.query("INSERT INTO o VALUES (1, 1)");
  await fixture.published();
  const writer = await fixture.database.connect();
  await writer.query("BEGIN; ALTER TABLE c ALTER n TYPE bigint");
  await fixture.database.query("UPDATE o SET c = 1 WHERE id = 1");
  await waitFor(
    async () =>
      (await fixture.database.query("SELECT FROM pg_locks WHERE relation = 'c'::regclass AND NOT granted"))
        .length > 0,
    { describe: "the batch to wait for the table" },
  );
  await writer.query("COMMIT");
  await fixture.published();
  expect((await fixture.read("o")).map(({ value }) => value)).toEqual(Array(2).fill({ id: 1, name: "x" }));
  expect(source.status.role).toBe("active");
});
