import {
  bytes,
  createConsumerSchema,
  createPostgresPublicSchemaTransformations,
  createPublicSchema,
  decimal,
  json,
} from "rejot-kafka";
import { z } from "zod";

/** A product while it is listed, with the name of its category; what it cost to buy is not public. */
const product = (condition: string) => `
SELECT p.sku,
       p.title,
       p.price,
       c.name AS category,
       p.tags,
       p.attributes,
       p.weight_kg AS "weightKg",
       p.released_on AS "releasedOn",
       p.thumbnail
FROM products p
LEFT JOIN categories c ON c.id = p.category_id
WHERE ${condition} AND p.listed`;

createPublicSchema("product", {
  source: { dataStoreSlug: "shop-db" },
  outputSchema: z.object({
    sku: z.string(),
    title: z.string(),
    price: decimal(10, 2),
    category: z.string().nullable(),
    tags: z.array(z.string()),
    attributes: json(),
    weightKg: z.number().nullable(),
    releasedOn: z.iso.date().nullable(),
    thumbnail: bytes().nullable(),
  }),
  key: ["sku"],
  config: {
    publicSchemaType: "postgres",
    transformations: [
      // Listed or changed: an event. No longer listed: no row, so the transformation for deletes gives the tombstone.
      ...createPostgresPublicSchemaTransformations("insertOrUpdate", "products", product("p.sku = :sku")),
      ...createPostgresPublicSchemaTransformations("delete", "products", "SELECT :sku::text AS sku"),
      // A category's new name is an event for each of its products. A category that is deleted has none left: the
      // database set their category to NULL, which published them.
      ...createPostgresPublicSchemaTransformations("insertOrUpdate", "categories", product("c.id = :id")),
      ...createPostgresPublicSchemaTransformations("delete", "categories", product("c.id = :id"), {
        emit: "upsert",
      }),
    ],
  },
  version: { major: 1, minor: 0 },
});

createConsumerSchema("order-at-shop", {
  source: { manifestSlug: "@shopjot/orders", publicSchema: { name: "order", majorVersion: 1 } },
  config: {
    consumerSchemaType: "postgres",
    destinationDataStoreSlug: "shop-db",
    sql: `
INSERT INTO order_summaries (order_id, account_id, status, total, line_count, skus, delivery, placed_at)
VALUES (:orderId, :accountId, :status, :total, :lineCount, :skus, :delivery, :placedAt)
ON CONFLICT (order_id) DO UPDATE SET
  account_id = :accountId, status = :status, total = :total, line_count = :lineCount, skus = :skus,
  delivery = :delivery, placed_at = :placedAt`,
    deleteSql: "DELETE FROM order_summaries WHERE order_id = :orderId",
  },
});

createConsumerSchema("order-line-at-shop", {
  source: { manifestSlug: "@shopjot/orders", publicSchema: { name: "order-line", majorVersion: 1 } },
  config: {
    consumerSchemaType: "postgres",
    destinationDataStoreSlug: "shop-db",
    sql: `
INSERT INTO order_items (line_id, order_id, order_status, sku, quantity, unit_price, amount, gift_note)
VALUES (:lineId, :orderId, :orderStatus, :sku, :quantity, :unitPrice, :amount, :giftNote)
ON CONFLICT (line_id) DO UPDATE SET
  order_id = :orderId, order_status = :orderStatus, sku = :sku, quantity = :quantity, unit_price = :unitPrice,
  amount = :amount, gift_note = :giftNote`,
    deleteSql: "DELETE FROM order_items WHERE line_id = :lineId",
  },
});
