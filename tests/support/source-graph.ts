import { readdir, readFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { posix } from "node:path";
import { parseAst } from "vitest/node";

/** One import, of whatever form: declaration, re-export, dynamic, `typeof import()`; types included. */
export interface Import {
  readonly specifier: string;
  /** Path from the repository's root of a file of ours; undefined for packages and Node's modules. */
  readonly file: string | undefined;
  /** Name of the npm package; undefined for files of ours and Node's modules. */
  readonly packageName: string | undefined;
}

/** What a source file imports and does that the rules speak of. */
export interface SourceFile {
  /** From the repository's root, with slashes. */
  readonly path: string;
  readonly imports: readonly Import[];
  /** Whether it has `export * from` or `export { x } from`. */
  readonly reexports: boolean;
  /** `process.env`, `process.exit`, or a handler of signals, each as `line: what`. */
  readonly processUses: readonly string[];
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly [property: string]: unknown;
}

/** The public name of the package, for imports of itself. */
const SELF = { name: "rejot-kafka", file: "shared/contracts/api.ts" };

/** Reads all TypeScript files under the folders that there are. `root` is the repository's path. */
export async function readSources(root: string, folders: readonly string[]): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  const present = await readdir(root);
  for (const folder of folders.filter((name) => present.includes(name))) {
    const entries = await readdir(posix.join(root, folder), { recursive: true, withFileTypes: true });
    for (const entry of entries) {
      const path = posix.relative(root, posix.join(entry.parentPath, entry.name));
      if (!entry.isFile() || !path.endsWith(".ts") || path.includes("node_modules/")) continue;
      files.push(parseSource(path, await readFile(posix.join(root, path), "utf8")));
    }
  }
  return files;
}

/** Finds imports and uses of the process in the syntax tree: text in strings and comments cannot fool it. */
export function parseSource(path: string, code: string): SourceFile {
  const imports: Import[] = [];
  const processUses: string[] = [];
  let reexports = false;
  for (const node of walk(parseAst(code, { lang: "ts" }) as unknown as Node)) {
    const specifier = importedSpecifier(node);
    if (specifier !== undefined) imports.push(resolve(path, specifier));
    if (node.type.startsWith("Export") && node.source) reexports = true;
    const use = processUse(node);
    if (use !== undefined) processUses.push(`${code.slice(0, node.start).split("\n").length}: ${use}`);
  }
  return { path, imports, reexports, processUses };
}

/** Cycles among the files, each as the list of its files; the first one found from every file. */
export function findCycles(files: readonly SourceFile[]): string[][] {
  const targets = new Map(files.map((file) => [file.path, file.imports.flatMap((i) => i.file ?? [])]));
  const cycles: string[][] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: string[]): void => {
    const seenAt = trail.indexOf(path);
    if (seenAt >= 0) cycles.push([...trail.slice(seenAt), path]);
    if (seenAt >= 0 || done.has(path)) return;
    for (const next of targets.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of targets.keys()) visit(path, []);
  return cycles;
}

function* walk(node: Node): Generator<Node> {
  yield node;
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) yield* walk(child);
    }
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && typeof (value as Node).type === "string";
}

/** The module that a node imports, if it is an import of any form. */
function importedSpecifier(node: Node): string | undefined {
  switch (node.type) {
    case "ImportDeclaration":
    case "ExportAllDeclaration":
    case "ExportNamedDeclaration":
    case "ImportExpression":
    case "TSImportType":
      return literal(node.source);
    default:
      return undefined;
  }
}

function literal(node: unknown): string | undefined {
  return isNode(node) && node.type === "Literal" && typeof node.value === "string" ? node.value : undefined;
}

function resolve(from: string, specifier: string): Import {
  if (specifier.startsWith(".")) {
    return { specifier, file: posix.join(posix.dirname(from), specifier), packageName: undefined };
  }
  if (specifier.startsWith("node:") || builtinModules.includes(specifier)) {
    return { specifier, file: undefined, packageName: undefined };
  }
  const packageName = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  if (packageName === SELF.name) return { specifier, file: SELF.file, packageName: undefined };
  return { specifier, file: undefined, packageName };
}

const LISTEN = ["on", "once", "addListener", "prependListener", "prependOnceListener"];

function processUse(node: Node): string | undefined {
  if (node.type === "ImportDeclaration" && ["node:process", "process"].includes(literal(node.source) ?? ""))
    return 'import from "node:process"';
  if (node.type === "MemberExpression" && isProcess(node.object)) {
    const property = propertyName(node);
    return property === "env" || property === "exit" ? `process.${property}` : undefined;
  }
  if (node.type !== "CallExpression" || !isNode(node.callee) || node.callee.type !== "MemberExpression")
    return undefined;
  if (!isProcess(node.callee.object) || !LISTEN.includes(propertyName(node.callee) ?? "")) return undefined;
  const event = literal((node.arguments as unknown[])[0]);
  // A name that is not written out may well be that of a signal.
  return event === undefined || event.startsWith("SIG") ? "handler of signals" : undefined;
}

function isProcess(node: unknown): boolean {
  if (!isNode(node)) return false;
  if (node.type === "Identifier") return node.name === "process";
  return node.type === "MemberExpression" && propertyName(node) === "process";
}

function propertyName(node: Node): string | undefined {
  const { property } = node;
  if (node.computed === true) return literal(property);
  return isNode(property) && typeof property.name === "string" ? property.name : undefined;
}
