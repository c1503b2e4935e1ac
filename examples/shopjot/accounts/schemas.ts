import {
  createPostgresPublicSchemaTransformations,
  createPublicSchema,
  decimal,
  int64,
  json,
  timestamp,
} from "rejot-kafka";
import { z } from "zod";

/** An account with its primary e-mail and address: the password hash stays here, two names become one. */
const account = (condition: string) => `
SELECT a.id AS "accountId",
       a.first_name || ' ' || a.last_name AS name,
       a.tier,
       a.interests,
       a.preferences,
       a.credit_limit AS "creditLimit",
       e.email,
       d.id AS "addressId",
       d.street || ', ' || coalesce(d.postcode || ' ', '') || d.city AS address,
       d.country,
       a.created_at AS "memberSince",
       a.closed_at AS "closedAt"
FROM accounts a
LEFT JOIN emails e ON e.account_id = a.id AND e.is_primary
LEFT JOIN addresses d ON d.account_id = a.id AND d.is_primary
WHERE ${condition}`;

createPublicSchema("account", {
  source: { dataStoreSlug: "accounts-db" },
  outputSchema: z.object({
    accountId: int64(),
    name: z.string(),
    tier: z.enum(["basic", "plus", "business"]),
    interests: z.array(z.string()),
    preferences: json(),
    creditLimit: decimal(12, 2).nullable(),
    email: z.string().nullable(),
    addressId: z.uuid().nullable(),
    address: z.string().nullable(),
    country: z.string().nullable(),
    memberSince: timestamp(),
    closedAt: timestamp().nullable(),
  }),
  key: ["accountId"],
  config: {
    publicSchemaType: "postgres",
    transformations: [
      ...createPostgresPublicSchemaTransformations("insertOrUpdate", "accounts", account("a.id = :id")),
      ...createPostgresPublicSchemaTransformations("delete", "accounts", `SELECT :id::bigint AS "accountId"`),
      // An e-mail or address is only a part of an account: whatever happens to it, the account is published anew,
      // also when it is deleted, and when it moves (then its former account, which the old row names, as well).
      ...["emails", "addresses"].flatMap((table) => [
        ...createPostgresPublicSchemaTransformations("insertOrUpdate", table, account("a.id = :account_id")),
        ...createPostgresPublicSchemaTransformations("delete", table, account("a.id = :account_id"), {
          emit: "upsert",
        }),
      ]),
    ],
  },
  version: { major: 1, minor: 0 },
});
