import { expect, test } from "vitest";
import { parseTemplate } from "../template.ts";
import { maybe, NEVER, type NullFacts } from "./nullness.ts";
import { outputNullness } from "./select.ts";

const TABLES: Record<string, Record<string, "nullable" | "not null">> = {
  orders: { id: "not null", note: "nullable", customer_id: "not null", discount: "nullable" },
  customers: { id: "not null", name: "not null", email: "nullable" },
  lines: { order_id: "not null", price: "not null", gift: "nullable" },
};
const FUNCTIONS: Record<string, { strict: boolean; aggregate: boolean }> = {
  lower: { strict: true, aggregate: false },
  max: { strict: false, aggregate: true },
  sum: { strict: false, aggregate: true },
  count: { strict: false, aggregate: true },
  own: { strict: false, aggregate: false },
};
const FACTS: NullFacts = {
  table: (_, name) => (TABLES[name] === undefined ? undefined : new Map(Object.entries(TABLES[name]))),
  function: (name) => FUNCTIONS[name],
  placeholder: (name) => (name === "id" ? NEVER : maybe(`:${name} may be null`)),
};

/** The reason why column x may be null; otherwise what is known. */
async function nullness(sql: string): Promise<string> {
  const found = outputNullness(await parseTemplate(sql), FACTS).get("x");
  return found === undefined ? "not there" : found.kind === "maybe" ? found.why : found.kind;
}

test.each([
  ["SELECT o.note AS x FROM orders o", "orders.note has no NOT NULL"],
  ["SELECT note::text AS x FROM orders", "orders.note has no NOT NULL"],
  ["SELECT lower(note) || '!' AS x FROM orders", "orders.note has no NOT NULL"],
  ["SELECT :note::text AS x", ":note may be null"],
  ["SELECT NULL AS x", "it is NULL"],
  [
    "SELECT c.name AS x FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE o.id = :id",
    "c stands on",
  ],
  ["SELECT o.id AS x FROM orders o RIGHT JOIN customers c ON c.id = o.customer_id", "o stands on"],
  ["SELECT o.id AS x FROM orders o FULL JOIN customers c ON c.id = o.customer_id", "o stands on"],
  ["SELECT name AS x FROM orders o LEFT JOIN customers c ON c.id = o.customer_id", "c stands on"],
  ["SELECT sum(price) AS x FROM lines WHERE order_id = :id", "sum over no rows"],
  ["SELECT (SELECT max(price) FROM lines) AS x", "max over no rows"],
  [
    "SELECT (SELECT name FROM customers c WHERE c.id = o.customer_id) AS x FROM orders o",
    "a subquery that finds no row",
  ],
  ["SELECT CASE WHEN note = 'a' THEN 1 END AS x FROM orders", "CASE without ELSE"],
  ["SELECT CASE WHEN note = 'a' THEN 1 ELSE NULL END AS x FROM orders", "a branch of CASE"],
  ["SELECT nullif(id, 0) AS x FROM orders", "nullif"],
  ["SELECT coalesce(note, discount) AS x FROM orders", "orders.discount has no NOT NULL"],
  ["SELECT q.n AS x FROM (SELECT note AS n FROM orders) q", "orders.note has no NOT NULL"],
  ["WITH q AS (SELECT note AS x FROM orders) SELECT * FROM q", "orders.note has no NOT NULL"],
  ["SELECT id AS x FROM orders UNION SELECT discount FROM orders", "orders.discount has no NOT NULL"],
  ["SELECT max(price) FILTER (WHERE gift) AS x FROM lines GROUP BY order_id", "max gives null where FILTER"],
  [
    "SELECT t.total AS x FROM orders o LEFT JOIN LATERAL (SELECT sum(price) AS total FROM lines) t ON true",
    "sum over",
  ],
])("maybe null: %s", async (sql, why) => {
  expect(await nullness(sql)).toContain(why);
});

test.each([
  "SELECT id AS x FROM orders",
  "SELECT o.* , 1 AS x FROM orders o",
  "SELECT coalesce(note, '') AS x FROM orders",
  "SELECT note AS x FROM orders WHERE note IS NOT NULL AND id = :id",
  "SELECT note AS x FROM orders WHERE note = :note",
  "SELECT c.name AS x FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE c.id > 0",
  "SELECT c.name AS x FROM orders o JOIN customers c ON c.id = o.customer_id",
  "SELECT c.email AS x FROM orders o JOIN customers c ON c.email = o.note",
  "SELECT o.id AS x FROM orders o LEFT JOIN customers c ON c.id = o.customer_id",
  "SELECT count(*) AS x FROM lines",
  "SELECT coalesce(sum(price), 0) AS x FROM lines",
  "SELECT (SELECT count(*) FROM lines) AS x",
  "SELECT (SELECT coalesce(sum(price), 0) FROM lines) AS x",
  "SELECT max(price) AS x FROM lines GROUP BY order_id",
  "SELECT EXISTS (SELECT 1) AS x",
  "SELECT ARRAY(SELECT note FROM orders) AS x",
  "SELECT note IS NULL AS x FROM orders",
  "SELECT :id::bigint AS x",
  "SELECT id AS x FROM orders o JOIN customers c USING (id)",
  "SELECT id AS x FROM orders o LEFT JOIN customers c USING (id)",
  "SELECT t.n AS x FROM orders o LEFT JOIN LATERAL (SELECT count(*) AS n FROM lines) t ON true",
])("never null: %s", async (sql) => {
  expect(await nullness(sql)).toBe("never");
});

test.each([
  "SELECT own(note) AS x FROM orders",
  "SELECT some_view.id AS x FROM some_view",
  "SELECT CASE WHEN note IS NOT NULL THEN note ELSE '' END AS x FROM orders",
  "SELECT (note IS NOT NULL AND note > 'a') AS x FROM orders",
  "SELECT '{}'::jsonb ->> 'a' AS x",
  "SELECT f.x FROM unnest(ARRAY[1]) AS f(x)",
])("not known, and not said: %s", async (sql) => {
  expect(await nullness(sql)).toBe("unknown");
});
