import type pg from "pg";
import type { Team } from "../../examples/shopjot/oracle.ts";
import type { Random } from "./random.ts";

/** What one connection does, one after the other; `savepoint`, `rollbackTo` and `release` nest. */
export type Step =
  | { readonly kind: "sql"; readonly sql: string; readonly values: readonly unknown[] }
  | { readonly kind: "savepoint" | "rollbackTo" | "release"; readonly name: string };

export interface Transaction {
  readonly steps: readonly Step[];
  readonly end: "COMMIT" | "ROLLBACK";
}

/** How a workload went. */
export interface WorkloadResult {
  committed: number;
  rolledBack: number;
  /** Statements that failed as conflicts do: duplicate key, deadlock, foreign key. */
  conflicts: number;
}

type Statement = (random: Random) => [sql: string, ...values: unknown[]];

// Few enough keys that transactions meet, that rows come again after a delete and keys change into taken ones; so many
// that an object which should have been published is not always published by the next change.
const accountId = (r: Random) => r.int(1, 24);
const orderId = (r: Random) => `00000000-0000-4000-8000-${String(r.int(1, 20)).padStart(12, "0")}`;
const addressId = (r: Random) => `00000000-0000-4000-9000-${String(r.int(1, 40)).padStart(12, "0")}`;
const lineId = (r: Random) => r.int(1, 60);
const categoryId = (r: Random) => r.int(1, 6);
const sku = (r: Random) => `SKU-${r.int(1, 30)}`;
const email = (r: Random) => `${r.pick(["ann", "bob", "cy", "dee"])}@example.org`;
const word = (r: Random) =>
  r.pick(["Lamp", "Ünïcode ☂", "", "'quoted'", "back\\slash", 'a,b{c}"d"', "NULL", "line\nbreak"]);
const words = (r: Random) => Array.from({ length: r.int(0, 3) }, () => word(r));
const money = (r: Random) => (r.int(0, 99_999_999) / 100).toFixed(2);
const price = (r: Random) => (r.int(0, 99_999) / 100).toFixed(2);
const moment = (r: Random) =>
  `2026-0${r.int(1, 9)}-1${r.int(0, 9)} 0${r.int(0, 9)}:00:00.${r.int(0, 999_999)}+02`;
const maybe = <T>(r: Random, value: T): T | null => (r.chance(0.3) ? null : value);
// Above 8 kB Postgres stores it out of line, and leaves it out of the WAL when another column changes.
const long = (r: Random) => Array.from({ length: 1_500 }, () => r.int(0, 0xffffffff).toString(16)).join("");
const document = (r: Random) =>
  JSON.stringify(
    r.pick<unknown>([
      {},
      { theme: word(r), n: 12_345_678_901_234_567_890n.toString() },
      [1, null, { deep: [word(r)] }],
      "scalar",
      null,
      r.chance(0.3) ? { long: long(r) } : { short: r.int(0, 9) },
    ]),
  );
const number = (r: Random) => r.pick(["12345678901234567890", "0.1", "1e3", "-0", "7"]);

const ACCOUNTS: readonly Statement[] = [
  (r) => [
    `INSERT INTO accounts (id, first_name, last_name, tier, interests, preferences, credit_limit, password_hash, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 'x', $8) ON CONFLICT DO NOTHING`,
    accountId(r),
    word(r),
    word(r),
    r.pick(["basic", "plus", "business"]),
    words(r),
    document(r),
    maybe(r, money(r)),
    moment(r),
  ],
  (r) => [
    `INSERT INTO accounts (id, first_name, last_name, password_hash) VALUES ($1, 'New', $2, 'x')`,
    accountId(r),
    word(r),
  ],
  (r) => [`UPDATE accounts SET first_name = $2 WHERE id = $1`, accountId(r), word(r)],
  (r) => [`UPDATE accounts SET preferences = $2 WHERE id = $1`, accountId(r), document(r)],
  (r) => [
    `UPDATE accounts SET preferences = jsonb_build_object('n', $2::jsonb) WHERE id = $1`,
    accountId(r),
    number(r),
  ],
  (r) => [
    `UPDATE accounts SET interests = $2, credit_limit = $3 WHERE id = $1`,
    accountId(r),
    words(r),
    maybe(r, money(r)),
  ],
  (r) => [`UPDATE accounts SET closed_at = $2 WHERE id % 3 = $1`, r.int(0, 2), maybe(r, moment(r))],
  (r) => [`UPDATE accounts SET id = $2 WHERE id = $1`, accountId(r), accountId(r)],
  (r) => [`DELETE FROM accounts WHERE id = $1`, accountId(r)],
  (r) => [
    `INSERT INTO emails (account_id, email) SELECT id, $2 FROM accounts WHERE id = $1 ON CONFLICT DO NOTHING`,
    accountId(r),
    email(r),
  ],
  (r) => [
    `INSERT INTO emails (account_id, email, is_primary) SELECT id, $2, true FROM accounts WHERE id = $1
     ON CONFLICT (account_id) WHERE is_primary DO UPDATE SET verified_at = now()`,
    accountId(r),
    email(r),
  ],
  (r) => [`UPDATE emails SET is_primary = false WHERE account_id = $1`, accountId(r)],
  (r) => [`UPDATE emails SET is_primary = true WHERE account_id = $1 AND email = $2`, accountId(r), email(r)],
  (r) => [`UPDATE emails SET email = $2 WHERE account_id = $1 AND is_primary`, accountId(r), email(r)],
  (r) => [
    `UPDATE emails SET account_id = $2 WHERE account_id = $1 AND is_primary`,
    accountId(r),
    accountId(r),
  ],
  (r) => [`DELETE FROM emails WHERE account_id = $1 AND email = $2`, accountId(r), email(r)],
  (r) => [
    `INSERT INTO addresses (id, account_id, street, postcode, city, country, is_primary)
     SELECT $2, id, $3, $4, $5, 'NL', false FROM accounts WHERE id = $1 ON CONFLICT DO NOTHING`,
    accountId(r),
    addressId(r),
    word(r),
    maybe(r, "1234 AB"),
    word(r),
  ],
  ...[1, 2, 3].map(
    (): Statement => (r) => [
      `INSERT INTO addresses (id, account_id, street, city, country, is_primary)
     SELECT $2, id, $3, $4, $5, true FROM accounts WHERE id = $1 ON CONFLICT DO NOTHING`,
      accountId(r),
      addressId(r),
      word(r),
      word(r),
      r.pick(["NL", "DE", "FR"]),
    ],
  ),
  (r) => [`UPDATE addresses SET is_primary = NOT is_primary WHERE id = $1`, addressId(r)],
  (r) => [
    `UPDATE addresses SET city = $2, postcode = $3 WHERE id = $1`,
    addressId(r),
    word(r),
    maybe(r, "9999"),
  ],
  (r) => [`UPDATE addresses SET account_id = $2 WHERE id = $1`, addressId(r), accountId(r)],
  (r) => [
    `UPDATE addresses SET account_id = $2 WHERE account_id = $1 AND is_primary`,
    accountId(r),
    accountId(r),
  ],
  (r) => [`UPDATE addresses SET id = $2 WHERE id = $1`, addressId(r), addressId(r)],
  (r) => [`DELETE FROM addresses WHERE id = $1`, addressId(r)],
  (r) => [`DELETE FROM addresses WHERE account_id = $1`, accountId(r)],
];

const STATUSES = ["draft", "placed", "paid", "shipped", "cancelled"] as const;

const ORDERS: readonly Statement[] = [
  (r) => [
    `INSERT INTO orders (id, account_id, status, shipping_fee, delivery, placed_at)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
    orderId(r),
    accountId(r),
    r.pick(STATUSES),
    price(r),
    maybe(r, document(r)),
    maybe(r, moment(r)),
  ],
  (r) => [`INSERT INTO orders (id, account_id, status) VALUES ($1, 1, 'placed')`, orderId(r)],
  (r) => [`UPDATE orders SET status = $2 WHERE id = $1`, orderId(r), r.pick(STATUSES)],
  (r) => [`UPDATE orders SET status = $2 WHERE id = $1`, orderId(r), r.pick(STATUSES)],
  (r) => [`UPDATE orders SET status = $2 WHERE account_id = $1`, accountId(r), r.pick(STATUSES)],
  (r) => [`UPDATE orders SET fraud_score = $2 WHERE id = $1`, orderId(r), r.next()],
  (r) => [
    `UPDATE orders SET delivery = $2, shipping_fee = $3 WHERE id = $1`,
    orderId(r),
    maybe(r, document(r)),
    price(r),
  ],
  (r) => [`UPDATE orders SET id = $2 WHERE id = $1`, orderId(r), orderId(r)],
  (r) => [`DELETE FROM orders WHERE id = $1`, orderId(r)],
  ...[1, 2, 3].map(
    (): Statement => (r) => [
      `INSERT INTO order_lines (id, order_id, sku, quantity, unit_price, gift_note)
       SELECT $2, id, $3, $4, $5, $6 FROM orders WHERE id = $1 ON CONFLICT DO NOTHING`,
      orderId(r),
      lineId(r),
      sku(r),
      r.int(1, 9),
      price(r),
      maybe(r, word(r)),
    ],
  ),
  (r) => [`UPDATE order_lines SET quantity = $2 WHERE id = $1`, lineId(r), r.int(1, 9)],
  (r) => [
    `UPDATE order_lines SET unit_price = unit_price / 2, gift_note = $2 WHERE order_id = $1`,
    orderId(r),
    maybe(r, word(r)),
  ],
  (r) => [`UPDATE order_lines SET order_id = $2 WHERE id = $1`, lineId(r), orderId(r)],
  (r) => [`UPDATE order_lines SET order_id = $2 WHERE order_id = $1`, orderId(r), orderId(r)],
  (r) => [`UPDATE order_lines SET id = $2 WHERE id = $1`, lineId(r), lineId(r)],
  (r) => [`DELETE FROM order_lines WHERE id = $1`, lineId(r)],
  (r) => [`DELETE FROM order_lines WHERE order_id = $1`, orderId(r)],
];

const SHOP: readonly Statement[] = [
  (r) => [`INSERT INTO categories (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING`, categoryId(r), word(r)],
  (r) => [`UPDATE categories SET name = $2 WHERE id = $1`, categoryId(r), word(r)],
  (r) => [`UPDATE categories SET id = $2 WHERE id = $1`, categoryId(r), categoryId(r)],
  (r) => [`DELETE FROM categories WHERE id = $1`, categoryId(r)],
  ...[1, 2].map(
    (): Statement => (r) => [
      `INSERT INTO products (sku, category_id, title, price, tags, attributes, weight_kg, released_on, thumbnail, listed)
       VALUES ($1, (SELECT id FROM categories WHERE id = $2), $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
      sku(r),
      categoryId(r),
      word(r),
      price(r),
      words(r),
      document(r),
      maybe(r, r.pick([0, 1.5, 1e-7, 123456789.123])),
      maybe(r, `20${r.int(10, 30)}-02-28`),
      maybe(r, Buffer.from([0, r.int(0, 255), 255, 10])),
      r.chance(0.7),
    ],
  ),
  (r) => [`INSERT INTO products (sku, title, price, listed) VALUES ($1, 'Plain', 1, true)`, sku(r)],
  (r) => [`UPDATE products SET listed = NOT listed WHERE sku = $1`, sku(r)],
  (r) => [`UPDATE products SET listed = $1 WHERE category_id = $2`, r.chance(0.6), categoryId(r)],
  (r) => [`UPDATE products SET price = $2, title = $3 WHERE sku = $1`, sku(r), price(r), word(r)],
  (r) => [`UPDATE products SET attributes = $2, tags = $3 WHERE sku = $1`, sku(r), document(r), words(r)],
  (r) => [
    `UPDATE products SET category_id = (SELECT id FROM categories WHERE id = $2) WHERE sku = $1`,
    sku(r),
    categoryId(r),
  ],
  (r) => [`UPDATE products SET sku = $2 WHERE sku = $1`, sku(r), sku(r)],
  (r) => [`DELETE FROM products WHERE sku = $1`, sku(r)],
];

const STATEMENTS: Record<Team, readonly Statement[]> = { accounts: ACCOUNTS, orders: ORDERS, shop: SHOP };

/** A random transaction over the tables of a team: savepoints, partial and full rollbacks included. */
export function randomTransaction(random: Random, team: Team): Transaction {
  const steps: Step[] = [];
  const open: string[] = [];
  const count = random.chance(0.1) ? random.int(10, 30) : random.int(1, 6);
  for (let i = 0; i < count; i++) {
    if (random.chance(0.2)) {
      const name = `s${i}`;
      steps.push({ kind: "savepoint", name });
      open.push(name);
    }
    const [sql, ...values] = random.pick(STATEMENTS[team])(random);
    steps.push({ kind: "sql", sql, values });
    const name = open.at(-1);
    if (name !== undefined && random.chance(0.4)) {
      open.pop();
      steps.push({ kind: random.chance(0.5) ? "rollbackTo" : "release", name });
    }
  }
  return { steps, end: random.chance(0.85) ? "COMMIT" : "ROLLBACK" };
}

/** Classes of SQLSTATE that random work on few keys meets: broken constraints, deadlocks, serialization failures. */
const CONFLICT = /^(23|40)/;

/**
 * Runs one transaction. A statement that conflicts rolls back to the innermost savepoint, or ends the transaction;
 * any other error is thrown.
 */
export async function runTransaction(
  client: pg.Client,
  transaction: Transaction,
  result: WorkloadResult,
): Promise<void> {
  await client.query("BEGIN");
  const open: string[] = [];
  for (const step of transaction.steps) {
    if (step.kind === "sql") {
      try {
        await client.query(step.sql, [...step.values]);
      } catch (error) {
        if (!CONFLICT.test((error as pg.DatabaseError).code ?? "")) throw error;
        result.conflicts += 1;
        const name = open.at(-1);
        if (name === undefined) {
          await client.query("ROLLBACK");
          result.rolledBack += 1;
          return;
        }
        await client.query(`ROLLBACK TO SAVEPOINT ${name}`);
      }
    } else if (step.kind === "savepoint") {
      await client.query(`SAVEPOINT ${step.name}`);
      open.push(step.name);
    } else {
      open.pop();
      await client.query(`${step.kind === "release" ? "RELEASE" : "ROLLBACK TO"} SAVEPOINT ${step.name}`);
    }
  }
  await client.query(transaction.end);
  if (transaction.end === "COMMIT") result.committed += 1;
  else result.rolledBack += 1;
}
