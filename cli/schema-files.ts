import { readFileSync } from "node:fs";
import { glob, stat } from "node:fs/promises";
import { extname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type CreatedSchema, createdSchemas } from "../shared/contracts/created-schemas.ts";
import { RejotError } from "../shared/errors/error.ts";
import type { FilePlace } from "../shared/manifest/definition-places.ts";
import { type Diagnostic, diagnostic, diagnosticOfError, placeIn } from "../shared/manifest/diagnostic.ts";
import { displayPath } from "../shared/manifest/load.ts";
import { installSchemaModuleHooks, type LoadedFiles, originalPlace } from "./schema-module-hooks.ts";
import { runModules } from "./schema-module-run.ts";

/** What arguments stand for. */
export interface SchemaFiles {
  /** Absolute paths, in their order, so that the order of arguments changes nothing. */
  readonly files: readonly string[];
  /** Those that were named themselves. */
  readonly named: ReadonlySet<string>;
  /** Absolute paths of the folders that were named. */
  readonly folders: readonly string[];
  /** Arguments that lead nowhere. */
  readonly diagnostics: readonly Diagnostic[];
}

/** What running the schema files gave. */
export interface CollectedSchemas {
  readonly schemas: readonly CreatedSchema[];
  /** Absolute paths of the files run and of those they imported: what they create now replaces what they did before. */
  readonly files: ReadonlySet<string>;
  /** Files that failed, and those named that create nothing. */
  readonly diagnostics: readonly Diagnostic[];
}

const EXTENSIONS = [".ts", ".mts", ".cts", ".js", ".mjs", ".cjs"];
const IGNORED = [
  "**/node_modules/**",
  "**/.git/**",
  "**/dist/**",
  "**/*.d.{ts,mts,cts}",
  "**/*.{test,spec}.*",
];

/**
 * The files that arguments stand for: a file itself; for a folder or a glob, those in it that mention one of the
 * functions that create schemas (running a service's other files could start the service).
 */
export async function expandFiles(args: readonly string[]): Promise<SchemaFiles> {
  const files = new Set<string>();
  const named = new Set<string>();
  const folders: string[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const arg of args) {
    const entry = await stat(arg).catch(() => undefined);
    if (entry?.isFile()) {
      named.add(resolve(arg));
      continue;
    }
    const isFolder = entry?.isDirectory() === true;
    if (isFolder) folders.push(resolve(arg));
    const pattern = isFolder ? `**/*{${EXTENSIONS.join(",")}}` : arg;
    const options = { cwd: isFolder ? resolve(arg) : process.cwd(), exclude: IGNORED };
    const found: string[] = [];
    for await (const match of glob(pattern, options)) found.push(resolve(options.cwd, match));
    if (found.length === 0) {
      const place = placeIn({ file: resolve(arg) }, "argument");
      diagnostics.push(diagnostic("SCHEMA_FILE_FAILED", "error", place, `nothing is at "${arg}"`));
    }
    for (const file of found) if (createsSchemas(file)) files.add(file);
  }
  return { files: [...new Set([...files, ...named])].sort(), named, folders, diagnostics };
}

function createsSchemas(file: string): boolean {
  return (
    EXTENSIONS.includes(extname(file)) &&
    /createPublicSchema|createConsumerSchema/.test(readFileSync(file, "utf8"))
  );
}

/**
 * Runs the files as modules and takes the schemas they create. A file that fails is a diagnostic; the rest goes on.
 * `onExit` hears of a file that ends the process.
 */
export async function runSchemaFiles(
  { files, named }: SchemaFiles,
  onExit: (diagnostic: Diagnostic) => void,
): Promise<CollectedSchemas> {
  const before = createdSchemas().length;
  const loaded = installSchemaModuleHooks();
  const modules = files.filter((file) => EXTENSIONS.includes(extname(file)));
  const others = files.filter((file) => !modules.includes(file));
  const failures = [
    ...others.map((file) => ({ file, error: notAModule(file) })),
    ...(await runModules(modules, ({ file, error }) => onExit(failure(file, error, loaded)))),
  ];
  const diagnostics = failures.map(({ file, error }) => failure(file, error, loaded));
  const schemas = createdSchemas().slice(before);
  const creators = new Set(schemas.flatMap((created) => definitionOf(created).map((place) => place.file)));
  const failed = new Set(failures.map(({ file }) => file));
  for (const file of [...named].sort()) {
    if (failed.has(file) || reaches(file, creators, loaded)) continue;
    const place = placeIn({ file }, "schema file");
    diagnostics.push(diagnostic("NO_SCHEMAS_FOUND", "warning", place, "none here"));
  }
  return { schemas, files: new Set([...files, ...loaded.files]), diagnostics };
}

/** Whether a file, or one that it imports, is among others. */
function reaches(file: string, others: ReadonlySet<string>, { imports }: LoadedFiles): boolean {
  const seen = new Set([file]);
  for (const each of seen) {
    if (others.has(each)) return true;
    for (const imported of imports.get(each) ?? []) seen.add(imported);
  }
  return false;
}

function notAModule(file: string): RejotError {
  const hint =
    extname(file) === ".py" ? "Python files are not read: write the schemas in TypeScript." : undefined;
  return new RejotError("SCHEMA_FILE_FAILED", {
    detail: `${displayPath(file)} is not a TypeScript or JavaScript file`,
    ...(hint === undefined ? {} : { hint }),
  });
}

function failure(file: string, error: unknown, { files }: LoadedFiles): Diagnostic {
  const place = placeIn(placeInStack(files, error) ?? { file }, "schema file");
  if (error instanceof RejotError) return diagnosticOfError(error, place);
  const message = error instanceof Error ? error.message : String(error);
  return diagnostic("SCHEMA_FILE_FAILED", "error", place, message.replaceAll(/file:\/\/(\S+)/g, "$1"));
}

/** Where the error's stack first passes through one of the files. */
function placeInStack(files: ReadonlySet<string>, error: unknown): FilePlace | undefined {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const found = [...files].flatMap((file) =>
    [pathToFileURL(file).href, file].flatMap((name) => {
      const index = stack.indexOf(`${name}:`);
      const match = index < 0 ? null : /^(\d+)(?::(\d+))?/.exec(stack.slice(index + name.length + 1));
      return match === null ? [] : [{ file, index, line: Number(match[1]), column: Number(match[2]) }];
    }),
  );
  const first = found.toSorted((a, b) => a.index - b.index)[0];
  if (first === undefined) return undefined;
  const { file, line, column } = first;
  return Number.isNaN(column) ? { file, line } : originalPlace({ file, line, column });
}

/**
 * The calls that created a schema, those in the file that defines it first, innermost first. The file that defines a
 * schema is the module whose evaluation created it: one that calls a factory in another file, not the factory.
 */
export function definitionOf(created: CreatedSchema): FilePlace[] {
  const places = created.places.map(({ file, line, column }) =>
    originalPlace({ file: file.startsWith("file:") ? fileURLToPath(file) : file, line, column }),
  );
  const definition = places.at(-1)?.file;
  return [
    ...places.filter((place) => place.file === definition),
    ...places.filter((place) => place.file !== definition),
  ];
}
