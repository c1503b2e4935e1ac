import { rename, rm } from "node:fs/promises";
import { expect, test } from "vitest";
import { COLLECT_MANIFEST, collectProject, IMPORTS } from "../support/collect-project.ts";

/** The call that creates a public schema, as an expression. */
function create(name: string, sql = "SELECT id FROM things WHERE id = :id"): string {
  return `createPublicSchema(${JSON.stringify(name)}, {
    source: { dataStoreSlug: "db" }, outputSchema: z.object({ id: z.int() }), version: { major: 1, minor: 0 },
    config: { publicSchemaType: "postgres", transformations: on("insertOrUpdate", "things", ${JSON.stringify(sql)}) },
  })`;
}

const REQUIRE = IMPORTS.replaceAll(/import (.*) from "(.*)";/g, 'const $1 = require("$2");').replaceAll(
  / as on/g,
  ": on",
);

interface Written {
  publicSchemas: { name: string; definitionFile?: string }[];
}
const filesOf = (manifest: string) =>
  Object.fromEntries((JSON.parse(manifest) as Written).publicSchemas.map((s) => [s.name, s.definitionFile]));

test("every way to create a schema is found, with the file that defines it", async () => {
  await using at = await collectProject({
    "all/not-exported.ts": `${IMPORTS}${create("not-exported")};`,
    "all/exported.mts": `${IMPORTS}export const a = ${create("exported")};`,
    "all/by-default.ts": `${IMPORTS}export default ${create("by-default")};`,
    "all/in-a-function.ts": `${IMPORTS}function make() { return [1].map(() => ${create("in-a-function")}); }\nmake();`,
    "all/in-a-class.ts": `${IMPORTS}export class A { static readonly schema = ${create("in-a-class")}; }`,
    "all/after-await.mjs": `${IMPORTS}await Promise.resolve();\n${create("after-await")};`,
    "all/common.cjs": `${REQUIRE}module.exports = { a: ${create("common")} };`,
    "all/common-typed.cts": `${REQUIRE}const a: unknown = ${create("common-typed")};\nmodule.exports = a;`,
    "all/plain.js": `${IMPORTS}${create("plain")};`,
    "all/with-enum.ts": `${IMPORTS}enum Kind { A = "with-enum" }\n${create("x").replace('"x"', "Kind.A")};`,
    "all/again.ts": `export * from "./exported.mts"; // createPublicSchema`,
    "factory.ts": `${IMPORTS}export const make = (name: string) => ${create("?").replace('"?"', "name")};`,
    "calls.ts": `import { make } from "./factory.ts";\nmake("made-by-a-factory");\nmake("made-too");`,
  });
  const result = await at.collect(["--write", "all", "calls.ts"]);
  expect(result).toMatchObject({ exitCode: 0, stdout: "" });
  expect(filesOf(await at.manifest())).toEqual({
    "after-await": "all/after-await.mjs",
    "by-default": "all/by-default.ts",
    common: "all/common.cjs",
    "common-typed": "all/common-typed.cts",
    exported: "all/exported.mts",
    "in-a-class": "all/in-a-class.ts",
    "in-a-function": "all/in-a-function.ts",
    "made-by-a-factory": "calls.ts",
    "made-too": "calls.ts",
    "not-exported": "all/not-exported.ts",
    plain: "all/plain.js",
    "with-enum": "all/with-enum.ts",
  });

  const once = await at.manifest();
  for (const args of [
    ["calls.ts", "all"],
    ["all/*", "./calls.ts"],
    ["all/plain.js", "calls.ts", "all/**/*"],
  ]) {
    const again = await at.collect(["--write", ...args]);
    expect(again).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("is up to date") });
    expect(await at.manifest()).toBe(once);
  }
});

test("what was written by hand stays, what a file no longer creates goes, also when the file is gone", async () => {
  const byHand = {
    name: "by-hand",
    source: { dataStoreSlug: "db" },
    outputSchema: { type: "object", properties: { id: { type: "integer" } }, required: ["id"] },
    version: { major: 1, minor: 0 },
    config: {
      publicSchemaType: "postgres",
      transformations: [
        { operation: "insert", table: "things", sql: "SELECT id FROM things WHERE id = :id" },
      ],
    },
  };
  await using at = await collectProject(
    {
      "src/a.ts": `${IMPORTS}${create("a")};`,
      "src/b.ts": `${IMPORTS}${create("b")};`,
      "other/c.ts": `${IMPORTS}${create("c")};`,
    },
    { ...COLLECT_MANIFEST, publicSchemas: [byHand], workspaces: ["./team-*.json"] },
  );
  await at.write("team-x.json", JSON.stringify({ slug: "x", manifestVersion: 0 }));
  await at.collect(["--write", "src", "other"]);
  await rm(at.path("src/b.ts"));
  await rename(at.path("other/c.ts"), at.path("src/c.ts"));
  const result = await at.collect(["--write", "src"]);
  expect(result.stderr).toContain('no longer defined: "b" v1');
  expect(filesOf(await at.manifest())).toEqual({ a: "src/a.ts", "by-hand": undefined, c: "src/c.ts" });
  expect(JSON.parse(await at.manifest())).toMatchObject({
    ...COLLECT_MANIFEST,
    workspaces: ["./team-*.json"],
  });
});

test("files that fail are all named with their lines; a named file without schemas is a warning", async () => {
  await using at = await collectProject({
    "good.ts": `${IMPORTS}${create("good")};`,
    "throws.ts": `type A = { a: string;\n  b: number };\n\nthrow new Error("no luck");`,
    "enum-throws.ts": `enum A { B, C }\n\n\nthrow new Error("no luck either " + A.B);`,
    "syntax.ts": "const = 1;",
    "data.txt": "text",
    "empty.ts": "export const a = 1;",
    "imports.ts": 'import "./deep/throws.mjs";',
    "deep/throws.mjs": '\nthrow new Error("deep trouble");',
    "later.ts": 'Promise.reject(new Error("nobody waits")); export {};',
  });
  const before = await at.manifest();
  const names = "good throws enum-throws syntax empty imports later".split(" ").map((name) => `${name}.ts`);
  const result = await at.collect(["--write", "--format", "json", "data.txt", "nowhere", ...names]);
  expect(result.exitCode).toBe(1);
  const found = (JSON.parse(result.stdout) as { diagnostics: { location: string; message: string }[] })
    .diagnostics;
  expect(found.map((d) => `${d.location} ${d.message.split(": ").slice(1).join(": ")}`)).toEqual([
    'nowhere: argument nothing is at "nowhere"',
    "data.txt: schema file data.txt is not a TypeScript or JavaScript file",
    "enum-throws.ts:4: schema file no luck either 0",
    "deep/throws.mjs:2: schema file deep trouble",
    "later.ts:1: schema file nobody waits",
    expect.stringMatching(/^syntax\.ts:1: schema file Unexpected token/),
    "throws.ts:4: schema file no luck",
    "empty.ts: schema file none here",
  ]);
  expect(await at.manifest()).toBe(before);

  const rest = await at.collect(["--write", "good.ts", "empty.ts"]);
  expect(rest).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("warning NO_SCHEMAS_FOUND") });
});

test("a file that ends the process ends in exit code 1, and with its name", async () => {
  await using at = await collectProject({
    "a.ts": `${IMPORTS}${create("a")};`,
    "exit.ts": "process.exit(0);",
  });
  const before = await at.manifest();
  expect(await at.collect(["--write", "a.ts", "exit.ts"])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/SCHEMA_FILE_FAILED: .*exit\.ts ended the process\n {2}at: exit\.ts:1/),
  });
  expect(await at.manifest()).toBe(before);
});

test("two files that create one schema are an error that names the second", async () => {
  await using at = await collectProject({
    "a.ts": `${IMPORTS}${create("same")};`,
    "b.ts": `${IMPORTS}\n\n${create("same")};`,
  });
  const orders = [
    ["a.ts", "b.ts"],
    ["b.ts", "a.ts"],
  ];
  const [one, other] = await Promise.all(
    orders.map((files) => at.collect(["--check", "--no-database", ...files])),
  );
  expect(one).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(
      /^error DUPLICATE_PUBLIC_SCHEMA: .*\n {2}at: b\.ts:5: public schema "same" v1/,
    ),
  });
  expect(other).toEqual(one);
});

test("--json holds schemas, findings and what was done; stdout takes one document", async () => {
  await using at = await collectProject({ "a.ts": `${IMPORTS}${create("a")};` });
  const { stdout, exitCode } = await at.collect(["--json", "--check", "--no-database", "--write", "a.ts"]);
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    manifest: "rejot-manifest.json",
    publicSchemas: [{ name: "a", definitionFile: "a.ts" }],
    consumerSchemas: [],
    removed: [],
    written: true,
    diagnostics: [{ code: "NOT_LOOKED_AT", severity: "info", file: "rejot-manifest.json", line: 1 }],
    summary: { errors: 0, warnings: 0, infos: 1 },
  });
  expect(await at.collect(["--json", "--format", "sarif", "a.ts"])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringMatching(/^USAGE: .*--json and --format sarif/),
  });
});
