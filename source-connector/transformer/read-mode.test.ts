import { describe, expect, test } from "vitest";
import { parseTemplate } from "../../shared/postgres/sql/template.ts";
import type { TableInfo } from "../../shared/postgres/table-info.ts";
import { columnOfPlaceholder, readModeOf } from "./read-mode.ts";

const ACCOUNTS: TableInfo = {
  oid: 1,
  schema: "public",
  name: "accounts",
  columns: ["id", "email", "first name"].map((name) => ({ name, typeOid: 25, generated: false })),
  replicaIdentity: "d",
  identityColumns: ["id"],
  hasPrimaryKey: true,
};
const LINES: TableInfo = { ...ACCOUNTS, oid: 2, name: "Order Lines", identityColumns: ["id", "email"] };

async function modeOf(sql: string, table = ACCOUNTS): Promise<string> {
  const mode = readModeOf(await parseTemplate(sql), table);
  return mode.kind === "row-image" ? "row-image" : mode.reason;
}

describe("the row image may take the table's place", () => {
  test.each([
    ["plain", "SELECT id, email FROM accounts WHERE id = :id"],
    ["the other way round", "SELECT id FROM accounts WHERE :id = id"],
    ["cast placeholder", "SELECT id FROM accounts WHERE id = :id::bigint"],
    ["cast by function", "SELECT id FROM accounts WHERE id = CAST(:id AS bigint)"],
    ["alias", "SELECT a.id FROM accounts a WHERE a.id = :id"],
    ["alias with AS and quotes", 'SELECT "A b".id FROM accounts AS "A b" WHERE "A b".id = :id'],
    ["schema-qualified", "SELECT id FROM public.accounts WHERE id = :id"],
    [
      "schema-qualified, qualified by name",
      "SELECT accounts.id FROM public.accounts WHERE accounts.id = :id",
    ],
    ["quoted", 'SELECT "id" FROM "public"."accounts" WHERE "id" = :id'],
    ["upper case unquoted", "SELECT ID FROM ACCOUNTS WHERE ID = :id"],
    ["positional", "SELECT id FROM accounts WHERE id = $1"],
    [
      "further conditions",
      "SELECT id FROM accounts WHERE id = :id AND email <> '' AND (email = 'x' OR id > 3)",
    ],
    ["comma join", "SELECT a.id FROM accounts a, orders o WHERE o.account_id = a.id AND a.id = :id"],
    ["join", "SELECT a.id FROM accounts a JOIN addresses d ON d.account_id = a.id WHERE a.id = :id"],
    [
      "outer join from it",
      "SELECT a.id FROM accounts a LEFT JOIN addresses d ON d.account_id = a.id WHERE a.id = :id",
    ],
    [
      "outer join to it",
      "SELECT a.id FROM addresses d LEFT JOIN accounts a ON d.account_id = a.id WHERE a.id = :id",
    ],
    [
      "join in brackets",
      "SELECT a.id FROM (accounts a JOIN b ON b.x = a.id) JOIN c ON c.x = b.x WHERE a.id = :id",
    ],
    ["USING", "SELECT a.id FROM accounts a JOIN b USING (id) WHERE a.id = :id"],
    [
      "subquery over another table",
      "SELECT id, (SELECT max(x) FROM orders o WHERE o.a = accounts.id) FROM accounts WHERE id = :id",
    ],
    ["aggregate", "SELECT id, count(*) FROM accounts WHERE id = :id GROUP BY id"],
    ["WITH of another name", "WITH w AS (SELECT 1 AS x) SELECT id FROM accounts, w WHERE accounts.id = :id"],
  ])("%s", async (_name, sql) => {
    expect(await modeOf(sql)).toBe("row-image");
  });

  test("a replica identity of several columns is pinned by all of them", async () => {
    expect(await modeOf('SELECT id FROM "Order Lines" WHERE id = :id AND email = :email', LINES)).toBe(
      "row-image",
    );
    expect(await modeOf('SELECT id FROM "Order Lines" WHERE id = $1 AND email = $2', LINES)).toBe(
      "row-image",
    );
    expect(await modeOf('SELECT id FROM "Order Lines" WHERE id = :id', LINES)).toBe(
      "its WHERE does not say email = :email",
    );
  });
});

describe("the table is read", () => {
  const OPEN = "its WHERE does not say id = :id";
  test.each([
    ["not read at all", "SELECT :id AS id", "it does not read accounts itself"],
    [
      "another schema's",
      "SELECT id FROM archive.accounts WHERE id = :id",
      "it does not read accounts itself",
    ],
    ["another case", 'SELECT id FROM "Accounts" WHERE id = :id', "it does not read accounts itself"],
    [
      "self join",
      "SELECT a.id FROM accounts a JOIN accounts b ON b.id = a.id WHERE a.id = :id",
      "it reads accounts more than once",
    ],
    [
      "again in a subquery",
      "SELECT id, (SELECT count(*) FROM accounts) FROM accounts WHERE id = :id",
      "it reads accounts more than once",
    ],
    [
      "again in UNION",
      "SELECT id FROM accounts WHERE id = :id UNION SELECT id FROM accounts",
      "it reads accounts more than once",
    ],
    ["UNION", "SELECT id FROM accounts WHERE id = :id UNION ALL SELECT 1", "it is not a plain SELECT"],
    ["FOR UPDATE", "SELECT id FROM accounts WHERE id = :id FOR UPDATE", "it is not a plain SELECT"],
    ["FOR SHARE", "SELECT id FROM accounts WHERE id = :id FOR SHARE", "it is not a plain SELECT"],
    [
      "TABLESAMPLE",
      "SELECT id FROM accounts TABLESAMPLE system (50) WHERE id = :id",
      "it is not a plain SELECT",
    ],
    [
      "ONLY",
      "SELECT id FROM ONLY accounts WHERE id = :id",
      "accounts does not stand plainly in its FROM clause",
    ],
    [
      "column aliases",
      "SELECT id FROM accounts AS a(id, e) WHERE a.id = :id",
      "accounts does not stand plainly in its FROM clause",
    ],
    [
      "in a subquery of FROM",
      "SELECT id FROM (SELECT * FROM accounts) a WHERE a.id = :id",
      "accounts does not stand plainly in its FROM clause",
    ],
    [
      "in EXISTS",
      "SELECT 1 AS id WHERE EXISTS (SELECT 1 FROM accounts WHERE id = :id)",
      "accounts does not stand plainly in its FROM clause",
    ],
    [
      "in WITH",
      "WITH a AS (SELECT * FROM accounts WHERE id = :id) SELECT id FROM a",
      "accounts does not stand plainly in its FROM clause",
    ],
    [
      "hidden by WITH",
      "WITH accounts AS (SELECT 1 AS id) SELECT id FROM accounts WHERE id = :id",
      "WITH gives the name accounts to something else",
    ],
    ["no condition", "SELECT id FROM accounts", OPEN],
    ["another column's value", "SELECT id FROM accounts WHERE id = :email", OPEN],
    ["another column", "SELECT id FROM accounts WHERE email = :email", OPEN],
    ["another position", "SELECT id FROM accounts WHERE id = $2", OPEN],
    ["OR", "SELECT id FROM accounts WHERE id = :id OR email = ''", OPEN],
    ["NOT", "SELECT id FROM accounts WHERE NOT id = :id", OPEN],
    ["another operator", "SELECT id FROM accounts WHERE id >= :id", OPEN],
    ["ANY", "SELECT id FROM accounts WHERE id = ANY (:id)", OPEN],
    ["an expression of the placeholder", "SELECT id FROM accounts WHERE id = :id + 1", OPEN],
    ["an expression of the column", "SELECT id FROM accounts WHERE id + 0 = :id", OPEN],
    ["a cast of the column", "SELECT id FROM accounts WHERE id::date = :id", OPEN],
    [
      "only in ON",
      "SELECT d.id FROM addresses d LEFT JOIN accounts ON accounts.id = :id WHERE d.id > 0",
      OPEN,
    ],
    ["unqualified beside another table", "SELECT a.id FROM accounts a, orders WHERE id = :id", OPEN],
    [
      "pinned on another table",
      "SELECT a.id FROM accounts a JOIN orders o ON o.a = a.id WHERE o.id = :id",
      OPEN,
    ],
  ])("%s", async (_name, sql, reason) => {
    expect(await modeOf(sql)).toBe(reason);
  });

  test("a table without an identity", async () => {
    expect(await modeOf("SELECT id FROM accounts WHERE id = :id", { ...ACCOUNTS, identityColumns: [] })).toBe(
      "accounts has no primary key or identity index",
    );
  });
});

test("a placeholder stands for a column by name, or by its place in the table", () => {
  expect(
    ["id", "email", "nothing", "1", "3", "0", "4"].map((name) => columnOfPlaceholder(name, ACCOUNTS)),
  ).toEqual(["id", "email", undefined, "id", "first name", undefined, undefined]);
});
