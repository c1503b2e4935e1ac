/** The three teams; each has a folder here, a database and a manifest. */
export type Team = "accounts" | "orders" | "shop";

export const TEAMS: readonly Team[] = ["accounts", "orders", "shop"];

/** A public schema on its way from one team's tables to another team's copy. */
export interface Flow {
  /** Name of the public schema. */
  readonly publicSchema: string;
  readonly from: Team;
  readonly to: Team;
  /** The consumer's table. */
  readonly table: string;
  /** Columns of the table that hold the key. */
  readonly key: readonly string[];
  /** Plain SQL for the source's database: all that the table must hold, column for column. */
  readonly expected: string;
  /** SQL for the destination's database: what the table does hold, its columns in the same order. */
  readonly actual: string;
}

/**
 * What every destination table must hold once all changes have arrived, in plain SQL over the tables of the source:
 * written without a look at the transformations, so that a mistake in those is seen.
 */
export const FLOWS: readonly Flow[] = [
  {
    publicSchema: "account",
    from: "accounts",
    to: "orders",
    table: "customer_accounts",
    key: ["account_id"],
    expected: `
      SELECT accounts.id, first_name || ' ' || last_name, tier, interests, preferences, credit_limit,
             (SELECT email FROM emails WHERE account_id = accounts.id AND emails.is_primary),
             addresses.id,
             CASE WHEN postcode IS NULL THEN street || ', ' || city ELSE street || ', ' || postcode || ' ' || city END,
             country, created_at, closed_at
      FROM accounts LEFT JOIN addresses ON addresses.account_id = accounts.id AND addresses.is_primary`,
    actual: `
      SELECT account_id, name, tier, interests, preferences, credit_limit, email, address_id, address, country,
             member_since, closed_at
      FROM customer_accounts`,
  },
  {
    publicSchema: "order",
    from: "orders",
    to: "shop",
    table: "order_summaries",
    key: ["order_id"],
    expected: `
      SELECT orders.id, account_id, status, coalesce(sum(quantity * unit_price), 0) + shipping_fee,
             count(order_lines.id),
             array_remove(array_agg(DISTINCT sku ORDER BY sku), NULL), delivery, placed_at
      FROM orders LEFT JOIN order_lines ON order_id = orders.id
      WHERE status IN ('placed', 'paid', 'shipped', 'cancelled')
      GROUP BY orders.id`,
    actual: `
      SELECT order_id, account_id, status, total, line_count, skus, delivery, placed_at
      FROM order_summaries`,
  },
  {
    publicSchema: "order-line",
    from: "orders",
    to: "shop",
    table: "order_items",
    key: ["line_id"],
    expected: `
      SELECT id, order_id, (SELECT status FROM orders WHERE orders.id = order_id), sku, quantity, unit_price,
             quantity * unit_price, gift_note
      FROM order_lines
      WHERE order_id IN (SELECT id FROM orders WHERE status <> 'draft')`,
    actual: `
      SELECT line_id, order_id, order_status, sku, quantity, unit_price, amount, gift_note
      FROM order_items`,
  },
  {
    publicSchema: "product",
    from: "shop",
    to: "orders",
    table: "catalog_products",
    key: ["sku"],
    expected: `
      SELECT sku, title, price, (SELECT name FROM categories WHERE id = category_id), tags, attributes, weight_kg,
             released_on, thumbnail
      FROM products
      WHERE listed`,
    actual: `
      SELECT sku, title, price, category, tags, attributes, weight_kg, released_on, thumbnail
      FROM catalog_products`,
  },
];

/** One row that is not as it should be; values are Postgres's text, null where the row is missing on that side. */
export interface Difference {
  readonly key: string;
  readonly expected: string | null;
  readonly actual: string | null;
}

/** Compares rows of text values whose first columns are the key, whatever their order. */
export function compareRows(
  expected: readonly (readonly (string | null)[])[],
  actual: readonly (readonly (string | null)[])[],
  keyColumns: number,
): Difference[] {
  const wanted = byKey(expected, keyColumns);
  const found = byKey(actual, keyColumns);
  const differences: Difference[] = [];
  for (const key of new Set([...wanted.keys(), ...found.keys()])) {
    const pair = { key, expected: wanted.get(key) ?? null, actual: found.get(key) ?? null };
    if (pair.expected !== pair.actual) differences.push(pair);
  }
  return differences;
}

function byKey(rows: readonly (readonly (string | null)[])[], keyColumns: number): Map<string, string> {
  return new Map(rows.map((row) => [row.slice(0, keyColumns).join(", "), JSON.stringify(row)]));
}
