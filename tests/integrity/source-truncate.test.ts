import { describe, expect, test } from "vitest";
import {
  createSourceFixture,
  expectEveryPositionOnce,
  opsOf,
  type SourceFixture,
  type SourceOptions,
  transformationsOf,
} from "../support/source.ts";

const SCHEMAS = [
  {
    name: "customer",
    fields: { id: "integer", name: "string", orders: "integer" },
    transformations: [
      ...transformationsOf(
        "customers",
        "SELECT id, name, (SELECT count(*) FROM orders o WHERE o.customer = c.id) AS orders FROM customers c WHERE c.id = :id",
        "SELECT :id AS id",
      ),
      ...transformationsOf(
        "orders",
        "SELECT c.id, c.name, (SELECT count(*) FROM orders o WHERE o.customer = c.id) AS orders FROM customers c WHERE c.id = :customer",
      ),
    ],
  },
  {
    name: "order",
    fields: { id: "integer", customer: "integer" },
    transformations: transformationsOf(
      "orders",
      "SELECT id, customer FROM orders WHERE id = :id",
      "SELECT :id AS id",
    ),
  },
] as const;

function fixtureOf(more: Partial<SourceOptions> = {}): Promise<SourceFixture> {
  return createSourceFixture({
    sql: `CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL);
      CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint NOT NULL REFERENCES customers);
      CREATE INDEX ON orders (customer)`,
    schemas: SCHEMAS,
    config: { onTruncate: "tombstone", maxRows: 500 },
    ...more,
  });
}

/** What a consumer that starts now has in the end: value by id. */
async function state(fixture: SourceFixture, schema: string): Promise<Map<number, unknown>> {
  const records = await fixture.read(schema);
  const latest = new Map<number, unknown>();
  for (const { key, value } of records) {
    const { id } = key as { id: number };
    if (value === null) latest.delete(id);
    else latest.set(id, value);
  }
  return latest;
}

async function expectPositions(fixture: SourceFixture): Promise<void> {
  const undecoded = { decode: false };
  expectEveryPositionOnce([
    ...(await fixture.read("customer", undecoded)),
    ...(await fixture.read("order", undecoded)),
  ]);
}

const FILL = `INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 500) i;
  INSERT INTO orders SELECT i, 1 + i % 500 FROM generate_series(1, 1000) i;`;

describe("on-truncate tombstone", () => {
  test("every key alive gets one tombstone; what the transaction does before and after holds", async () => {
    await using fixture = await fixtureOf();
    await using source = await fixture.start();
    await fixture.database.query(FILL);
    await fixture.database.query("DELETE FROM orders WHERE id > 990");
    await fixture.published();
    await fixture.database.query(
      `BEGIN; INSERT INTO orders SELECT i, 1 FROM generate_series(2001, 2250) i; TRUNCATE orders;
       INSERT INTO orders VALUES (5, 2), (3000, 3); COMMIT`,
    );
    await fixture.published();
    expect(source.status).toMatchObject({ role: "active", lastError: null });
    await expectPositions(fixture);
    expect([...(await state(fixture, "order")).keys()]).toEqual([5, 3000]);
    const orders = await fixture.read("order");
    const tombstones = orders
      .filter(({ value }) => value === null)
      .map(({ key }) => (key as { id: number }).id);
    expect(tombstones).toHaveLength(10 + 990 + 250);
    expect(new Set(tombstones).size).toBe(1250);
    // The same again, and over nothing: each time only what is alive.
    await fixture.database.query("TRUNCATE orders; TRUNCATE orders");
    await fixture.published();
    expect((await state(fixture, "order")).size).toBe(0);
    expect((await fixture.read("order")).filter(({ value }) => value === null)).toHaveLength(1252);
    await expectPositions(fixture);
  });

  test("CASCADE empties what hangs on the table too; then life goes on", async () => {
    await using fixture = await fixtureOf();
    await using _source = await fixture.start();
    await fixture.database.query(FILL);
    await fixture.database.query("TRUNCATE customers CASCADE");
    await fixture.database.query("INSERT INTO customers VALUES (7, 'seven')");
    await fixture.published();
    expect([...(await state(fixture, "customer"))]).toEqual([[7, { id: 7, name: "seven", orders: 0 }]]);
    expect((await state(fixture, "order")).size).toBe(0);
    expect(opsOf((await fixture.read("customer")).slice(-1))).toEqual(["c"]);
    await expectPositions(fixture);
  });

  test("a source that dies in the middle begins the tombstones anew, and readers see them once", async () => {
    await using fixture = await fixtureOf();
    {
      await using source = await fixture.spawn();
      await source.waitForReady();
      await fixture.database.query("INSERT INTO customers SELECT i, 'c' FROM generate_series(1, 3000) i");
      await fixture.published();
      await fixture.database.query("TRUNCATE customers CASCADE");
      await source.kill("SIGKILL");
    }
    await using _next = await fixture.start();
    await fixture.published(60_000);
    await expectPositions(fixture);
    const records = await fixture.read("customer", { decode: false });
    expect(records).toHaveLength(6_000);
    expect(records.filter(({ rawValue }) => rawValue === null)).toHaveLength(3_000);
  });

  test("what cannot be said stops: parts of objects, and delivery at-least-once", async () => {
    await using fixture = await fixtureOf({
      schemas: [
        {
          ...SCHEMAS[0],
          transformations: [
            ...SCHEMAS[0].transformations,
            {
              operation: "delete",
              table: "orders",
              emit: "upsert",
              sql: "SELECT c.id, c.name, 0 AS orders FROM customers c, orders o WHERE c.id = o.customer AND o.id = :id",
            },
          ],
        },
      ],
    });
    await using source = await fixture.start();
    await fixture.database.query("TRUNCATE orders");
    await expect(source.connector.done).rejects.toMatchObject({
      code: "TRUNCATE_STOPS",
      message: expect.stringMatching(/public\.orders.*"customer".*parts/),
    });
    await using loose = await fixtureOf({ delivery: "at-least-once" });
    await using once = await loose.start();
    await loose.database.query("TRUNCATE orders");
    await expect(once.connector.done).rejects.toMatchObject({
      code: "TRUNCATE_STOPS",
      message: expect.stringContaining("at-least-once"),
    });
  });
});
