import { describe, expect, test } from "vitest";
import { DefinitionPlaces } from "./definition-places.ts";
import { findJsonValue } from "./json-syntax.ts";
import { parseManifest } from "./load.ts";
import type { PublicSchema } from "./schema.ts";

const SQL = "SELECT id\n  FROM things WHERE id = :id";
const schema = (more: Partial<PublicSchema> = {}): PublicSchema => ({
  name: "thing",
  source: { dataStoreSlug: "db" },
  outputSchema: {},
  version: { major: 1, minor: 0 },
  config: {
    publicSchemaType: "postgres",
    transformations: [
      { operation: "insert", table: "things", sql: "SELECT 1" },
      { operation: "update", table: "things", sql: SQL },
    ],
  },
  ...more,
});

function places(schemas: PublicSchema[], files: Record<string, string>) {
  const text = JSON.stringify({ slug: "team", manifestVersion: 0, publicSchemas: schemas }, null, 2);
  const manifest = parseManifest(text, "team");
  const all: Record<string, string> = { "/repo/team.json": text, ...files };
  const find = new DefinitionPlaces("/repo/team.json", manifest, new Map(), (file) => all[file]);
  return { find, own: manifest.publicSchemas?.[0] as PublicSchema, lines: text.split("\n") };
}

describe("a schema that only the manifest has", () => {
  const { find, own, lines } = places([schema()], {});

  test("stands in its entry, its statements in theirs", () => {
    expect(find.ofSchema(own)).toEqual({ file: "/repo/team.json", line: 5, column: 5 });
    const { line = 0 } = find.ofStatement(own, SQL, { line: 2, column: 3, text: "" });
    expect(lines[line - 1]).toContain("SELECT id");
  });

  test("an entry that is not there stands where it is missing", () => {
    expect(find.of(["eventStores", 3])).toEqual({ file: "/repo/team.json", line: 1, column: 1 });
    expect(find.of(["publicSchemas", 0, "name"])).toEqual({ file: "/repo/team.json", line: 6, column: 15 });
  });
});

describe("a schema whose file is known", () => {
  const code = `import x;\n// thing\nconst a = createPublicSchema(\n  "thing", {\n  sql: \`${SQL}\`,\n});\n`;
  const at = (file: string) => {
    const { find, own } = places([schema({ definitionFile: "src/a.ts" })], { "/repo/src/a.ts": file });
    return { of: find.ofSchema(own), sql: find.ofStatement(own, SQL, { line: 2, column: 8, text: "" }) };
  };

  test("stands at the call that has its name, its statement at the character asked for", () => {
    expect(at(code)).toEqual({
      of: { file: "/repo/src/a.ts", line: 3, column: 11 },
      sql: { file: "/repo/src/a.ts", line: 6, column: 8 },
    });
  });

  test("also with CRLF, and where the statement is escaped", () => {
    expect(at(code.replaceAll("\n", "\r\n")).sql).toMatchObject({ line: 6, column: 8 });
    const escaped = `createPublicSchema("thing", { sql: ${JSON.stringify(SQL)} })`;
    expect(at(escaped).sql).toEqual({ file: "/repo/src/a.ts", line: 1, column: 55 });
  });

  test("at the call where the statement is put together, in the manifest where there is no such call", () => {
    expect(at(`createPublicSchema("thing", { sql: "SELECT id" + rest })`).sql).toMatchObject({
      file: "/repo/src/a.ts",
      line: 1,
      column: 1,
    });
    expect(at("make('thing')").of).toMatchObject({ file: "/repo/team.json", line: 5 });
    expect(at(`${code}${code}`).of).toMatchObject({ file: "/repo/team.json" });
  });
});

test("a schema that was just collected stands where it was created, the statement nearest to the call counts", () => {
  const collected = schema();
  const text = `const one = "SELECT 1";\n\ncreate();\nconst again = "SELECT 1";`;
  const calls = new Map([[collected, [{ file: "/a.ts", line: 3, column: 1 }]]]);
  const find = new DefinitionPlaces("/m.json", { slug: "m", manifestVersion: 0 }, calls, () => text);
  expect(find.ofSchema(collected)).toEqual({ file: "/a.ts", line: 3, column: 1 });
  expect(find.ofStatement(collected, "SELECT 1")).toEqual({ file: "/a.ts", line: 4, column: 16 });
});

describe("findJsonValue", () => {
  test.each<[string, (string | number)[], string]>([
    ['{"a": {"b": [1, "x"]}}', ["a", "b", 1], '"x"'],
    ['{"a": 1, "a": 2}', ["a"], "2"],
    ['{"\\u0061": [ {} , [] ] }', ["a", 1], "[]"],
    ["[ 1 ]", [0], "1 ]"],
    ['{"a": 1}', ["b"], "{"],
    ['{"a": {}, "b": 1}', ["a", "b"], "{}"],
  ])("%s %j", (text, path, from) => {
    const { line, column } = findJsonValue(text, path) ?? { line: 0, column: 0 };
    expect([line, text.slice(column - 1)]).toEqual([1, expect.stringContaining(from)]);
    expect(text.slice(column - 1).startsWith(from)).toBe(true);
  });

  test("a text that is not JSON has no places", () => {
    expect(findJsonValue('{"a": [1,,]}', ["a", 5])).toBeUndefined();
  });
});
