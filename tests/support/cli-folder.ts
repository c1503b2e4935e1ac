import { readFile } from "node:fs/promises";
import { writeFiles } from "./connector.ts";
import { runCliIn } from "./run-cli.ts";

/** A folder of files in which command lines are run; `await using` removes it. */
export async function cliFolder(files: Record<string, string | object> = {}) {
  const made = await writeFiles(files);
  return {
    ...made,
    run: (...args: string[]) => runCliIn(made.directory, args),
    manifest: async () => JSON.parse(await readFile(made.path("rejot-manifest.json"), "utf8")),
  };
}
