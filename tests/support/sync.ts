import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { waitFor } from "./wait-for.ts";

const BIN = fileURLToPath(new URL("../../cli/bin.js", import.meta.url));

/**
 * Starts `manifest sync ./rejot-manifest.json` with an HTTP server on a free port; `await using` kills it.
 * `env` is added to the environment.
 */
export function startSync(cwd: string, env: Record<string, string> = {}) {
  const args = [BIN, "manifest", "sync", "./rejot-manifest.json", "--api-port", "0"];
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const findUrl = () => /http:\/\/127\.0\.0\.1:\d+/.exec(output)?.[0];
  const isReady = async () => {
    if (child.exitCode !== null) throw new Error("sync has ended");
    const url = findUrl();
    return url !== undefined && (await fetch(`${url}/readyz`)).ok;
  };
  return {
    /** Base URL of its HTTP server, once it is ready. */
    url: () => findUrl() ?? "",
    /** stdout and stderr so far. */
    log: () => output,
    /** Waits until /readyz answers 200. */
    waitForReady: () =>
      waitFor(isReady, { timeoutMs: 60_000, describe: () => `sync to be ready; its log:\n${output}` }),
    /** Sends SIGINT, as Ctrl-C does; resolves with the exit code, or with the signal that ended it. */
    stop: async () => {
      child.kill("SIGINT");
      return ended;
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
}
