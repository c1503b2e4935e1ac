import { runCli } from "../../cli/program.ts";

/** What a command line gave. */
export interface CliResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line inside this process, which many tests need: Node takes longer to start than they do. */
export async function runCliHere(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<CliResult> {
  const output = { stdout: "", stderr: "" };
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
}

/** The same in a folder. */
export async function runCliIn(
  directory: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<CliResult> {
  const before = process.cwd();
  process.chdir(directory);
  try {
    return await runCliHere(args, env);
  } finally {
    process.chdir(before);
  }
}
