import { expect, test } from "vitest";
import { parseTemplate } from "../../shared/postgres/sql/template.ts";
import { writingPart } from "./read-only.ts";

/** What it does, and the text from where it does it. */
async function writing(sql: string): Promise<string[] | undefined> {
  const template = await parseTemplate(sql);
  const found = writingPart(template);
  if (found === undefined) return undefined;
  const place = found.location === undefined ? undefined : template.placeOf(found.location);
  return [found.does, place === undefined ? "" : place.text.slice(place.column - 1)];
}

test.each([
  ["INSERT INTO t VALUES (1)", "it inserts", "INSERT"],
  ["WITH x AS (INSERT INTO t VALUES (:id) RETURNING id) SELECT * FROM x", "it inserts", "t VALUES"],
  ["WITH x AS (UPDATE t SET a = 1 RETURNING id) SELECT * FROM x", "it updates", "t SET"],
  ["WITH x AS (DELETE FROM t RETURNING id) SELECT * FROM x", "it deletes", "t RETURNING"],
  [
    "WITH x AS (MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE RETURNING t.id) SELECT * FROM x",
    "it merges",
    "",
  ],
  ["SELECT id INTO t2 FROM t", "it has SELECT INTO", "t2"],
  ["SELECT id FROM t WHERE id = :id FOR UPDATE", "it locks rows", ""],
  ["SELECT id FROM (SELECT id FROM t FOR SHARE) q", "it locks rows", ""],
  ["SELECT nextval('s') AS id", "it calls nextval", "nextval"],
  ["SELECT id, pg_catalog.setval('s', 1) FROM t", "it calls setval", "pg_catalog.setval"],
  ["SELECT pg_notify('c', 'x')", "it calls pg_notify", "pg_notify"],
  ["SELECT id FROM t WHERE pg_try_advisory_xact_lock(id)", "it calls pg_try_advisory_xact_lock", "pg_try"],
  ["SELECT set_config('a.b', 'c', true)", "it calls set_config", "set_config"],
  ["SELECT ext.dblink_exec('DELETE FROM t')", "it calls dblink_exec", "ext.dblink_exec"],
  ["TRUNCATE t", "it is no SELECT but Truncate", "TRUNCATE"],
  ["COPY t TO STDOUT", "it is no SELECT but Copy", "COPY"],
  ["EXPLAIN ANALYZE DELETE FROM t", "it is no SELECT but Explain", "EXPLAIN"],
])("%s", async (sql, does, from) => {
  const [found, text] = (await writing(sql)) ?? [];
  expect(found).toContain(does);
  expect(text).toMatch(new RegExp(`^${from.replaceAll(/[().]/g, "\\$&")}`));
});

test.each([
  "SELECT id FROM t WHERE id = :id",
  "WITH x AS (SELECT id FROM t) SELECT * FROM x UNION ALL SELECT 2",
  "SELECT 'INSERT INTO t; nextval(1)', \"delete\" FROM t -- FOR UPDATE",
  "SELECT own.nextval('s'), lastval(), now() FROM t",
  "TABLE t",
  "VALUES (1)",
])("%s only reads", async (sql) => {
  expect(await writing(sql)).toBeUndefined();
});
