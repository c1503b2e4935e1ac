import { expect, test } from "vitest";
import { parseTemplate } from "../../../shared/postgres/sql/template.ts";
import { filledTables } from "./filled-tables.ts";
import type { FunctionFacts } from "./pure-expression.ts";

const own: FunctionFacts = { volatility: "volatile", builtIn: false, special: false };
const functions = new Map([
  ["app.put", own],
  ["slug", { ...own, volatility: "immutable" as const }],
  ["gen_random_uuid", { ...own, builtIn: true }],
]);

async function filled(sql: string): Promise<unknown> {
  const found = filledTables(await parseTemplate(sql), functions);
  return found.tables?.map(({ schema, name }) => [schema, name].filter(Boolean).join(".")) ?? null;
}

test.each([
  ["INSERT INTO copy VALUES (:id, slug(:name), gen_random_uuid())", ["copy"]],
  [
    "MERGE INTO app.copy AS c USING (SELECT :id AS id) AS e ON c.id = e.id WHEN NOT MATCHED THEN INSERT VALUES (e.id)",
    ["app.copy"],
  ],
  [
    "WITH a AS (INSERT INTO log VALUES (:id) RETURNING id) INSERT INTO copy SELECT id FROM a",
    ["copy", "log"],
  ],
  ["WITH a AS (INSERT INTO copy VALUES (:id) RETURNING id) SELECT id FROM a", ["copy"]],
  ["UPDATE copy SET name = :name WHERE id = :id", []],
  ["DELETE FROM copy WHERE id = :id", []],
  ["SELECT 1 WHERE :id > 0", []],
  ["SELECT app.put(:id)", null],
  ["INSERT INTO other SELECT app.put(:id)", null],
  ["CALL app.run(:id)", null],
])("%s fills %j", async (sql, tables) => {
  expect(await filled(sql)).toEqual(tables);
});
