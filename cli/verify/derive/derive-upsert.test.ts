import { describe, expect, test } from "vitest";
import { parseTemplate } from "../../../shared/postgres/sql/template.ts";
import { unlikeRow } from "./derive-delete.ts";
import { deriveUpsert, writtenTable } from "./derive-upsert.ts";
import type { DerivedRows, StatementFacts, TableFacts } from "./derived-rows.ts";
import { renderExpression } from "./inserted-expressions.ts";
import { calledNames, type FunctionFacts } from "./pure-expression.ts";

const T: TableFacts = {
  oid: 1,
  schema: "public",
  name: "t",
  columns: ["id", "name", "n", "at", "tags", "kind"],
  primaryKey: ["id"],
  constraints: new Map([
    ["t_pkey", ["id"]],
    ["t_kind_id", ["kind", "id"]],
  ]),
};

const builtIn = (volatility: FunctionFacts["volatility"], special = false): FunctionFacts => ({
  volatility,
  builtIn: true,
  special,
});

const FACTS: StatementFacts = {
  table: T,
  functions: new Map<string, FunctionFacts>([
    ["upper", builtIn("immutable")],
    ["pg_catalog.upper", builtIn("immutable")],
    ["concat", builtIn("stable")],
    ["now", builtIn("stable")],
    ["age", builtIn("stable")],
    ["current_setting", builtIn("stable")],
    ["random", builtIn("volatile")],
    ["nextval", builtIn("volatile")],
    ["unnest", builtIn("immutable", true)],
    ["count", builtIn("immutable", true)],
    ["app.slug", { volatility: "immutable", builtIn: false, special: false }],
    ["app.rate", { volatility: "stable", builtIn: false, special: false }],
    ["+", builtIn("immutable")],
    ["||", builtIn("stable")],
    ["@@@", { volatility: "stable", builtIn: false, special: false }],
  ]),
  fields: ["id", "name", "n", "at"],
  keyFields: ["id"],
};

async function derive(sql: string, facts: Partial<StatementFacts> = {}) {
  return deriveUpsert(await parseTemplate(sql), { ...FACTS, ...facts });
}

/** What is compared, by which key, and what is not and why, in one line. */
async function told(sql: string): Promise<string> {
  const derived = await derive(sql);
  if (derived.kind === "underivable") return derived.reason;
  const show = (columns: DerivedRows["key"]) =>
    columns
      .map(({ column, expression }) => `${column}=${renderExpression(expression, ({ name }) => `:${name}`)}`)
      .join(" ");
  return [
    `key ${show(derived.key)}`,
    ...(derived.compared.length > 0 ? [`compared ${show(derived.compared)}`] : []),
    ...derived.uncompared.map(({ column, reason }) => `${column}: ${reason}`),
  ].join("; ");
}

const I = "INSERT INTO t (id, name) VALUES (:id, :name)";

test.each([
  // What is compared.
  [`${I} ON CONFLICT (id) DO UPDATE SET name = :name`, "key id=:id; compared name=:name"],
  [`${I} ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name`, "key id=:id; compared name=:name"],
  [`${I} ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *`, "key id=:id; compared name=:name"],
  [
    `${I} ON CONFLICT (id) DO UPDATE SET id = :id, name = :name; -- end`,
    "key id=:id; compared id=:id name=:name",
  ],
  [
    `${I} ON CONFLICT (id) DO UPDATE SET (id, name) = (EXCLUDED.id, :name)`,
    "key id=:id; compared id=:id name=:name",
  ],
  [
    `${I} ON CONFLICT (id) DO UPDATE SET (id, name) = ROW(EXCLUDED.id, :name)`,
    "key id=:id; compared id=:id name=:name",
  ],
  [`${I} ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET name = :name`, "key id=:id; compared name=:name"],
  ["INSERT INTO t VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = $2", "key id=:1; compared name=:2"],
  [
    "INSERT INTO public.t AS x (id, name) VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = :name",
    "key id=:id; compared name=:name",
  ],
  [
    "INSERT INTO t (id, name) SELECT :id, :name AS label ON CONFLICT (id) DO UPDATE SET name = :name",
    "key id=:id; compared name=:name",
  ],
  [
    "INSERT INTO t (id, name) SELECT :id i, upper(:name) ON CONFLICT (id) DO UPDATE SET name = upper(:name)",
    "key id=:id; compared name=upper(:name)",
  ],
  [
    "INSERT INTO t (id, name) VALUES (:id::bigint, /* a, b */ upper(:name || ', ('))\nON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
    "key id=:id::bigint; compared name=upper(:name || ', (')",
  ],
  [
    "INSERT INTO t (id, n) VALUES (:id, CASE WHEN :n > 1 THEN coalesce(:n, 2) + 1 ELSE 0 END) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n",
    "key id=:id; compared n=CASE WHEN :n > 1 THEN coalesce(:n, 2) + 1 ELSE 0 END",
  ],
  [
    "INSERT INTO t (id, tags) VALUES (:id, (ARRAY[:name, 'x,y'])[1:2]) ON CONFLICT (id) DO UPDATE SET tags = EXCLUDED.tags",
    "key id=:id; compared tags=(ARRAY[:name, 'x,y'])[1:2]",
  ],
  [
    "INSERT INTO t (id, name) VALUES (:id, concat(:name, 'é€', :n)) ON CONFLICT (id) DO UPDATE SET name = concat(:name, 'é€', :n)",
    "key id=:id; compared name=concat(:name, 'é€', :n)",
  ],
  [
    "INSERT INTO t (id, name) VALUES (:id, app.slug(:name)) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
    "key id=:id; compared name=app.slug(:name)",
  ],
  [
    "INSERT INTO t (id, name) VALUES (:id, pg_catalog.upper(:name)) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name",
    "key id=:id; compared name=pg_catalog.upper(:name)",
  ],
  [
    "INSERT INTO t (kind, id, name) VALUES ('p', :id, :name) ON CONFLICT (kind, id) DO UPDATE SET name = :name",
    "key kind='p' id=:id; compared name=:name",
  ],
  [
    "INSERT INTO t (id, name, n) VALUES (:id, NULL, 7) ON CONFLICT (id) DO UPDATE SET name = NULL, n = 7",
    "key id=:id; compared name=NULL n=7",
  ],
  // Columns that are not compared.
  [
    "INSERT INTO t (id, n) VALUES (:id, :n) ON CONFLICT (id) DO UPDATE SET n = t.n + :n",
    "key id=:id; n: an update makes it of the value that was there",
  ],
  [
    `${I} ON CONFLICT (id) DO UPDATE SET name = COALESCE(EXCLUDED.name, t.name)`,
    "key id=:id; name: an update makes it of the value that was there",
  ],
  [
    `${I} ON CONFLICT (id) DO UPDATE SET name = upper(EXCLUDED.name)`,
    "key id=:id; name: an update sets it to something else than an insert",
  ],
  [
    `${I} ON CONFLICT (id) DO UPDATE SET name = upper(:name)`,
    "key id=:id; name: an update sets it to something else than an insert",
  ],
  [
    `${I} ON CONFLICT (id) DO UPDATE SET name = DEFAULT`,
    "key id=:id; name: an update sets it to something else than an insert",
  ],
  [
    `${I} ON CONFLICT (id) DO UPDATE SET (id, name) = (SELECT 1, 'a')`,
    "an update may change its key column id: an update sets it in a way that is not looked into",
  ],
  [
    `${I} ON CONFLICT (id) DO UPDATE SET id = :n`,
    "an update may change its key column id: an update sets it to something else than an insert",
  ],
  [
    `${I} ON CONFLICT (id) DO UPDATE SET n = :n`,
    "key id=:id; name: an update leaves it as it is; n: an insert does not give it",
  ],
  [
    "INSERT INTO t (id, tags) VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET tags[1] = :name",
    "key id=:id; tags: an update sets it in a way that is not looked into",
  ],
  [
    "INSERT INTO t (id, at) VALUES (:id, now()) ON CONFLICT (id) DO UPDATE SET at = now()",
    "key id=:id; at: it calls now, which tells of the moment",
  ],
  [
    "INSERT INTO t (id, at) VALUES (:id, CURRENT_TIMESTAMP) ON CONFLICT (id) DO UPDATE SET at = EXCLUDED.at",
    "key id=:id; at: it calls CURRENT_TIMESTAMP",
  ],
  [
    "INSERT INTO t (id, at) VALUES (:id, 'now') ON CONFLICT (id) DO UPDATE SET at = EXCLUDED.at",
    "key id=:id; at: it names a moment",
  ],
  [
    "INSERT INTO t (id, at) VALUES (:id, age(:at)) ON CONFLICT (id) DO UPDATE SET at = EXCLUDED.at",
    "key id=:id; at: it calls age, which tells of the moment",
  ],
  [
    "INSERT INTO t (id, n) VALUES (:id, random() + :n) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n",
    "key id=:id; n: it calls random, which is volatile",
  ],
  [
    "INSERT INTO t (id, n) VALUES (:id, current_setting('a.b')) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n",
    "key id=:id; n: it calls current_setting, which tells of the moment",
  ],
  [
    "INSERT INTO t (id, n) VALUES (:id, app.rate(:n)) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n",
    "key id=:id; n: it calls app.rate, which is not immutable",
  ],
  [
    "INSERT INTO t (id, n) VALUES (:id, app.other(:n)) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n",
    "key id=:id; n: it calls app.other, which is not known",
  ],
  [
    "INSERT INTO t (id, n) VALUES (:id, :n @@@ 1) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n",
    "key id=:id; n: it uses an operator that is not immutable",
  ],
  [
    "INSERT INTO t (id, n) VALUES (:id, (SELECT max(n) FROM t)) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n",
    "key id=:id; n: it comes from a subquery",
  ],
  [
    "INSERT INTO t (id, n) VALUES (:id, DEFAULT) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n",
    "key id=:id; n: it gets the column's default",
  ],
  [
    "INSERT INTO t (id, tags) SELECT :id, unnest(:name::text[]) ON CONFLICT (id) DO UPDATE SET tags = EXCLUDED.tags",
    "key id=:id; tags: it calls unnest, which is an aggregate or gives rows",
  ],
  // Only whether the row is there.
  [I, "key id=:id; name: the statement only inserts"],
  [`${I} ON CONFLICT DO NOTHING`, "key id=:id; name: what is there is left as it is (DO NOTHING)"],
  [`${I} ON CONFLICT (id) DO NOTHING`, "key id=:id; name: what is there is left as it is (DO NOTHING)"],
  [
    `${I} ON CONFLICT (id) DO UPDATE SET name = :name WHERE t.name < :name`,
    "key id=:id; name: an update depends on a condition (DO UPDATE … WHERE)",
  ],
  [
    "INSERT INTO t (id, name) VALUES (:n, :name) ON CONFLICT (id) DO UPDATE SET name = :name",
    "key id=:n; name: several events may share a row: its key does not show all of the event's key",
  ],
  [
    "INSERT INTO t (id, name) VALUES (:id::varchar(2), :name) ON CONFLICT (id) DO UPDATE SET name = :name",
    "key id=:id::varchar(2); name: several events may share a row: its key does not show all of the event's key",
  ],
  // Nothing.
  ["UPDATE t SET name = :name WHERE id = :id", "it is no INSERT but UPDATE"],
  [
    "MERGE INTO t USING (VALUES (:id)) v(id) ON t.id = v.id WHEN MATCHED THEN DELETE",
    "it is no INSERT but MERGE",
  ],
  ["SELECT store(:id, :name)", "it is no INSERT but SELECT"],
  ["WITH x AS (DELETE FROM t) INSERT INTO t (id) VALUES (:id)", "it has a WITH clause"],
  ["INSERT INTO t (id) WITH x AS (SELECT 1) SELECT :id", "what it inserts is a SELECT with a WITH clause"],
  ["INSERT INTO t (id, name) SELECT :id, name FROM names", "what it inserts is a SELECT with a FROM clause"],
  [
    "INSERT INTO t (id, name) SELECT :id, :name WHERE :n > 1",
    "what it inserts is a SELECT with a WHERE clause",
  ],
  ["INSERT INTO t (id) SELECT :id UNION SELECT :n", "what it inserts is a SELECT with UNION or the like"],
  ["INSERT INTO t (id) VALUES (:id), (:n) ON CONFLICT DO NOTHING", "it inserts several rows for an event"],
  ["INSERT INTO t DEFAULT VALUES", "it inserts DEFAULT VALUES"],
  [
    "INSERT INTO t (id) OVERRIDING USER VALUE VALUES (:id)",
    "it says OVERRIDING USER VALUE, which takes values from a sequence",
  ],
  ["INSERT INTO t (id, tags[1]) VALUES (:id, :name)", "it inserts only a part of the column tags"],
  ["INSERT INTO t (name) VALUES (:name)", "its key column id is not inserted"],
  [
    "INSERT INTO t (id, name) VALUES (nextval('s'), :name)",
    "its key column id does not follow from the event: it calls nextval, which is volatile",
  ],
  [
    "INSERT INTO t (id) VALUES (DEFAULT)",
    "its key column id does not follow from the event: it gets the column's default",
  ],
  [`${I} ON CONFLICT (lower(name)) DO NOTHING`, "its conflict target is an expression, not columns"],
  [`${I} ON CONFLICT (id) WHERE n > 1 DO NOTHING`, "its conflict target is a part of the rows only (WHERE)"],
  [
    `${I} ON CONFLICT ON CONSTRAINT other DO NOTHING`,
    "its conflict target other is no unique constraint of t",
  ],
])("%s", async (sql, expected) => {
  expect(await told(sql)).toBe(expected);
});

test("a name that is no table, and a table without a primary key", async () => {
  const upsert = `${I} ON CONFLICT (id) DO NOTHING`;
  expect(await derive(upsert, { table: undefined })).toMatchObject({
    reason: "it writes to t, which is no table",
  });
  expect(await derive(I, { table: { ...T, primaryKey: [] } })).toMatchObject({
    reason: "it names no conflict target, and t has no primary key",
  });
  expect(writtenTable(await parseTemplate("INSERT INTO a.b VALUES (1)"))).toEqual({ schema: "a", name: "b" });
  expect(writtenTable(await parseTemplate("SELECT 1"))).toBeUndefined();
});

test("the functions and operators that the catalogue is asked about", async () => {
  const { statement } = await parseTemplate(
    "SELECT app.slug(upper(:name)) OPERATOR(app.+) 1 || 'x' WHERE :n IN (1)",
  );
  expect(calledNames(statement)).toEqual(["||", "app.+", "app.slug", "upper", "="]);
});

describe("whether a tombstone deletes the row", () => {
  const UPSERT =
    "INSERT INTO t (kind, id, name) VALUES ('p', :id, :name) ON CONFLICT (kind, id) DO UPDATE SET name = :name";
  const KEY = "deleteSql does not delete by the key that sql writes by";
  test.each([
    ["DELETE FROM t WHERE kind = 'p' AND id = :id", undefined],
    ["DELETE FROM t AS x WHERE :id::bigint = x.id AND (x.kind IS NOT DISTINCT FROM 'p')", undefined],
    ["DELETE FROM t WHERE kind = 'p' AND id = $1", undefined],
    ["DELETE FROM t WHERE id = :id", KEY],
    ["DELETE FROM t WHERE kind = 'q' AND id = :id", KEY],
    ["DELETE FROM t WHERE kind = 'p' AND id <> :id", KEY],
    ["DELETE FROM t WHERE kind = 'p' AND id = :id AND n = 1", KEY],
    ["DELETE FROM t WHERE kind = 'p' OR id = :id", KEY],
    ["DELETE FROM t", KEY],
    ["DELETE FROM t USING o WHERE kind = 'p' AND t.id = :id", "deleteSql reads other tables"],
    ["UPDATE t SET gone = true WHERE id = :id", "deleteSql is no DELETE but UPDATE"],
  ])("%s", async (sql, expected) => {
    const rows = (await derive(UPSERT)) as DerivedRows;
    expect(unlikeRow(await parseTemplate(sql), rows, FACTS)).toBe(expected);
  });

  test("another table", async () => {
    const rows = (await derive(UPSERT)) as DerivedRows;
    const template = await parseTemplate("DELETE FROM u WHERE kind = 'p' AND id = :id");
    expect(unlikeRow(template, rows, { ...FACTS, table: { ...T, oid: 2 } })).toMatch(/another table/);
  });
});
