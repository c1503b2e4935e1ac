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

describe("places in the team's statement", () => {
  test.each([
    ["SELECT 1 FROM WHERE x = :id", 1, 15, 'at or near "WHERE"'],
    ["SELECT :id,\n 'é' || :name FROM\n  WHERE", 3, 3, 'at or near "WHERE"'],
    ["SELECT :a, :bb,\n 'open", 2, 2, "unterminated quoted string"],
    ["SELECT '😀', :longer_than_its_number x y z", 1, 40, 'at or near "y"'],
    ["SELECT 1 +", 1, 11, "at end of input"],
  ])("%j does not parse at line %i, column %i", async (sql, line, column, message) => {
    const text = sql.split("\n")[line - 1];
    await expect(parseTemplate(sql)).rejects.toMatchObject({
      code: "SQL_DOES_NOT_PARSE",
      detail: expect.stringContaining(message),
      sql: { line, column, text },
    });
  });

  test("a second statement stands where it begins", async () => {
    await expect(parseTemplate("SELECT :id;\n  DELETE FROM t")).rejects.toMatchObject({
      sql: { line: 2, column: 3, text: "  DELETE FROM t" },
    });
  });

  test("a character of what was rendered comes from its character, a replaced one from the placeholder", async () => {
    const sql = "SELECT 'é', :id,\n  missing FROM t WHERE x = :id";
    const { text, placeOf } = (await parseTemplate(sql)).renderMapped((name) => `(_r.${name}_value)::bigint`);
    const at = (part: string, from = 0) => placeOf([...text.slice(0, text.indexOf(part, from))].length + 1);
    expect(at("missing")).toMatchObject({ line: 2, column: 3 });
    expect(at("x =")).toMatchObject({ line: 2, column: 24 });
    expect(at("_value")).toMatchObject({ line: 1, column: 13 });
    expect(at("_value", text.indexOf("x ="))).toMatchObject({ line: 2, column: 28 });
  });
});
