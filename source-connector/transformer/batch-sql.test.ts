import { describe, expect, test } from "vitest";
import { parseTemplate } from "../../shared/postgres/sql/template.ts";
import type { TableInfo } from "../../shared/postgres/table-info.ts";
import { batchSql } from "./batch-sql.ts";
import { readModeOf } from "./read-mode.ts";

const COLUMNS = [
  { name: "id", typeName: "bigint" },
  { name: "email", typeName: "character varying" },
  { name: 'we"ird', typeName: "text[]" },
];
const ACCOUNTS: TableInfo = {
  oid: 1,
  schema: "public",
  name: "accounts",
  columns: COLUMNS.map(({ name }) => ({ name, typeOid: 25, generated: false })),
  replicaIdentity: "d",
  identityColumns: ["id"],
  hasPrimaryKey: true,
};

/** The statement inside LATERAL, and the columns that are handed over. */
async function inner(sql: string, table = ACCOUNTS): Promise<{ sql: string; columns: readonly string[] }> {
  const template = await parseTemplate(sql);
  const { text, columns } = await batchSql(template, table, COLUMNS, readModeOf(template, table));
  await expect(parseTemplate(text), text).resolves.toMatchObject({ kind: "SelectStmt" });
  return { sql: text.slice(text.indexOf("LATERAL (\n") + 10, text.lastIndexOf("\n) AS")), columns };
}

const VALUE = (i: number, type: string) => `(_rejot_r._rejot_c${i})::${type}`;

describe("batchSql", () => {
  test("one array a column, a row number before the SELECT's own columns, in the order of the rows", async () => {
    const template = await parseTemplate("SELECT :email AS e, :id AS id");
    const { text, columns } = await batchSql(template, ACCOUNTS, COLUMNS, { kind: "table", reason: "" });
    expect(columns).toEqual(["id", "email"]);
    expect(text).toBe(
      "SELECT _rejot_r._rejot_ord, _rejot_q.* FROM unnest($1::text[], $2::text[]) WITH ORDINALITY " +
        "AS _rejot_r(_rejot_c0, _rejot_c1, _rejot_ord) CROSS JOIN LATERAL (\n" +
        `SELECT (${VALUE(1, "character varying")}) AS e, (${VALUE(0, "bigint")}) AS id` +
        "\n) AS _rejot_q ORDER BY 1",
    );
  });

  test("placeholders become typed values, text that only looks like one stays", async () => {
    const made = await inner("SELECT ':id' AS a, id::text AS id, $1 AS b FROM others WHERE x = $2 -- $3");
    expect(made.sql).toBe(
      `SELECT ':id' AS a, id::text AS id, (${VALUE(0, "bigint")}) AS b FROM others WHERE x = (${VALUE(1, "character varying")})`,
    );
  });

  test("the row image takes the table's place and keeps its name", async () => {
    const made = await inner("SELECT id, email FROM accounts WHERE id = :id");
    const image = `(SELECT ${VALUE(0, "bigint")} AS "id", ${VALUE(1, "character varying")} AS "email") AS "accounts"`;
    expect(made.sql).toBe(`SELECT id, email FROM ${image} WHERE id = (${VALUE(0, "bigint")})`);
  });

  test.each([
    ["an alias", "SELECT a.email FROM accounts a WHERE a.id = :id", /FROM \(SELECT .*\) a WHERE/],
    ["AS", 'SELECT "A".email FROM accounts AS "A" WHERE "A".id = :id', /FROM \(SELECT .*\) AS "A" WHERE/],
    [
      "a schema",
      "SELECT email FROM public . accounts WHERE id = :id",
      /FROM \(SELECT .*\) AS "accounts" WHERE/,
    ],
    ["quotes", 'SELECT email FROM "public"."accounts" a WHERE a.id = :id', /FROM \(SELECT .*\) a WHERE/],
    ["capitals", "SELECT EMAIL FROM ACCOUNTS WHERE ID = :id", /FROM \(SELECT .*\) AS "accounts" WHERE/],
    [
      "a comment before",
      "SELECT email FROM /* ä € */ accounts WHERE id = :id",
      /\/\* ä € \*\/ \(SELECT .*\) AS/,
    ],
    [
      "a string before",
      "SELECT 'äöü€𝄞' AS x, email FROM accounts WHERE id = :id",
      /'äöü€𝄞' AS x, email FROM \(SELECT/,
    ],
  ])("it is put in the right place after %s", async (_name, sql, expected) => {
    expect((await inner(sql)).sql).toMatch(expected);
  });

  test("only columns that the statement names are handed over", async () => {
    expect((await inner("SELECT id FROM accounts WHERE id = :id")).columns).toEqual(["id"]);
    expect((await inner("SELECT id FROM accounts WHERE id = :id AND email <> ''")).columns).toEqual([
      "id",
      "email",
    ]);
    expect(
      (await inner("SELECT id, (SELECT 1 FROM b WHERE b.x = accounts.email) FROM accounts WHERE id = :id"))
        .columns,
    ).toEqual(["id", "email"]);
  });

  test.each([
    ["a star", "SELECT * FROM accounts WHERE id = :id"],
    ["a star of the table", "SELECT a.* FROM accounts a WHERE a.id = :id"],
    ["a row of the table", "SELECT to_jsonb(a) FROM accounts a WHERE a.id = :id"],
    ["a row under its own name", "SELECT to_jsonb(accounts) FROM accounts WHERE id = :id"],
    ["NATURAL JOIN", "SELECT accounts.id FROM accounts NATURAL JOIN b WHERE accounts.id = :id"],
  ])("all columns are handed over for %s", async (_name, sql) => {
    expect((await inner(sql)).columns).toEqual(COLUMNS.map(({ name }) => name));
  });

  test("USING names a column too", async () => {
    const sql = "SELECT a.id FROM accounts a JOIN b USING (email) WHERE a.id = :id";
    expect((await inner(sql)).columns).toEqual(["id", "email"]);
  });

  test("names are quoted", async () => {
    const made = await inner('SELECT "we""ird" FROM accounts WHERE id = :id');
    expect(made.sql).toContain(`${VALUE(1, "text[]")} AS "we""ird"`);
  });

  test("without any placeholder it still runs once a row", async () => {
    const made = await inner("SELECT 1 AS one");
    expect(made).toEqual({ sql: "SELECT 1 AS one", columns: ["id"] });
  });

  test("a comment or semicolon at the end does not swallow the rest", async () => {
    expect((await inner("SELECT :id AS id; -- the end")).sql).toBe(`SELECT (${VALUE(0, "bigint")}) AS id`);
  });
});
