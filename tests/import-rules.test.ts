import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { findCycles, parseSource, readSources, type SourceFile } from "./support/source-graph.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PRODUCT = ["shared", "source-connector", "sink-connector", "cli", "compose"];
const AROUND = ["examples", "bench", "tests"];

/** Which of our top-level folders each may import. Those around the product may import everything they need. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  shared: ["shared"],
  "source-connector": ["shared", "source-connector"],
  "sink-connector": ["shared", "sink-connector"],
  cli: PRODUCT,
  compose: PRODUCT,
  examples: [...PRODUCT, "examples"],
  bench: [...PRODUCT, ...AROUND],
  tests: [...PRODUCT, ...AROUND],
};

const DRIVERS = ["kafkajs", "pg", "pg-logical-replication"];

const files = await readSources(ROOT, [...PRODUCT, ...AROUND]);
const code = files.filter((file) => !file.path.endsWith(".test.ts"));
const product = code.filter((file) => PRODUCT.includes(area(file.path)));

describe("import rules", () => {
  test("the files are found", () => {
    for (const folder of PRODUCT) expect(product.some((file) => area(file.path) === folder)).toBe(true);
  });

  test("folders import only those they may", () => {
    expect(
      violations(code, (from, to) =>
        MAY_IMPORT[area(from)]?.includes(area(to)) ? undefined : `${area(from)} may not import ${area(to)}`,
      ),
    ).toEqual([]);
  });

  test("a stage imports ports.ts, its own folder and shared", () => {
    expect(
      violations(product, (from, to) => {
        const own = stage(from);
        if (own === undefined || area(to) === "shared" || to.startsWith(`${own}/`)) return undefined;
        return to === `${area(from)}/ports.ts` ? undefined : "a stage imports another part of its connector";
      }),
    ).toEqual([]);
  });

  test("pipeline.ts imports ports and shared only", () => {
    const pipelines = product.filter((file) => /^(source|sink)-connector\/pipeline\.ts$/.test(file.path));
    expect(
      violations(pipelines, (from, to) =>
        to === `${area(from)}/ports.ts` || area(to) === "shared" ? undefined : "not a port",
      ),
    ).toEqual([]);
  });

  test("drivers appear in named adapter files only", () => {
    const found = product
      .filter((file) => !isAdapter(file.path))
      .flatMap((file) =>
        file.imports
          .filter((item) => item.packageName !== undefined && DRIVERS.includes(item.packageName))
          .map((item) => `${file.path} imports ${item.specifier}`),
      );
    expect(found).toEqual([]);
  });

  test("the process's environment, end and signals are the business of main.ts and shared/lifecycle", () => {
    const found = product
      .filter((file) => !/(^|\/)main\.ts$/.test(file.path) && !file.path.startsWith("shared/lifecycle/"))
      .flatMap((file) => file.processUses.map((use) => `${file.path}:${use}`));
    expect(found).toEqual([]);
  });

  test("there are no cycles", () => {
    expect(findCycles(code).map((cycle) => cycle.join(" -> "))).toEqual([]);
  });

  test("there are no barrels", () => {
    expect(files.filter((file) => /(^|\/)index\.ts$/.test(file.path) && file.reexports).map(path)).toEqual(
      [],
    );
  });

  test("no folder is called utils, helpers, common or types", () => {
    expect(
      files.filter((file) => /(^|\/)(utils?|helpers?|common|types)\//.test(file.path)).map(path),
    ).toEqual([]);
  });
});

describe("what the rules are checked with", () => {
  test("finds imports of every form, and none in strings, comments and templates", () => {
    const source = parseSource(
      "shared/a/b.ts",
      `
      // import x from "./comment.ts";
      const text = 'import x from "./string.ts"'; const template = \`import("./template.ts") \${text}\`;
      import type { A } from "./type.ts";
      import { type B, c as d } from "../value.ts";
      export { e } from "./again.ts";
      export * from "pg/lib/client";
      type T = import("@scope/name/sub").T;
      const late = await import("kafkajs");
      import "rejot-kafka";
      import fs from "node:fs";
      `,
    );
    expect(source.imports.map((item) => item.file ?? item.packageName ?? item.specifier)).toEqual([
      "shared/a/type.ts",
      "shared/value.ts",
      "shared/a/again.ts",
      "pg",
      "@scope/name",
      "kafkajs",
      "shared/contracts/api.ts",
      "node:fs",
    ]);
    expect(source.reexports).toBe(true);
  });

  test("finds the uses of the process", () => {
    const uses = parseSource(
      "a.ts",
      [
        "process.env.HOME;",
        "globalThis.process['exit'](1);",
        "process.once('SIGINT', stop);",
        "for (const signal of signals) process.on(signal, stop);",
        "process.on('uncaughtException', stop); process.exitCode = 1; settings.env; child.exit();",
        "import { env } from 'node:process';",
      ].join("\n"),
    ).processUses;
    expect(uses).toEqual([
      "1: process.env",
      "2: process.exit",
      "3: handler of signals",
      "4: handler of signals",
      '6: import from "node:process"',
    ]);
  });

  test("finds cycles of any length, type imports included", () => {
    const cycle = ["a", "b", "c"].map((name, i, names) =>
      parseSource(`${name}.ts`, `import type { X } from "./${names[(i + 1) % 3]}.ts";`),
    );
    expect(findCycles(cycle)).toEqual([["a.ts", "b.ts", "c.ts", "a.ts"]]);
  });
});

function area(path: string): string {
  return path.split("/")[0] ?? "";
}

/** The folder of a stage, `source-connector/encoder`, if the file is in one. */
function stage(path: string): string | undefined {
  return /^(?:source|sink)-connector\/[^/]+(?=\/)/.exec(path)?.[0];
}

function isAdapter(path: string): boolean {
  return /(^|\/)(kafka|postgres)-[^/]+\.ts$/.test(path) || /^shared\/(kafka|postgres)\//.test(path);
}

function path(file: SourceFile): string {
  return file.path;
}

function violations(
  sources: readonly SourceFile[],
  rule: (from: string, to: string) => string | undefined,
): string[] {
  return sources.flatMap((source) =>
    source.imports.flatMap(({ file }) => {
      const reason = file === undefined ? undefined : rule(source.path, file);
      return reason === undefined ? [] : [`${source.path} imports ${file}: ${reason}`];
    }),
  );
}
