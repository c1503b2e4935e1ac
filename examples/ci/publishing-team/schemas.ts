import { createPostgresPublicSchemaTransformations, createPublicSchema } from "rejot-kafka";
import { z } from "zod";

createPublicSchema("customer", {
  source: { dataStoreSlug: "accounts-db" },
  outputSchema: z.object({
    id: z.int(),
    name: z.string(),
    email: z.string().nullable(),
    state: z.enum(["active", "closed"]),
  }),
  key: ["id"],
  config: {
    publicSchemaType: "postgres",
    transformations: [
      ...createPostgresPublicSchemaTransformations(
        "insertOrUpdate",
        "customers",
        "SELECT id, full_name AS name, email, state FROM customers WHERE id = :id",
      ),
      ...createPostgresPublicSchemaTransformations("delete", "customers", "SELECT :id AS id"),
    ],
  },
  version: { major: 1, minor: 0 },
});
