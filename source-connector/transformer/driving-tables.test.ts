import { describe, expect, test } from "vitest";
import { parseTemplate } from "../../shared/postgres/sql/template.ts";
import type { TableInfo } from "../../shared/postgres/table-info.ts";
import { type Candidate, drivingTables, publishing } from "./driving-tables.ts";

const TABLES: Record<string, { columns: string[]; uniqueKeys: string[][] }> = {
  orders: { columns: ["id", "customer_id", "note"], uniqueKeys: [["id"]] },
  lines: { columns: ["id", "order_id", "sku"], uniqueKeys: [["order_id", "id"], ["id"]] },
  customers: { columns: ["id", "name"], uniqueKeys: [["id"]] },
  suppliers: { columns: ["id", "name"], uniqueKeys: [["id"]] },
};

async function candidate(name: string, sql: string): Promise<Candidate> {
  const { columns = [], uniqueKeys = [] } = TABLES[name] ?? {};
  const table = {
    oid: 1,
    schema: "public",
    name,
    columns: columns.map((column) => ({ name: column, typeOid: 20, generated: false })),
    replicaIdentity: "d",
    identityColumns: uniqueKeys[0] ?? [],
    hasPrimaryKey: true,
  } as TableInfo;
  return { table, template: await parseTemplate(sql), uniqueKeys };
}

async function driving(sqls: Record<string, string>, keyFields = ["id"]): Promise<string[]> {
  const candidates = await Promise.all(Object.entries(sqls).map(([name, sql]) => candidate(name, sql)));
  return drivingTables(candidates, keyFields).map(({ name }) => name);
}

const ORDER = "SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id";

describe("drivingTables", () => {
  test("a table alone drives, whatever its SQL", async () => {
    expect(await driving({ orders: "SELECT id, upper(note) FROM orders_of(:id)" })).toEqual(["orders"]);
  });

  test("of an object and its parts, the object's own table", async () => {
    const sqls = {
      orders: `${ORDER} WHERE o.id = :id`,
      lines: `${ORDER} WHERE o.id = :order_id`,
      customers: `${ORDER} WHERE c.id = :id`,
    };
    expect(await driving(sqls)).toEqual(["orders"]);
  });

  test("not a part that says its object's key as its own column: orders without lines would be left out", async () => {
    const lines = "SELECT l.order_id AS id FROM lines l JOIN orders o ON o.id = l.order_id WHERE l.id = :id";
    expect(await driving({ lines, orders: `${ORDER} WHERE o.id = :id` })).toEqual(["orders"]);
  });

  test("any unique key of the row will do, whichever its identity is", async () => {
    const line = 'SELECT l.id AS "lineId" FROM lines l JOIN orders o ON o.id = l.order_id';
    const sqls = {
      lines: `${line} WHERE l.order_id = :order_id AND l.id = :id`,
      orders: `${line} WHERE o.id = :id`,
    };
    expect(await driving(sqls, ["lineId"])).toEqual(["lines"]);
  });

  test("all tables of a union drive", async () => {
    const sqls = {
      customers: "SELECT id, 'c' AS kind FROM customers WHERE id = :id",
      suppliers: "SELECT id, 's' AS kind FROM suppliers WHERE id = :id",
    };
    expect(await driving(sqls, ["kind", "id"])).toEqual(["customers", "suppliers"]);
  });

  test("of a mixed union, the table that is not one to one is read as well: nothing else gives its objects", async () => {
    const customers = "SELECT c.id, c.name FROM customers c WHERE c.id = :id";
    const suppliers = "SELECT 0 - s.id AS id, s.name FROM suppliers s WHERE s.id = :id";
    expect(await driving({ customers, suppliers })).toEqual(["customers", "suppliers"]);
  });

  test.each([
    [
      "keeps rows without an order",
      "SELECT o.id, c.name FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.id = :id",
    ],
    [
      "keeps them by a full join",
      "SELECT o.id FROM orders o FULL JOIN customers c ON o.customer_id = c.id WHERE c.id = :id",
    ],
    [
      "gives another key",
      "SELECT o.id * 2 AS id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.id = :id",
    ],
    [
      "gives its own key",
      "SELECT c.id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.id = :id",
    ],
    [
      "reads the orders where it does not show",
      "SELECT x.id FROM (SELECT * FROM orders) x WHERE x.customer_id = :id",
    ],
    [
      "reads something else by the name",
      "WITH orders AS (SELECT id FROM customers) SELECT o.id FROM orders o WHERE o.id = :id",
    ],
    [
      "is a union",
      `${ORDER} WHERE c.id = :id UNION ALL SELECT c.id, c.name FROM customers c WHERE c.id = :id`,
    ],
  ])("another table that %s is read as well", async (_what, customers) => {
    expect(await driving({ orders: `${ORDER} WHERE o.id = :id`, customers })).toEqual([
      "orders",
      "customers",
    ]);
  });

  test.each([
    "SELECT o.id FROM customers c LEFT JOIN lines l ON true JOIN orders o ON o.customer_id = c.id WHERE c.id = :id",
    "SELECT o.id FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE o.customer_id = :id",
    "SELECT :name::bigint AS id FROM orders o WHERE o.id = :name::bigint",
    "SELECT c.name AS id FROM customers c JOIN orders o ON c.name = o.id AND o.note <> '' WHERE c.id = :id",
  ])("another table is left out where its objects are shown to be orders: %s", async (customers) => {
    expect(await driving({ orders: `${ORDER} WHERE o.id = :id`, customers })).toEqual(["orders"]);
  });

  test("a constant in the key tells the objects of tables apart", async () => {
    const customers = "SELECT 'c' AS kind, c.id FROM customers c WHERE c.id = :id";
    const of = (kind: string) =>
      `SELECT '${kind}' AS kind, c.id FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.id = :id`;
    expect(await driving({ customers, orders: of("c") }, ["kind", "id"])).toEqual(["customers"]);
    expect(await driving({ customers, orders: of("o") }, ["kind", "id"])).toEqual(["customers", "orders"]);
  });

  test("casts and placeholders show the column as well, expressions do not", async () => {
    const lines = `${ORDER} WHERE o.id = :order_id`;
    expect(await driving({ orders: "SELECT :id::text AS id FROM orders o WHERE o.id = :id", lines })).toEqual(
      ["orders"],
    );
    expect(await driving({ orders: "SELECT o.id + 1 AS id FROM orders o WHERE o.id = :id", lines })).toEqual(
      [],
    );
  });

  test("none when the row is not fixed, or is another one", async () => {
    const lines = `${ORDER} WHERE o.id = :order_id`;
    expect(await driving({ orders: `${ORDER} WHERE o.note = :note`, lines })).toEqual([]);
    expect(await driving({ orders: `${ORDER} WHERE o.id = :customer_id`, lines })).toEqual([]);
    expect(
      await driving({ orders: `${ORDER} WHERE o.id = :id UNION ${ORDER} WHERE o.id = :id`, lines }),
    ).toEqual([]);
  });
});

test("the transformation for updates says what a row is now, else the one for inserts", () => {
  const of = (operation: "insert" | "update" | "delete") => ({ operation, table: "t", sql: operation });
  expect(publishing([of("insert"), of("update")], () => true)?.sql).toBe("update");
  expect(publishing([of("delete"), of("insert")], () => true)?.sql).toBe("insert");
  expect(publishing([of("delete")], () => true)).toBeUndefined();
});
