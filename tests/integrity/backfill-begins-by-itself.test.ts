import { expect, test } from "vitest";
import type { PublicSchema } from "../../shared/manifest/schema.ts";
import { backfillsOf, readsByKey, waitForBackfill } from "../support/backfill.ts";
import { latestByKey } from "../support/kafka.ts";
import {
  changeSchemas as change,
  createSourceFixture,
  type SourceFixture,
  type TestSchema,
  transformationsOf,
} from "../support/source.ts";

const ROWS = 30;
const SQL = `CREATE TABLE item (id bigint PRIMARY KEY, name text);
  CREATE TABLE label (item bigint PRIMARY KEY, text text NOT NULL);
  INSERT INTO item SELECT i, 'n' || i FROM generate_series(1, ${ROWS}) i;
  INSERT INTO label SELECT i, 'l' || i FROM generate_series(1, 10) i`;

const ITEM: TestSchema = {
  name: "item",
  fields: { id: "integer", name: "string" },
  key: ["id"],
  transformations: transformationsOf("item", "SELECT id, name FROM item WHERE id = :id", "SELECT :id AS id"),
};

/** How often each row was read, `[rows, most often]`. */
async function reads(fixture: SourceFixture): Promise<[number, number]> {
  const times = [...readsByKey(await fixture.read("item")).values()];
  return [times.length, Math.max(0, ...times)];
}

test("a schema is read once, when it is new; a new major too, and once more when it uses a further table", async () => {
  await using fixture = await createSourceFixture({ backfill: "auto", sql: SQL, schemas: [ITEM] });
  const start = async (schema: string) => {
    await using source = await fixture.start();
    await waitForBackfill(() => source.status, schema);
    await fixture.published();
  };
  await start("item.v1");
  expect(await reads(fixture)).toEqual([ROWS, 1]);
  await start("item.v1");
  expect(await reads(fixture)).toEqual([ROWS, 1]);

  // Meanwhile rows come that the second major has never seen.
  await fixture.database.query("INSERT INTO item VALUES (1000, 'late')");
  await change(fixture, (schemas) => {
    const [first] = schemas as [PublicSchema];
    schemas.push({ ...structuredClone(first), version: { major: 2, minor: 0 } });
  });
  {
    await using source = await fixture.start();
    await waitForBackfill(() => source.status, "item.v2");
    expect(backfillsOf(source.status)).toMatchObject([{ rows: ROWS }, { rows: ROWS + 1 }]);
  }
  expect(await reads(fixture)).toEqual([ROWS, 1]);

  await change(fixture, ([first]) => {
    const sql = (condition: string) =>
      `SELECT i.id, coalesce(l.text, i.name) AS name FROM item i LEFT JOIN label l ON l.item = i.id WHERE ${condition}`;
    if (first === undefined) return;
    first.version.minor = 1;
    first.config.transformations = [
      ...transformationsOf("item", sql("i.id = :id"), "SELECT :id AS id"),
      ...transformationsOf("label", sql("i.id = :item")),
    ];
  });
  {
    await using source = await fixture.start();
    await expect.poll(() => backfillsOf(source.status)[0]?.state).toBe("done");
    await expect.poll(async () => (await reads(fixture))[1]).toBe(2);
    await fixture.published();
  }
  const names = [...latestByKey(await fixture.read("item")).values()] as { id: number; name: string }[];
  expect(names.filter(({ name }) => name.startsWith("l")).length).toBe(11);
});

test("manual means that it does not; turning it to auto, for one schema or all, does", async () => {
  await using fixture = await createSourceFixture({ sql: SQL, schemas: [ITEM] });
  {
    await using source = await fixture.start();
    await fixture.database.query("UPDATE item SET name = 'changed' WHERE id = 3");
    await fixture.published();
    expect(backfillsOf(source.status)).toEqual([]);
  }
  expect(await reads(fixture)).toEqual([0, 0]);
  await change(fixture, ([first]) => Object.assign(first ?? {}, { backfill: { mode: "auto" } }));
  await using source = await fixture.start();
  await waitForBackfill(() => source.status, "item.v1");
  expect(await reads(fixture)).toEqual([ROWS, 1]);
});

test("where no table is known to make all objects it fails by name, the stream goes on, and the manifest may say it", async () => {
  const sql = (condition: string) =>
    `SELECT i.id + 0 AS id, i.name FROM item i LEFT JOIN label l ON l.item = i.id WHERE ${condition}`;
  const transformations = [
    ...transformationsOf("item", sql("i.id = :id"), "SELECT :id AS id"),
    ...transformationsOf("label", sql("i.id = :item")),
  ];
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: SQL,
    schemas: [{ ...ITEM, transformations }],
  });
  {
    await using source = await fixture.start();
    const failed = await waitForBackfill(() => source.status, "item.v1", "failed");
    expect(failed.error).toMatch(/^BACKFILL_TABLE_UNCLEAR: .*public\.item, public\.label/);
    await fixture.database.query("UPDATE item SET name = 'changed' WHERE id = 3");
    await fixture.published();
    expect(source.status).toMatchObject({ role: "active", lastError: null });
  }
  expect((await fixture.read("item")).map(({ change }) => change?.[0])).toEqual(["u"]);
  await change(fixture, ([first]) => Object.assign(first ?? {}, { backfill: { tables: ["item"] } }));
  await using source = await fixture.start();
  await waitForBackfill(() => source.status, "item.v1");
  expect(await reads(fixture)).toEqual([ROWS, 1]);
});

test("a row that no event can show fails the backfill, not the stream; once it is mended, the next start goes on", async () => {
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `${SQL}; INSERT INTO item VALUES (2000, NULL)`,
    schemas: [ITEM],
    config: { backfillChunkRows: 10 },
  });
  {
    await using source = await fixture.start();
    const failed = await waitForBackfill(() => source.status, "item.v1", "failed");
    expect(failed.error).toMatch(/^VALUE_NULL: .*id=2000/);
    expect(failed.rows).toBe(ROWS);
    expect(source.status.role).toBe("active");
    await fixture.published();
  }
  await fixture.database.query("DELETE FROM item WHERE id > 1000");
  await using source = await fixture.start();
  await waitForBackfill(() => source.status, "item.v1");
  expect(await reads(fixture)).toEqual([ROWS, 1]);
});

test("a transaction that wrote before its table was published, and commits after, is waited for: else nobody has its rows", async () => {
  const label: TestSchema = {
    name: "label",
    fields: { item: "integer", text: "string" },
    key: ["item"],
    transformations: transformationsOf(
      "label",
      "SELECT item, text FROM label WHERE item = :item",
      "SELECT :item AS item",
    ),
  };
  await using fixture = await createSourceFixture({ backfill: "auto", sql: SQL, schemas: [ITEM, label] });
  const schemas: PublicSchema[] = [];
  await change(fixture, (all) => schemas.push(...all.splice(1)));
  {
    await using source = await fixture.start();
    await waitForBackfill(() => source.status, "item.v1");
  }
  const writer = await fixture.database.connect();
  await writer.query("BEGIN; INSERT INTO label VALUES (77, 'written early')");
  await change(fixture, (all) => all.push(...schemas));
  await using source = await fixture.start();
  await fixture.database.query("INSERT INTO label VALUES (78, 'written late')");
  await fixture.published();
  const before = await fixture.read("label");
  expect(before.map(({ change, key }) => [change?.[0], key])).toEqual([["c", { item: 78 }]]);
  await writer.query("COMMIT");
  await waitForBackfill(() => source.status, "label.v1");
  const items = [...latestByKey(await fixture.read("label")).values()] as { item: number }[];
  expect(items.map(({ item }) => item).sort((a, b) => a - b)).toEqual([
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 77, 78,
  ]);
});

test("what such a transaction wrote is not hidden by a change that was published before it committed", async () => {
  const basket = (condition: string) =>
    `SELECT b.id, count(t.n) AS things FROM basket b LEFT JOIN thing t ON t.basket = b.id WHERE ${condition} GROUP BY b.id`;
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `${SQL}; CREATE TABLE basket (id bigint PRIMARY KEY); INSERT INTO basket VALUES (1), (2), (3);
      CREATE TABLE thing (basket bigint, n bigint, PRIMARY KEY (basket, n))`,
    schemas: [
      ITEM,
      {
        name: "basket",
        fields: { id: "integer", things: "integer" },
        key: ["id"],
        transformations: [
          ...transformationsOf("basket", basket("b.id = :id"), "SELECT :id AS id"),
          ...transformationsOf("thing", basket("b.id = :basket")),
        ],
      },
    ],
  });
  const schemas: PublicSchema[] = [];
  await change(fixture, (all) => schemas.push(...all.splice(1)));
  {
    await using source = await fixture.start();
    await waitForBackfill(() => source.status, "item.v1");
  }
  const writer = await fixture.database.connect();
  await writer.query("BEGIN; INSERT INTO thing VALUES (1, 99)");
  await change(fixture, (all) => all.push(...schemas));
  await using source = await fixture.start();
  await fixture.database.query("UPDATE basket SET id = id WHERE id = 1");
  await fixture.published();
  expect((await fixture.read("basket")).map(({ value }) => value)).toEqual([{ id: 1, things: 0 }]);
  await writer.query("COMMIT");
  await waitForBackfill(() => source.status, "basket.v1");
  expect([...latestByKey(await fixture.read("basket")).values()]).toContainEqual({ id: 1, things: 1 });
});
