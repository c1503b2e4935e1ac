import { transformationsOf } from "./source.ts";

/** A source of one table whose transformations read the table itself. */
export const TICKS = {
  sql: "CREATE TABLE ticks (id bigint PRIMARY KEY, n int NOT NULL)",
  schemas: [
    {
      name: "tick",
      fields: { id: "integer", n: "integer" },
      // Reads the table, so that a restart meets running transformations too.
      transformations: transformationsOf(
        "ticks",
        "SELECT :id::bigint AS id, (SELECT max(n) FROM ticks WHERE id = :id) AS n",
        "SELECT :id AS id",
      ),
    },
  ],
} as const;
