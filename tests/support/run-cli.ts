import { runCli } from "../../cli/program.ts";

/** What a command line gave. */
export interface CliResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line inside this process, which many of them need: Node takes longer to start than they do. */
export async function runCliIn(
  directory: string,
  args: readonly string[],
  env: Record<string, string> = {},
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
