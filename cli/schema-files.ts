import { readFileSync } from "node:fs";
import { glob, stat } from "node:fs/promises";
import { extname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type CreatedSchema, createdSchemas } from "../shared/contracts/created-schemas.ts";
import { RejotError } from "../shared/errors/error.ts";
import { type Diagnostic, diagnostic, diagnosticOfError } from "../shared/manifest/diagnostic.ts";
import { displayPath } from "../shared/manifest/load.ts";
import { installSchemaModuleHooks } from "./schema-module-hooks.ts";

/** What running the schema files gave. */
export interface CollectedSchemas {
  readonly schemas: readonly CreatedSchema[];
  /** Absolute paths of the files run and of those they imported: what they create now replaces what they did before. */
  readonly files: ReadonlySet<string>;
  readonly diagnostics: readonly Diagnostic[];
}

const EXTENSIONS = [".ts", ".mts", ".cts", ".js", ".mjs", ".cjs"];
const IGNORED = ["**/node_modules/**", "**/.git/**", "**/dist/**", "**/*.d.ts", "**/*.{test,spec}.*"];

/**
 * The files that arguments stand for: a file itself; for a folder or a glob, those in it that mention one of the
 * functions that create schemas (running a service's other files could start the service).
 * Throws SCHEMA_FILE_FAILED for an argument that leads nowhere.
 */
export async function expandFiles(args: readonly string[]): Promise<string[]> {
  const files = new Set<string>();
  for (const arg of args) {
    const entry = await stat(arg).catch(() => undefined);
    if (entry?.isFile()) {
      files.add(resolve(arg));
      continue;
    }
    const pattern = entry?.isDirectory() ? `**/*{${EXTENSIONS.join(",")}}` : arg;
    const options = { cwd: entry?.isDirectory() ? resolve(arg) : process.cwd(), exclude: IGNORED };
    const found: string[] = [];
    for await (const match of glob(pattern, options)) found.push(resolve(options.cwd, match));
    if (found.length === 0) throw new RejotError("SCHEMA_FILE_FAILED", { detail: `nothing is at "${arg}"` });
    for (const file of found.sort()) if (createsSchemas(file)) files.add(file);
  }
  return [...files];
}

function createsSchemas(file: string): boolean {
  return (
    EXTENSIONS.includes(extname(file)) &&
    /createPublicSchema|createConsumerSchema/.test(readFileSync(file, "utf8"))
  );
}

/** Runs the files as modules and takes the schemas they create. A file that fails is a diagnostic; the rest goes on. */
export async function runSchemaFiles(files: readonly string[]): Promise<CollectedSchemas> {
  const before = createdSchemas().length;
  const loaded = installSchemaModuleHooks();
  const diagnostics: Diagnostic[] = [];
  for (const file of files) {
    try {
      if (!EXTENSIONS.includes(extname(file))) throw notAModule(file);
      await import(pathToFileURL(file).href);
    } catch (error) {
      diagnostics.push(failure(file, error));
    }
  }
  return { schemas: createdSchemas().slice(before), files: new Set([...files, ...loaded]), diagnostics };
}

function notAModule(file: string): RejotError {
  const hint =
    extname(file) === ".py" ? "Python files are not read: write the schemas in TypeScript." : undefined;
  return new RejotError("SCHEMA_FILE_FAILED", {
    detail: `${displayPath(file)} is not a TypeScript or JavaScript file`,
    ...(hint === undefined ? {} : { hint }),
  });
}

function failure(file: string, error: unknown): Diagnostic {
  const location = placeInStack(file, error) ?? displayPath(file);
  if (error instanceof RejotError) return diagnosticOfError(error, location);
  const message = error instanceof Error ? error.message : String(error);
  return diagnostic("SCHEMA_FILE_FAILED", "error", location, message.replaceAll(/file:\/\/(\S+)/g, "$1"));
}

/** `schemas.ts:12` when the error's stack passes through the file. */
function placeInStack(file: string, error: unknown): string | undefined {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  for (const name of [pathToFileURL(file).href, file]) {
    const at = stack.indexOf(`${name}:`);
    const line = at < 0 ? undefined : /^\d+/.exec(stack.slice(at + name.length + 1))?.[0];
    if (line !== undefined) return `${displayPath(file)}:${line}`;
  }
  return undefined;
}

/** The file and line a schema was created at: the innermost caller that is one of the files, else the innermost. */
export function placeOf(
  created: CreatedSchema,
  files: ReadonlySet<string>,
): { file: string; line: number } | undefined {
  const places = created.places.map(({ file, line }) => ({
    file: file.startsWith("file:") ? fileURLToPath(file) : file,
    line,
  }));
  return places.find((place) => files.has(place.file)) ?? places[0];
}
