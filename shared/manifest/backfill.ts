import type { PostgresDataStore, PublicSchema } from "./schema.ts";

/** How the rows that are already there are published. */
export interface BackfillSetting {
  readonly mode: "auto" | "manual";
  /** The tables to read, where the manifest names them. */
  readonly tables: readonly string[] | undefined;
}

/** What a public schema says, else its data store, else auto. */
export function backfillSetting(schema: PublicSchema, dataStore: PostgresDataStore): BackfillSetting {
  const own = typeof schema.backfill === "string" ? { mode: schema.backfill } : schema.backfill;
  return { mode: own?.mode ?? dataStore.backfill ?? "auto", tables: own?.tables };
}
