import { readFile, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import type { Manifest, Transformation } from "../../shared/manifest/schema.ts";
import {
  createSourceFixture,
  expectEveryPositionOnce,
  type SourceFixture,
  transformationsOf,
} from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

const SELECT = "SELECT id, name, n FROM items WHERE id = :id";
const DELETE = "SELECT :id AS id";

function fixtureOf(select = SELECT, more: readonly Transformation[] = []): Promise<SourceFixture> {
  return createSourceFixture({
    sql: `CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, n int NOT NULL DEFAULT 1, extra text);
      CREATE TABLE labels (id bigint PRIMARY KEY, item bigint NOT NULL, name text NOT NULL)`,
    schemas: [
      {
        name: "item",
        fields: { id: "integer", name: "string", n: "integer" },
        transformations: [...transformationsOf("items", select, DELETE), ...more],
      },
    ],
  });
}

/** The team mends its SQL and collects it into the manifest. */
async function changeSql(fixture: SourceFixture, transformations: readonly Transformation[]): Promise<void> {
  const manifest = JSON.parse(await readFile(fixture.manifestPath, "utf8")) as Manifest;
  for (const schema of manifest.publicSchemas ?? []) schema.config.transformations = [...transformations];
  await writeFile(fixture.manifestPath, JSON.stringify(manifest));
}

async function values(fixture: SourceFixture): Promise<unknown[]> {
  const records = await fixture.read("item");
  expectEveryPositionOnce(records);
  return records.map(({ value }) => value);
}

const item = (id: number, name: string, n = 1) => ({ id, name, n });

describe("a table that is altered in mid-stream", () => {
  test.each([
    ["a column is added", "ALTER TABLE items ADD added int NOT NULL DEFAULT 7"],
    ["a column that no SQL uses is dropped", "ALTER TABLE items DROP extra"],
    ["a column that no SQL uses is renamed", "ALTER TABLE items RENAME extra TO other"],
    ["a column is retyped to one that the field holds too", "ALTER TABLE items ALTER n TYPE bigint"],
    ["the replica identity changes", "ALTER TABLE items REPLICA IDENTITY FULL"],
    [
      "the table is rewritten",
      "ALTER TABLE items ADD random double precision DEFAULT random(); VACUUM FULL items",
    ],
  ])("goes on: %s, between transactions and inside of one", async (_name, ddl) => {
    await using fixture = await fixtureOf();
    await using source = await fixture.start();
    const [first = "", ...later] = ddl.split("; ");
    await fixture.database.query("INSERT INTO items VALUES (1, 'before')");
    await fixture.published();
    await fixture.database.query(
      `BEGIN; INSERT INTO items (id, name) VALUES (2, 'before in it'); ${first};
       INSERT INTO items (id, name) VALUES (3, 'after in it'); UPDATE items SET name = 'changed' WHERE id = 2; COMMIT`,
    );
    for (const statement of later) await fixture.database.query(statement);
    await fixture.database.query("UPDATE items SET name = 'after' WHERE id = 1");
    await fixture.published();
    expect(source.status).toMatchObject({ role: "active" });
    expect(await values(fixture)).toEqual([
      item(1, "before"),
      item(2, "before in it"),
      item(3, "after in it"),
      item(2, "changed"),
      item(1, "after"),
    ]);
  });

  test.each([
    {
      what: "a column that the SQL uses is renamed",
      ddl: "ALTER TABLE items RENAME name TO title",
      insert: "INSERT INTO items (id, title) VALUES ",
      code: "TRANSFORMATION_REJECTED",
      named: /item v1, insert on items: column "name" does not exist/,
      mended: "SELECT id, title AS name, n FROM items WHERE id = :id",
    },
    {
      what: "a column that the SQL uses is dropped",
      ddl: "ALTER TABLE items DROP n",
      insert: "INSERT INTO items (id, name) VALUES ",
      code: "TRANSFORMATION_REJECTED",
      named: /item v1, insert on items: column "n" does not exist/,
      mended: "SELECT id, name, 1 AS n FROM items WHERE id = :id",
    },
    {
      what: "a column is retyped to one that the field does not hold",
      ddl: "ALTER TABLE items ALTER n DROP DEFAULT, ALTER n TYPE boolean USING n = 1, ALTER n SET DEFAULT true",
      insert: "INSERT INTO items (id, name) VALUES ",
      code: "OUTPUT_COLUMN_TYPE",
      named: /"n" of item: the column is boolean/,
      mended: "SELECT id, name, n::int AS n FROM items WHERE id = :id",
    },
  ])(
    "stops with what is to be mended, and loses nothing: $what",
    async ({ ddl, insert, code, named, mended }) => {
      await using fixture = await fixtureOf();
      {
        await using source = await fixture.start();
        await fixture.database.query("INSERT INTO items VALUES (1, 'before')");
        await fixture.published();
        await fixture.database.query(`${ddl}`);
        await fixture.database.query(`${insert} (2, 'after')`);
        const error = (await source.connector.done.catch((reason: unknown) => reason)) as Error;
        expect(error).toMatchObject({ code, message: expect.stringMatching(named), retryable: false });
      }
      await fixture.database.query(`${insert} (3, 'meanwhile')`);
      await changeSql(fixture, transformationsOf("items", mended, DELETE));
      await using _source = await fixture.start();
      await fixture.database.query(`${insert} (4, 'mended')`);
      await fixture.published();
      expect(await values(fixture)).toEqual([
        item(1, "before"),
        item(2, "after"),
        item(3, "meanwhile"),
        item(4, "mended"),
      ]);
    },
  );

  test("goes on once the column is back, without any change of the SQL", async () => {
    await using fixture = await fixtureOf();
    {
      await using source = await fixture.start();
      await fixture.database.query("ALTER TABLE items RENAME name TO title");
      await fixture.database.query("INSERT INTO items (id, title) VALUES (1, 'one')");
      await expect(source.connector.done).rejects.toMatchObject({ code: "TRANSFORMATION_REJECTED" });
    }
    await fixture.database.query("ALTER TABLE items RENAME title TO name");
    await using _source = await fixture.start();
    await fixture.published();
    expect(await values(fixture)).toEqual([item(1, "one")]);
  });

  test("goes on when the table is swapped for one that is in the publication", async () => {
    await using fixture = await fixtureOf();
    await using source = await fixture.start({ heartbeatMs: 200 });
    await fixture.database.query("INSERT INTO items VALUES (1, 'old')");
    await fixture.database.query(
      `BEGIN; ALTER TABLE items RENAME TO items_old; CREATE TABLE items (LIKE items_old INCLUDING ALL);
       ALTER PUBLICATION ${fixture.publicationName} ADD TABLE items; COMMIT`,
    );
    await fixture.database.query(
      "INSERT INTO items VALUES (2, 'new'); INSERT INTO items_old VALUES (3, 'gone')",
    );
    await fixture.published();
    await source.stop();
    await fixture.database.query("INSERT INTO items VALUES (4, 'meanwhile')");
    await using _again = await fixture.start({ heartbeatMs: 200 });
    await fixture.published();
    expect(await values(fixture)).toEqual([item(1, "old"), item(2, "new"), item(4, "meanwhile")]);
  });

  test("a table is added to the SQL of a public schema, and joins the stream", async () => {
    await using fixture = await fixtureOf();
    {
      await using _source = await fixture.start();
      await fixture.database.query(
        "INSERT INTO items VALUES (1, 'one'); INSERT INTO labels VALUES (1, 1, 'first')",
      );
      await fixture.published();
    }
    await fixture.database.query("INSERT INTO items VALUES (2, 'meanwhile')");
    const joined =
      "SELECT i.id, coalesce(max(l.name), i.name) AS name, i.n FROM items i LEFT JOIN labels l ON l.item = i.id WHERE i.id = :KEY GROUP BY i.id";
    await changeSql(fixture, [
      ...transformationsOf("items", joined.replace(":KEY", ":id"), DELETE),
      ...transformationsOf("labels", joined.replace(":KEY", ":item")),
    ]);
    await using _source = await fixture.start();
    await fixture.database.query("INSERT INTO labels VALUES (2, 2, 'second')");
    await fixture.published();
    expect((await values(fixture)).at(-1)).toEqual(item(2, "second"));
    expect(await values(fixture)).toContainEqual(item(1, "one"));
  });

  test.each([
    ["is dropped", "DROP TABLE items", /dropped or renamed/],
    [
      "is swapped for another of its name",
      "ALTER TABLE items RENAME TO items_old; CREATE TABLE items (LIKE items_old INCLUDING ALL)",
      /another table of that name/,
    ],
    ["is taken out of the publication", "ALTER PUBLICATION :pub DROP TABLE items", /not in/],
    [
      "gets a table that inherits from it",
      "CREATE TABLE special (PRIMARY KEY (id)) INHERITS (items)",
      /special.*inherits/,
    ],
  ])(
    "stops when the table %s: what changes there is no longer in the stream",
    async (_name, ddl, message) => {
      await using fixture = await fixtureOf();
      await using source = await fixture.start();
      await fixture.database.query("INSERT INTO items VALUES (1, 'one')");
      await fixture.published();
      await fixture.database.query(ddl.replace(":pub", fixture.publicationName));
      await expect(source.connector.done).rejects.toMatchObject({
        code: "TABLE_LEFT_STREAM",
        message: expect.stringMatching(message),
      });
      if (_name === "is dropped") return;
      await using again = await fixture.start();
      await fixture.database.query("INSERT INTO items VALUES (2, 'two')");
      await fixture.published();
      await waitFor(() => again.status.role === "active", { describe: "the source to be active" });
      expect(await values(fixture)).toEqual([item(1, "one"), item(2, "two")]);
    },
  );
});
