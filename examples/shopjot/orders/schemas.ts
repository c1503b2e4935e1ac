import {
  createConsumerSchema,
  createPostgresPublicSchemaTransformations,
  createPublicSchema,
  decimal,
  int64,
  json,
  timestamp,
} from "rejot-kafka";
import { z } from "zod";

/** An order with the total and the count of its lines; drafts and the fraud score are not public. */
const order = (condition: string) => `
SELECT o.id AS "orderId",
       o.account_id AS "accountId",
       o.status,
       o.shipping_fee + l.total AS total,
       l.line_count AS "lineCount",
       l.skus,
       o.delivery,
       o.placed_at AS "placedAt"
FROM orders o
CROSS JOIN LATERAL (
  SELECT coalesce(sum(quantity * unit_price), 0) AS total,
         count(*) AS line_count,
         coalesce(array_agg(DISTINCT sku ORDER BY sku), '{}') AS skus
  FROM order_lines
  WHERE order_id = o.id
) l
WHERE ${condition} AND o.status <> 'draft'`;

const status = z.enum(["placed", "paid", "shipped", "cancelled"]);

createPublicSchema("order", {
  source: { dataStoreSlug: "orders-db" },
  outputSchema: z.object({
    orderId: z.uuid(),
    accountId: int64(),
    status,
    total: decimal(14, 2),
    lineCount: int64(),
    skus: z.array(z.string()),
    delivery: json().nullable(),
    placedAt: timestamp().nullable(),
  }),
  key: ["orderId"],
  config: {
    publicSchemaType: "postgres",
    transformations: [
      ...createPostgresPublicSchemaTransformations("insertOrUpdate", "orders", order("o.id = :id")),
      ...createPostgresPublicSchemaTransformations("delete", "orders", `SELECT :id::uuid AS "orderId"`),
      // A line that is added, changed, moved or deleted changes the total of its order, or of both its orders.
      ...createPostgresPublicSchemaTransformations(
        "insertOrUpdate",
        "order_lines",
        order("o.id = :order_id"),
      ),
      ...createPostgresPublicSchemaTransformations("delete", "order_lines", order("o.id = :order_id"), {
        emit: "upsert",
      }),
    ],
  },
  version: { major: 1, minor: 0 },
});

/** A line of an order, with the state of the order it belongs to. */
const orderLine = (condition: string) => `
SELECT l.id AS "lineId",
       l.order_id AS "orderId",
       o.status AS "orderStatus",
       l.sku,
       l.quantity,
       l.unit_price AS "unitPrice",
       l.quantity * l.unit_price AS amount,
       l.gift_note AS "giftNote"
FROM order_lines l
JOIN orders o ON o.id = l.order_id
WHERE ${condition} AND o.status <> 'draft'`;

createPublicSchema("order-line", {
  source: { dataStoreSlug: "orders-db" },
  outputSchema: z.object({
    lineId: int64(),
    orderId: z.uuid(),
    orderStatus: status,
    sku: z.string(),
    quantity: z.int(),
    unitPrice: decimal(10, 2),
    amount: decimal(14, 2),
    giftNote: z.string().nullable(),
  }),
  key: ["lineId"],
  config: {
    publicSchemaType: "postgres",
    transformations: [
      // Both columns of the replica identity are pinned, so that an event shows the line as the change left it.
      ...createPostgresPublicSchemaTransformations(
        "insertOrUpdate",
        "order_lines",
        orderLine("l.order_id = :order_id AND l.id = :id"),
      ),
      ...createPostgresPublicSchemaTransformations("delete", "order_lines", `SELECT :id::bigint AS "lineId"`),
      // One change of an order is an event for each of its lines. When it becomes a draft again no row is left, and
      // the transformation for deletes says which lines are to go.
      ...createPostgresPublicSchemaTransformations("insertOrUpdate", "orders", orderLine("o.id = :id")),
      ...createPostgresPublicSchemaTransformations(
        "delete",
        "orders",
        `SELECT id AS "lineId" FROM order_lines WHERE order_id = :id`,
      ),
    ],
  },
  version: { major: 1, minor: 0 },
});

createConsumerSchema("account-at-orders", {
  source: { manifestSlug: "@shopjot/accounts", publicSchema: { name: "account", majorVersion: 1 } },
  config: {
    consumerSchemaType: "postgres",
    destinationDataStoreSlug: "orders-db",
    sql: `
INSERT INTO customer_accounts (account_id, name, tier, interests, preferences, credit_limit, email, address_id,
                               address, country, member_since, closed_at)
VALUES (:accountId, :name, :tier, :interests, :preferences, :creditLimit, :email, :addressId,
        :address, :country, :memberSince, :closedAt)
ON CONFLICT (account_id) DO UPDATE SET
  name = :name, tier = :tier, interests = :interests, preferences = :preferences, credit_limit = :creditLimit,
  email = :email, address_id = :addressId, address = :address, country = :country,
  member_since = :memberSince, closed_at = :closedAt`,
    deleteSql: "DELETE FROM customer_accounts WHERE account_id = :accountId",
  },
});

createConsumerSchema("product-at-orders", {
  source: { manifestSlug: "@shopjot/shop", publicSchema: { name: "product", majorVersion: 1 } },
  config: {
    consumerSchemaType: "postgres",
    destinationDataStoreSlug: "orders-db",
    sql: `
INSERT INTO catalog_products (sku, title, price, category, tags, attributes, weight_kg, released_on, thumbnail)
VALUES (:sku, :title, :price, :category, :tags, :attributes, :weightKg, :releasedOn, :thumbnail)
ON CONFLICT (sku) DO UPDATE SET
  title = :title, price = :price, category = :category, tags = :tags, attributes = :attributes,
  weight_kg = :weightKg, released_on = :releasedOn, thumbnail = :thumbnail`,
    deleteSql: "DELETE FROM catalog_products WHERE sku = :sku",
  },
});
