import { pathToFileURL } from "node:url";
import { RejotError } from "../shared/errors/error.ts";
import { displayPath } from "../shared/manifest/load.ts";

/** A top-level await that nothing ends would otherwise end the whole command, without a word. */
const LOAD_TIMEOUT_MS = 30_000;

/** An error that a file raised, while it ran or later. */
export interface FileFailure {
  readonly file: string;
  readonly error: unknown;
}

/**
 * Runs files as modules, one after the other. Whatever they do is a failure of the file and nothing else: throwing,
 * also from a timer or a promise that nobody waits for, never finishing, or ending the process, which is said by
 * `onExit` because nothing comes after it.
 */
export async function runModules(
  files: readonly string[],
  onExit: (failure: FileFailure) => void,
): Promise<FileFailure[]> {
  const failures: FileFailure[] = [];
  let current = files[0] ?? "";
  const late = (error: unknown) => failures.push({ file: current, error });
  const exiting = () => {
    process.exitCode = 1;
    const detail = `${displayPath(current)} ended the process`;
    onExit({ file: current, error: new RejotError("SCHEMA_FILE_FAILED", { detail }) });
  };
  // These stay: a timer that a file left behind must not end the check that follows.
  process.on("uncaughtException", late);
  process.on("unhandledRejection", late);
  process.on("exit", exiting);
  for (const file of files) {
    current = file;
    try {
      await withDeadline(import(pathToFileURL(file).href), file);
      // Rejections that nobody handles are told after the module's own work.
      await new Promise((resolve) => setImmediate(resolve));
    } catch (error) {
      failures.push({ file, error });
    }
  }
  process.off("exit", exiting);
  return failures;
}

async function withDeadline(loading: Promise<unknown>, file: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise((_, reject) => {
    const detail = `${displayPath(file)} has not finished after ${LOAD_TIMEOUT_MS / 1000} s`;
    timer = setTimeout(() => reject(new RejotError("SCHEMA_FILE_FAILED", { detail })), LOAD_TIMEOUT_MS);
  });
  try {
    await Promise.race([loading, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
