import { existsSync, readFileSync } from "node:fs";
import module from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import vm from "node:vm";
import { moduleUrl } from "./package-files.ts";

/** Names under which schema files may know our functions: ours, and ReJot's, so that its files run unchanged. */
const API_NAMES = /^(rejot-kafka|@rejot-dev\/contract(\/.+)?|@rejot-dev\/adapter-postgres(\/.+)?)$/;
/** Packages a schema file may use without having them installed beside it. */
const BORROWED_NAMES = /^zod(\/.+)?$/;
const OWN_FOLDERS = /^(cli|shared|source-connector|sink-connector)\//;
const TYPESCRIPT = /\.[mc]?ts$/;

let loadedFiles: LoadedFiles | undefined;
/** Of files whose lines were moved: the way back. */
const sourceMaps = new Map<string, module.SourceMap>();

/** The place in a file as its author sees it. `file` is a path. */
export function originalPlace<T extends { file: string; line: number; column: number }>(place: T): T {
  const entry = sourceMaps.get(place.file)?.findEntry(place.line - 1, place.column - 1);
  if (entry === undefined || !("originalLine" in entry)) return place;
  return { ...place, line: entry.originalLine + 1, column: entry.originalColumn + 1 };
}

/** The files loaded through the hooks; both grow with every import. */
export interface LoadedFiles {
  readonly files: ReadonlySet<string>;
  /** What each of them imports. */
  readonly imports: ReadonlyMap<string, ReadonlySet<string>>;
}

/**
 * Lets schema files be imported as they are: our own name leads to this very package (its list of created schemas
 * is the one `collect` reads), zod is lent when it is not installed, relative imports may leave out the extension
 * or say `.js` for `.ts`, and TypeScript that Node refuses to strip (enums, files in node_modules) is transformed.
 */
export function installSchemaModuleHooks(): LoadedFiles {
  if (loadedFiles !== undefined) return loadedFiles;
  const files = new Set<string>();
  const imports = new Map<string, Set<string>>();
  loadedFiles = { files, imports };
  const api = moduleUrl("shared/contracts/api.ts");
  const own = api.slice(0, -"shared/contracts/api.ts".length);
  module.registerHooks({
    resolve(specifier, context, nextResolve) {
      if (API_NAMES.test(specifier)) return { url: api, shortCircuit: true };
      const found = resolveLeniently(specifier, context, nextResolve, api);
      const importer = context.parentURL;
      if (importer?.startsWith("file:") && found.url.startsWith("file:")) {
        const imported = imports.get(fileURLToPath(importer)) ?? new Set();
        imports.set(fileURLToPath(importer), imported.add(fileURLToPath(found.url)));
      }
      return found;
    },
    load(url, context, nextLoad) {
      const isOurs = url.startsWith(own) && OWN_FOLDERS.test(url.slice(own.length));
      if (!url.startsWith("file:") || isOurs || url.includes("/node_modules/")) return nextLoad(url, context);
      files.add(fileURLToPath(url));
      return TYPESCRIPT.test(new URL(url).pathname)
        ? loadTypeScript(url, context.format)
        : nextLoad(url, context);
    },
  });
  return loadedFiles;
}

function resolveLeniently(
  specifier: string,
  context: module.ResolveHookContext,
  next: Parameters<module.ResolveHookSync>[2],
  api: string,
): module.ResolveFnOutput {
  try {
    return next(specifier, context);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    if (BORROWED_NAMES.test(specifier)) {
      // require() looks from its own file whatever the parent named.
      return context.conditions.includes("require")
        ? { url: pathToFileURL(module.createRequire(api).resolve(specifier)).href, shortCircuit: true }
        : next(specifier, { ...context, parentURL: api });
    }
    const sibling = context.parentURL === undefined ? undefined : siblingOf(specifier, context.parentURL);
    if (sibling === undefined) throw error;
    return next(sibling, context);
  }
}

function isNotFound(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return (
    code === "ERR_MODULE_NOT_FOUND" || code === "ERR_UNSUPPORTED_DIR_IMPORT" || code === "MODULE_NOT_FOUND"
  );
}

function siblingOf(specifier: string, parentUrl: string): string | undefined {
  if (!/^\.{1,2}(\/|$)/.test(specifier)) return undefined;
  const candidates = [
    `${specifier}.ts`,
    `${specifier}/index.ts`,
    specifier.replace(/\.([mc]?)js$/, ".$1ts"),
    `${specifier}.js`,
  ];
  return candidates.find((c) => c !== specifier && existsSync(fileURLToPath(new URL(c, parentUrl))));
}

function loadTypeScript(url: string, format: string | null | undefined): module.LoadFnOutput {
  const file = fileURLToPath(url);
  const source = strip(readFileSync(file, "utf8"), file);
  // In a package of "type": "commonjs", which npm init makes, TypeScript is written with import and export all the same.
  const isModule = format?.startsWith("module") || (!file.endsWith(".cts") && !isCommonJs(source));
  return { format: isModule ? "module" : "commonjs", source, shortCircuit: true };
}

/** As Node finds it out where no package.json says it: what does not compile as CommonJS is a module. */
function isCommonJs(source: string): boolean {
  try {
    vm.compileFunction(source, ["exports", "require", "module", "__filename", "__dirname"]);
    return true;
  } catch {
    return false;
  }
}

function strip(source: string, file: string): string {
  try {
    return module.stripTypeScriptTypes(source);
  } catch (error) {
    // Enums and the like have to be rewritten, which moves lines: only where there is no other way.
    if ((error as NodeJS.ErrnoException).code !== "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX")
      throw inFile(error, file);
    const code = module.stripTypeScriptTypes(source, { mode: "transform", sourceMap: true });
    const map = /\/\/# sourceMappingURL=data:application\/json;base64,([A-Za-z0-9+/=]+)\s*$/.exec(code)?.[1];
    if (map !== undefined) {
      sourceMaps.set(file, new module.SourceMap(JSON.parse(Buffer.from(map, "base64").toString())));
    }
    return code;
  }
}

/** The stack of a syntax error begins with `:3`, of a file that the parser was not told. */
function inFile(error: unknown, file: string): unknown {
  if (error instanceof Error && error.stack?.startsWith(":")) error.stack = file + error.stack;
  return error;
}
