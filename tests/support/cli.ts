import { readFile } from "node:fs/promises";
import { runCli } from "../../cli/program.ts";
import type { Environment } from "../../shared/manifest/secrets.ts";
import { writeFiles } from "./connector.ts";

/** What a command line said, and how it ended. */
export interface CliResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line inside this process, which a hundred of them need: Node takes longer to start than they do. */
export async function runIn(
  directory: string,
  args: readonly string[],
  env: Environment = {},
): Promise<CliResult> {
  const before = process.cwd();
  const output = { stdout: "", stderr: "" };
  process.chdir(directory);
  try {
    const exitCode = await runCli(args, {
      env,
      print: (text) => {
        output.stdout += `${text}\n`;
      },
      warn: (text) => {
        output.stderr += `${text}\n`;
      },
    });
    return { exitCode, ...output };
  } finally {
    process.chdir(before);
  }
}

/** A folder of files in which command lines are run; `await using` removes it. */
export async function cliFolder(files: Record<string, string | object> = {}) {
  const made = await writeFiles(files);
  return {
    ...made,
    run: (...args: string[]) => runIn(made.directory, args),
    manifest: async () => JSON.parse(await readFile(made.path("rejot-manifest.json"), "utf8")),
  };
}
