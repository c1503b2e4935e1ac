import { createConsumerSchema } from "rejot-kafka";

createConsumerSchema("invoice-recipient", {
  source: { manifestSlug: "accounts", publicSchema: { name: "customer", majorVersion: 1 } },
  config: {
    consumerSchemaType: "postgres",
    destinationDataStoreSlug: "billing-db",
    sql: `INSERT INTO invoice_recipients (customer_id, name, email)
          VALUES (:id, :name, :email)
          ON CONFLICT (customer_id) DO UPDATE SET name = :name, email = :email`,
    deleteSql: "DELETE FROM invoice_recipients WHERE customer_id = :id",
  },
});
