import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { collectProject, IMPORTS } from "../support/collect-project.ts";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";

const TABLES = `
  CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, tags text[] NOT NULL DEFAULT '{}');
  CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL, total numeric(10, 2) NOT NULL);
  CREATE TABLE copies (id bigint PRIMARY KEY, customer text, total numeric)`;

const SELECT = `
      SELECT o.id, c.name AS customer,
             o.total
        FROM orders o JOIN customers c ON c.id = o.customer_id
       WHERE o.id = :id`;
const INSERT = "INSERT INTO copies (id, customer, total) VALUES (:id, :customer, :total)";

interface Change {
  /** The statement of the public schema. */
  select?: string;
  /** The fields of its output. */
  fields?: string;
  /** The statement of the consumer schema. */
  insert?: string;
}

/** Public schema "order" over orders, and consumer schema "copy" of it. */
function schemas({ select = SELECT, fields = "", insert = INSERT }: Change = {}): string {
  return `${IMPORTS}
createPublicSchema("order", {
  source: { dataStoreSlug: "db" },
  outputSchema: z.object({ id: z.int(), customer: z.string(), total: decimal(10, 2), ${fields} }),
  version: { major: 1, minor: 0 },
  key: ["id"],
  config: { publicSchemaType: "postgres", transformations: [
    ...on("insertOrUpdate", "orders", \`${select}\`),
    ...on("delete", "orders", "SELECT :id::bigint AS id"),
  ] },
});
createConsumerSchema("copy", {
  source: { manifestSlug: "shop", publicSchema: { name: "order", majorVersion: 1 } },
  config: {
    consumerSchemaType: "postgres", destinationDataStoreSlug: "db",
    sql: \`${insert}\`,
    deleteSql: "DELETE FROM copies WHERE id = :id",
  },
});
`;
}

let database: TestDatabase;
beforeAll(async () => {
  database = await cloneDatabase(TABLES);
});
afterAll(() => database[Symbol.asyncDispose]());

/** Checks schemas after a migration of the team's own; the manifest must stay as it is. */
async function build(change: Change, migration?: string) {
  await using at = await collectProject({ "src/schemas.ts": schemas(change) });
  await using own = migration === undefined ? undefined : await cloneDatabase(TABLES);
  if (migration !== undefined) await own?.query(migration);
  const before = await at.manifest();
  const DB = (own ?? database).url;
  const result = await at.collect(["--check", "--write", "--format", "json", "src"], { DB });
  const report = JSON.parse(result.stdout) as {
    diagnostics: { code: string; severity: string; message: string; file?: string; line?: number }[];
  };
  const errors = report.diagnostics.filter((d) => d.severity === "error");
  return { ...result, errors, written: (await at.manifest()) !== before };
}

/** Line and column of a text in the schema file. */
function placeOf(change: Change, text: string, column = text): object {
  const lines = schemas(change).split("\n");
  const line = lines.findIndex((candidate) => candidate.includes(text));
  return { file: "src/schemas.ts", line: line + 1, column: (lines[line]?.indexOf(column) ?? 0) + 1 };
}

describe("a red build, which writes nothing", () => {
  test.each<[string, Change, string | undefined, string, RegExp, string]>([
    [
      "renamed column",
      {},
      "ALTER TABLE orders RENAME total TO amount",
      "TRANSFORMATION_REJECTED",
      /order v1.*column o\.total does not exist \(line 3, column 14 of the SQL\)/,
      "o.total",
    ],
    [
      "renamed column of a joined table",
      {},
      "ALTER TABLE customers RENAME name TO full_name",
      "TRANSFORMATION_REJECTED",
      /column c\.name does not exist \(line 2, column 20 of the SQL\)/,
      "c.name",
    ],
    [
      "retyped column",
      {},
      "ALTER TABLE orders ALTER total TYPE boolean USING total > 0",
      "OUTPUT_COLUMN_TYPE",
      /"total" of order: the column is boolean, the field decimal\(10, 2\) \(line 3, column 14 of the SQL\)/,
      "o.total",
    ],
    [
      "dropped table",
      {},
      "DROP TABLE customers",
      "TRANSFORMATION_REJECTED",
      /relation "customers" does not exist \(line 4, column 28 of the SQL\)/,
      "customers c ON",
    ],
    ["dropped table of the changes", {}, "DROP TABLE orders", "TABLE_NOT_FOUND", /orders/, "SELECT o.id"],
    [
      "SQL that writes",
      { select: "WITH gone AS (DELETE FROM orders RETURNING *) SELECT id, '' AS customer, total FROM gone" },
      undefined,
      "SQL_NOT_A_SELECT",
      /it deletes \(line 1, column 27 of the SQL\)/,
      "orders RETURNING",
    ],
    [
      "two statements",
      { select: `${SELECT}; DELETE FROM orders` },
      undefined,
      "SQL_NOT_ONE_STATEMENT",
      /there are 2 \(line 5, column 26 of the SQL\)/,
      "DELETE FROM orders`",
    ],
    [
      "field without column",
      { fields: "status: z.string()" },
      undefined,
      "OUTPUT_COLUMN_MISSING",
      /"status"; it gives "id", "customer", "total"/,
      "SELECT o.id",
    ],
    [
      "unknown placeholder of a transformation",
      { select: SELECT.replace(":id", ":uid") },
      undefined,
      "TRANSFORMATION_PLACEHOLDER_UNKNOWN",
      /:uid is not a column of orders, which has id, customer_id, total \(line 5, column 21 of the SQL\)/,
      ":uid",
    ],
    [
      "unknown placeholder of a consumer",
      { insert: INSERT.replace(":total", ":totl") },
      undefined,
      "SQL_PLACEHOLDER_UNKNOWN",
      /:totl; there is :id, :customer, :total \(line 1, column 66 of the SQL\)/,
      ":totl",
    ],
    [
      "renamed column at the destination",
      {},
      "ALTER TABLE copies RENAME customer TO who",
      "SINK_SQL_REJECTED",
      /column "customer" of relation "copies" does not exist \(line 1, column 25 of the SQL\)/,
      "customer, total) VALUES",
    ],
    [
      "retyped column at the destination",
      {},
      "ALTER TABLE copies ALTER total TYPE uuid USING NULL",
      "PARAMETER_TYPE_MISMATCH",
      /:total is decimal\(10, 2\), the destination wants uuid/,
      ":total)",
    ],
  ])("%s", async (_name, change, migration, code, message, at) => {
    const result = await build(change, migration);
    expect(result).toMatchObject({ exitCode: 1, written: false });
    expect(result.errors).toContainEqual(
      expect.objectContaining({ code, message: expect.stringMatching(message), ...placeOf(change, at) }),
    );
  });
});

describe("a green build", () => {
  test.each<[string, Change, string?]>([
    ["what is right", {}],
    ["a column that nobody selects is renamed", {}, "ALTER TABLE customers RENAME tags TO labels"],
    [
      "a column is retyped within what the field holds",
      {},
      "ALTER TABLE orders ALTER total TYPE numeric(8, 1)",
    ],
    ["a table that nobody reads is dropped", {}, "CREATE TABLE spare (); DROP TABLE spare"],
    ["an optional field without column", { fields: "status: z.string().optional()" }],
    [
      "placeholders inside strings, comments, casts and array slices",
      {
        fields: "note: z.string(), tags: z.array(z.string())",
        select: `
      SELECT o.id::bigint, c.name::text AS customer, /* :no, $1 */ o.total,
             ':no ' || E'\\\\':no' || $$:no$$ AS note, -- :no
             c.tags[1:2] || c.tags[:1] AS tags
        FROM orders o JOIN customers c ON c.id = o.customer_id
       WHERE o.id = :id::int8`,
      },
    ],
    [
      "positional placeholders",
      { select: SELECT.replace(":id", "$1"), insert: INSERT.replace(":id, :customer, :total", "$1, $2, $3") },
    ],
    [
      "WITH, UNION and a subquery that only select",
      {
        select: `WITH o AS (SELECT * FROM orders WHERE id = :id)
        SELECT id, (SELECT coalesce(max(name), '') FROM customers) AS customer, total FROM o UNION SELECT id, '', total FROM o`,
      },
    ],
    ["a semicolon and a comment at the end", { select: `${SELECT}; -- that is all` }],
  ])("%s", async (_name, change, migration) => {
    const result = await build(change, migration);
    expect(result.errors).toEqual([]);
    expect(result).toMatchObject({ exitCode: 0, written: true });
  });
});
