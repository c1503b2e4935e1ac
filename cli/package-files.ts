import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

/** Whether this is the compiled package (`dist/`) and not the sources. */
const compiled = import.meta.url.endsWith(".js");

/** Absolute path of a file of our own package, from its root: the sources' or, compiled, the package's above dist/. */
export function packageFile(path: string): string {
  return fileURLToPath(new URL(compiled ? `../../${path}` : `../${path}`, import.meta.url));
}

/** URL of one of our own modules, named by its source file: `shared/contracts/api.ts`. */
export function moduleUrl(source: string): string {
  const path = packageFile(compiled ? `dist/${source.replace(/\.ts$/, ".js")}` : source);
  if (!existsSync(path)) throw new Error(`${path} is missing from the package`);
  return pathToFileURL(path).href;
}

/** The version of this package. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(packageFile("package.json"), "utf8")) as { version: string }).version;
}
