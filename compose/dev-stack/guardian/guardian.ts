import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

let guardian: ChildProcess | undefined;

/** The server leads its own process group; `signal` is the fastest one that lets it clean up after itself. */
export function guardProcess(pid: number, signal: NodeJS.Signals): void {
  tell({ watch: pid, signal });
}

/** Says that the process has ended, so that its id may belong to another one. */
export function releaseProcess(pid: number): void {
  tell({ forget: pid });
}

/** The directory is removed when this process ends without having removed it. */
export function guardDirectory(directory: string): void {
  tell({ directory });
}

/** Says that the directory is gone, or is to stay. */
export function releaseDirectory(directory: string): void {
  tell({ forgetDirectory: directory });
}

/** One guardian for all that this process owns; it ends by itself with the process. */
function tell(message: Record<string, unknown>): void {
  guardian ??= startGuardian();
  guardian.stdin?.write(`${JSON.stringify(message)}\n`);
}

function startGuardian(): ChildProcess {
  const script = fileURLToPath(new URL("main.ts", import.meta.url));
  // Detached: a Ctrl-C in the terminal must not end the one process that is to clean up after it.
  const child = spawn(process.execPath, [script], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  child.on("error", () => {});
  child.stdin?.on("error", () => {});
  // Neither the process nor the pipe may keep the owner's event loop alive.
  child.unref();
  (child.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  return child;
}
