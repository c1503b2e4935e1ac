import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { guardProcess, releaseProcess } from "../../compose/dev-stack/guardian/guardian.ts";
import { freePort } from "../../compose/dev-stack/ports.ts";
import type { ConnectorStatus } from "../../shared/http/status.ts";
import { waitFor } from "./wait-for.ts";

const MAIN = {
  source: fileURLToPath(new URL("../../source-connector/main.ts", import.meta.url)),
  sink: fileURLToPath(new URL("../../sink-connector/main.ts", import.meta.url)),
};
const LOG_LINES_SHOWN = 40;
const ANSWER_MS = 10_000;

/** A connector as its own process; `await using` kills it. */
export interface SpawnedConnector extends AsyncDisposable {
  readonly kind: "source" | "sink";
  readonly pid: number;
  /** Base URL of its HTTP server. */
  readonly url: string;
  /** Lines of stdout and stderr so far. */
  readonly log: readonly string[];
  /** The last lines of the log, for messages. */
  logTail(): string;
  /** Resolves with the exit code, or with the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly running: boolean;
  /** It has ended, and not because `kill` was called. */
  readonly endedByItself: boolean;
  /** Sends a signal, default SIGKILL, and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>;
  /** Sends a signal and does not wait: SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void;
  /** Waits until /readyz answers 200. Throws with the log's end when the process ends before. */
  waitForReady(timeoutMs?: number): Promise<void>;
  /** Waits until a line of the log contains the text; returns the line. */
  waitForLog(text: string, timeoutMs?: number): Promise<string>;
  /** GET of a path, parsed as JSON, whatever the status code. */
  get(path: string): Promise<{ status: number; body: unknown }>;
  /** What GET /readyz tells about the connector, also when it is not ready. */
  status(): Promise<ConnectorStatus>;
}

export interface SpawnOptions {
  /** Added to the environment. */
  env?: Record<string, string>;
}

/** Starts `node <kind>-connector/main.ts <args>` with an HTTP server on a free port. Does not wait for it. */
export async function spawnConnector(
  kind: "source" | "sink",
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<SpawnedConnector> {
  const port = await freePort();
  const child = spawn(process.execPath, [MAIN[kind], ...args, "--api-port", String(port)], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
    // The guardian ends groups of processes.
    detached: true,
  });
  return new Spawned(kind, child, `http://127.0.0.1:${port}`);
}

class Spawned implements SpawnedConnector {
  readonly kind: "source" | "sink";
  readonly url: string;
  readonly log: string[] = [];
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly #child: ChildProcess;
  #isKilled = false;

  constructor(kind: "source" | "sink", child: ChildProcess, url: string) {
    this.kind = kind;
    this.url = url;
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => this.log.push(line));
    }
    this.exited = once(child, "close").then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals);
    // Nobody need wait for it.
    this.exited.catch(() => {});
    endWithTests(child);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get endedByItself(): boolean {
    return !this.running && !this.#isKilled;
  }

  logTail(): string {
    return this.log.slice(-LOG_LINES_SHOWN).join("\n");
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<number | NodeJS.Signals> {
    if (this.running) this.#isKilled = true;
    this.#child.kill(signal);
    return this.exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async waitForReady(timeoutMs = 60_000): Promise<void> {
    await waitFor(
      async () => {
        this.#throwIfEnded();
        return (await fetch(`${this.url}/readyz`)).ok;
      },
      { timeoutMs, describe: () => `the ${this.kind} to be ready; its log:\n${this.logTail()}` },
    );
  }

  async waitForLog(text: string, timeoutMs = 60_000): Promise<string> {
    return waitFor(() => this.log.find((line) => line.includes(text)), {
      timeoutMs,
      describe: () => `the ${this.kind} to log "${text}"; its log:\n${this.logTail()}`,
    });
  }

  async get(path: string): Promise<{ status: number; body: unknown }> {
    // One that hangs is asked, too.
    const response = await fetch(`${this.url}${path}`, { signal: AbortSignal.timeout(ANSWER_MS) });
    return { status: response.status, body: await response.json() };
  }

  async status(): Promise<ConnectorStatus> {
    return (await this.get("/readyz")).body as ConnectorStatus;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) {
      // A process that was stopped by SIGSTOP ends by SIGKILL all the same.
      await this.kill();
    }
  }

  #throwIfEnded(): void {
    if (this.running) return;
    throw new EndedError(`the ${this.kind} has ended; its log:\n${this.logTail()}`);
  }
}

class EndedError extends Error {}

/** Runs a command line of the product to its end. */
export async function runToEnd(
  script: string,
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string; timeoutMs?: number } = {},
): Promise<{ exitCode: number | NodeJS.Signals; stdout: string; stderr: string }> {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL(`../../${script}`, import.meta.url)), ...args],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
      cwd: options.cwd,
      timeout: options.timeoutMs ?? 60_000,
      detached: true,
    },
  );
  endWithTests(child);
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => {
    output.stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    output.stderr += chunk.toString();
  });
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { exitCode: code ?? signal ?? 1, ...output };
}

/** Writes files into a directory of their own; `await using` removes it. */
export async function writeFiles(
  files: Record<string, string | object>,
): Promise<AsyncDisposable & { directory: string; path(name: string): string }> {
  const directory = await mkdtemp(join(tmpdir(), "rejot-kafka-test-"));
  for (const [name, content] of Object.entries(files)) {
    await writeFile(
      join(directory, name),
      typeof content === "string" ? content : JSON.stringify(content, null, 2),
    );
  }
  return {
    directory,
    path: (name) => join(directory, name),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

/** A test run that is interrupted or killed must not leave connectors behind. */
function endWithTests(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  guardProcess(pid, "SIGKILL");
  child.once("close", () => releaseProcess(pid));
}
