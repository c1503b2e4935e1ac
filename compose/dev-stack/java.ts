import { execFile } from "node:child_process";
import { join } from "node:path";
import { RejotError } from "../../shared/errors/error.ts";

const OLDEST_MAJOR = 17;

/** Finds Java 17 or later, in JAVA_HOME or on the path; returns the command. Throws STACK_JAVA_MISSING. */
export async function findJava(env: Record<string, string | undefined>): Promise<string> {
  const command = env.JAVA_HOME ? join(env.JAVA_HOME, "bin", "java") : "java";
  const output = await new Promise<string>((resolve, reject) => {
    // The version is printed on stderr.
    execFile(command, ["-version"], (cause, _stdout, stderr) =>
      cause === null
        ? resolve(stderr)
        : reject(new RejotError("STACK_JAVA_MISSING", { detail: command, cause })),
    );
  });
  const major = javaMajor(output);
  if (major === undefined || major < OLDEST_MAJOR) {
    throw new RejotError("STACK_JAVA_MISSING", { detail: `${command} is ${output.split("\n")[0]?.trim()}` });
  }
  return command;
}

/** The major version in what `java -version` prints: `openjdk version "17.0.15"` is 17, `"1.8.0_402"` is 8. */
export function javaMajor(output: string): number | undefined {
  const match = /version "(?:1\.)?(\d+)/.exec(output);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}
