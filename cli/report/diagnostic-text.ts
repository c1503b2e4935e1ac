import { isAbsolute, relative, sep } from "node:path";
import { describeSqlPlace } from "../../shared/errors/error.ts";
import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";

/** The lines that follow a diagnostic's message: the place in the SQL, what to do. Not indented. */
export function explanation({ sql, severity, hint }: Diagnostic): string[] {
  const lines = sql === undefined ? [] : describeSqlPlace(sql).map((line) => line.slice(2));
  return severity === "info" ? lines : [...lines, `hint: ${hint}`];
}

/** A file as a report names it: from the root with forward slashes; undefined for files outside of it. */
export function fileFromRoot(file: string, root: string): string | undefined {
  const near = relative(root, file);
  return near === "" || near.startsWith("..") || isAbsolute(near) ? undefined : near.split(sep).join("/");
}
