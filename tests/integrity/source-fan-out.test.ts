import { describe, expect, test } from "vitest";
import { latestByKey, type ReadRecord } from "../support/kafka.ts";
import { createSourceFixture, expectEveryPositionOnce, transformationsOf } from "../support/source.ts";

const shown = (records: readonly ReadRecord[]) =>
  records.map(({ change, key, value }) => [
    change?.[0],
    Object.values(key as object)[0],
    value === null ? null : Object.values(value as object).slice(1),
  ]);

const ORDERS_SQL = `
  CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL);
  CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL, state text NOT NULL);
  CREATE TABLE lines (id bigint PRIMARY KEY, order_id bigint NOT NULL, price int NOT NULL);
  ALTER TABLE lines REPLICA IDENTITY FULL;`;

const TOTAL = (column: string) => `
  SELECT o.id, coalesce(sum(l.price), 0)::int AS total, count(l.id)::int AS lines
  FROM orders o LEFT JOIN lines l ON l.order_id = o.id WHERE o.id = :${column} GROUP BY o.id`;

describe("a change is published for every object that it concerns", () => {
  test("a customer's change fans out to the customer's orders, one event each", async () => {
    await using fixture = await createSourceFixture({
      sql: ORDERS_SQL,
      schemas: [
        {
          name: "order",
          fields: { id: "integer", customer: "string" },
          key: ["id"],
          transformations: [
            ...transformationsOf(
              "orders",
              "SELECT o.id, c.name AS customer FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = :id",
              "SELECT :id AS id",
            ),
            {
              operation: "update",
              table: "customers",
              sql: "SELECT o.id, c.name AS customer FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.id = :id",
            },
          ],
        },
      ],
    });
    await using _source = await fixture.start();
    await fixture.database.query(
      "INSERT INTO customers VALUES (1, 'Ann'), (2, 'Bob'); INSERT INTO orders SELECT i, 1 + i % 2, 'new' FROM generate_series(1, 6) i",
    );
    await fixture.published();
    await fixture.database.query("UPDATE customers SET name = 'Anna' WHERE id = 1");
    await fixture.published();
    const records = await fixture.read("order");
    expectEveryPositionOnce(records);
    expect(records).toHaveLength(9);
    expect(shown(records.slice(6)).toSorted()).toEqual([
      ["u", 2, ["Anna"]],
      ["u", 4, ["Anna"]],
      ["u", 6, ["Anna"]],
    ]);
  });

  test("a line that is added, moved to another order or removed publishes the orders anew", async () => {
    await using fixture = await createSourceFixture({
      sql: ORDERS_SQL,
      schemas: [
        {
          name: "total",
          fields: { id: "integer", total: "integer", lines: "integer" },
          key: ["id"],
          transformations: [
            ...transformationsOf("orders", TOTAL("id"), "SELECT :id AS id"),
            ...transformationsOf("lines", TOTAL("order_id")),
            { operation: "delete", table: "lines", sql: TOTAL("order_id"), emit: "upsert" },
          ],
        },
      ],
    });
    await using _source = await fixture.start();
    const step = async (sql: string) => {
      const before = (await fixture.read("total")).length;
      await fixture.database.query(sql);
      await fixture.published();
      return shown((await fixture.read("total")).slice(before));
    };
    expect(await step("INSERT INTO orders VALUES (1, 1, 'new'), (2, 1, 'new')")).toEqual([
      ["c", 1, [0, 0]],
      ["c", 2, [0, 0]],
    ]);
    expect(await step("INSERT INTO lines VALUES (10, 1, 5)")).toEqual([["c", 1, [5, 1]]]);
    expect(await step("INSERT INTO lines VALUES (11, 1, 7)")).toEqual([["c", 1, [12, 2]]]);
    // Both parents: the one it left and the one it came to.
    expect(await step("UPDATE lines SET order_id = 2 WHERE id = 11")).toEqual([
      ["u", 1, [5, 1]],
      ["u", 2, [7, 1]],
    ]);
    expect(await step("UPDATE lines SET price = 8 WHERE id = 11")).toEqual([["u", 2, [8, 1]]]);
    expect(await step("DELETE FROM lines WHERE id = 11")).toEqual([["u", 2, [0, 0]]]);
    expect(await step("DELETE FROM lines; DELETE FROM orders WHERE id = 1")).toEqual([["d", 1, null]]);
    const state = latestByKey(await fixture.read("total"));
    expect([...state]).toEqual([['{"id":2}', { id: 2, total: 0, lines: 0 }]]);
  });

  test("a row enters and leaves the public schema by its WHERE", async () => {
    await using fixture = await createSourceFixture({
      sql: ORDERS_SQL,
      schemas: [
        {
          name: "open",
          fields: { id: "integer", state: "string" },
          transformations: transformationsOf(
            "orders",
            "SELECT id, state FROM orders WHERE id = :id AND state <> 'draft'",
            "SELECT :id AS id",
          ),
        },
      ],
    });
    await using _source = await fixture.start();
    await fixture.database.query(`
      INSERT INTO orders VALUES (1, 1, 'draft');
      UPDATE orders SET state = 'placed'; UPDATE orders SET state = 'paid'; UPDATE orders SET state = 'draft';
      UPDATE orders SET state = 'placed'; DELETE FROM orders`);
    await fixture.published();
    const records = await fixture.read("open");
    expect(shown(records)).toEqual([
      ["d", 1, null],
      ["u", 1, ["placed"]],
      ["u", 1, ["paid"]],
      ["d", 1, null],
      ["u", 1, ["placed"]],
      ["d", 1, null],
    ]);
    expectEveryPositionOnce(records);
  });

  test("one change is an event in each public schema it concerns, and their positions follow one another", async () => {
    const schema = (name: string) => ({
      name,
      fields: { id: "integer", state: "string" } as const,
      transformations: transformationsOf(
        "orders",
        "SELECT id, state FROM orders WHERE id = :id",
        "SELECT :id AS id",
      ),
    });
    await using fixture = await createSourceFixture({
      sql: ORDERS_SQL,
      schemas: [schema("one"), schema("two")],
    });
    await using _source = await fixture.start();
    await fixture.database.query(
      "INSERT INTO orders SELECT i, 1, 'new' FROM generate_series(1, 5) i; DELETE FROM orders WHERE id = 3",
    );
    await fixture.published();
    const [one, two] = [await fixture.read("one"), await fixture.read("two")];
    expect([one.length, two.length]).toEqual([6, 6]);
    expectEveryPositionOnce([...one, ...two]);
  });
});
