import { describe, expect, test } from "vitest";
import { outputColumns, pinnedColumns, selectShape } from "./select-shape.ts";
import { parseTemplate } from "./template.ts";

const rendered = async (sql: string) => (await parseTemplate(sql)).render((name) => `<${name}>`);

describe("placeholders", () => {
  test.each([
    ["SELECT :id", "SELECT <id>"],
    ["SELECT :id::bigint AS id", "SELECT <id>::bigint AS id"],
    ["SELECT ':id', E'\\':id', $$:id$$, \":id\" FROM t", "SELECT ':id', E'\\':id', $$:id$$, \":id\" FROM t"],
    ["SELECT /* :a */ :b -- :c", "SELECT /* :a */ <b>"],
    ["SELECT a[1:2], a[x:y], a[(:x)]", "SELECT a[1:2], a[x:y], a[(<x>)]"],
    ["SELECT ARRAY[:a, :b], ARRAY[[:a],[:b]]", "SELECT ARRAY[<a>, <b>], ARRAY[[<a>],[<b>]]"],
    ["SELECT $1, $2::text, $1", "SELECT <1>, <2>::text, <1>"],
    ["SELECT 'é', :naïve; -- end", "SELECT 'é', <naïve>"],
    ["SELECT :select, :apiKey", "SELECT <select>, <apiKey>"],
    ["SELECT 1;;", "SELECT 1"],
  ])("%s", async (sql, expected) => {
    expect(await rendered(sql)).toBe(expected);
  });

  test("a slice with open lower bound is not a placeholder", async () => {
    expect((await parseTemplate("SELECT a[:2], b[1:n] FROM t")).names).toEqual([]);
  });

  test.each([
    ["SELECT :id, $1", "SQL_PLACEHOLDERS_MIXED"],
    ["SELECT 1; SELECT 2", "SQL_NOT_ONE_STATEMENT"],
    ["", "SQL_NOT_ONE_STATEMENT"],
    ["SELEC 1", "SQL_DOES_NOT_PARSE"],
    ["SELECT 'open", "SQL_DOES_NOT_PARSE"],
  ])("%s is refused with %s", async (sql, code) => {
    await expect(parseTemplate(sql)).rejects.toMatchObject({ code });
  });
});

describe("shape", () => {
  test("output columns follow Postgres's naming rules", async () => {
    const template = await parseTemplate(
      `SELECT a.id, lower(x), y::text, 1, count(*) AS n, CASE WHEN a THEN b ELSE c END, coalesce(a, b), now(),
       current_timestamp, (SELECT q FROM t), EXISTS (SELECT 1), ARRAY[1], greatest(1, 2), 1::bigint, a.*, "Camel" FROM a`,
    );
    expect(outputColumns(template)).toEqual([
      "id",
      "lower",
      "y",
      "?column?",
      "n",
      "c",
      "coalesce",
      "now",
      "current_timestamp",
      "q",
      "exists",
      "array",
      "greatest",
      "int8",
      undefined,
      "Camel",
    ]);
  });

  test("pins are found through aliases, casts and AND, not through OR or for other tables", async () => {
    const template = await parseTemplate(
      "SELECT 1 FROM accounts a JOIN b ON b.id = a.id WHERE a.id = :id AND :tenant::text = a.tenant AND (a.x = :x OR true) AND b.y = :y",
    );
    expect(pinnedColumns(template, { alias: "a", name: "accounts" })).toEqual([
      { column: "id", placeholder: "id" },
      { column: "tenant", placeholder: "tenant" },
    ]);
  });

  test("tables, WITH names, stars, and what is not simple", async () => {
    const shape = selectShape(
      await parseTemplate(
        "WITH w AS (SELECT 1 FROM t2) SELECT a.id FROM public.t1 a, w WHERE EXISTS (SELECT 1 FROM t3)",
      ),
    );
    expect(shape.tables.map((t) => [t.name, t.topLevel])).toEqual(
      expect.arrayContaining([
        ["t1", true],
        ["w", true],
        ["t2", false],
        ["t3", false],
      ]),
    );
    expect(shape.withNames).toEqual(["w"]);
    expect(shape.columnNames?.has("id")).toBe(true);
    expect(selectShape(await parseTemplate("SELECT a FROM a")).columnNames).toBeUndefined();
    expect(selectShape(await parseTemplate("SELECT * FROM a")).columnNames).toBeUndefined();
    expect(selectShape(await parseTemplate("SELECT 1 FROM a FOR UPDATE")).simple).toBe(false);
    expect(selectShape(await parseTemplate("SELECT 1 UNION SELECT 2")).simple).toBe(false);
  });
});
