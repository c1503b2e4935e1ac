import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { RejotError } from "../../shared/errors/error.ts";
import { guardProcess, releaseProcess } from "./guardian/guardian.ts";

/** What a server is started with; the same each time it is started again. */
export interface ServerSpec {
  /** For messages: "Kafka". */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** Default: that of this process. */
  readonly env?: NodeJS.ProcessEnv;
  /** The system user to run as; this process must be root then. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** stdout and stderr go there, appended. */
  readonly logFile: string;
  /** Ends the server in order. Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** The fastest end after which nothing of the server is left in the system. Default SIGKILL. */
  readonly abortSignal?: NodeJS.Signals;
  /** Whether the server answers; a throw counts as no. */
  readonly isReady: () => Promise<boolean>;
  /** Default 120,000. */
  readonly readyTimeoutMs?: number;
}

const POLL_MS = 50;
/** A server that does not end in order within this time is killed. */
const STOP_TIMEOUT_MS = 15_000;
/**
 * A killed Postgres leaves processes in sessions of their own, which end a moment later; until then a new one refuses
 * to start on their shared memory.
 */
const RESTART_AFTER_KILL_MS = 20_000;
const RESTART_PAUSE_MS = 200;
const LOG_LINES_SHOWN = 15;

/** The processes that a process has started and that still run, as Linux tells them; elsewhere none. */
function childrenOf(pid: number): number[] {
  if (!existsSync("/proc")) return [];
  const children: number[] = [];
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      // What stands in parentheses is the command's name, which may hold anything.
      const [, parent] = readFileSync(`/proc/${entry}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ");
      if (Number(parent) === pid) children.push(Number(entry));
    } catch {
      // It has ended meanwhile.
    }
  }
  return children;
}

/**
 * A server as a child process that can be stopped, killed and started again on the same port and data, which is
 * what fault tests do with it. It ends with this process, however that ends.
 */
export class ServerProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #spec: ServerSpec;
  #killedAtMs = 0;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(spec: ServerSpec) {
    this.name = spec.name;
    this.logFile = spec.logFile;
    this.#spec = spec;
  }

  /** Process id of the running server; it leads its own process group. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Settles when the server that runs now has ended; at once when none runs. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** Starts the server; resolves when it answers. Throws STACK_SERVER_FAILED with the end of its log. */
  async start(): Promise<void> {
    if (this.#child !== undefined) return;
    const retryUntil = this.#killedAtMs + RESTART_AFTER_KILL_MS;
    while (!(await this.#startOnce())) {
      if (Date.now() > retryUntil) throw await this.failure("it ended by itself");
      await delay(RESTART_PAUSE_MS);
    }
  }

  /** False when the server ended before it answered. */
  async #startOnce(): Promise<boolean> {
    const child = this.#spawn();
    const deadline = Date.now() + (this.#spec.readyTimeoutMs ?? 120_000);
    while (this.#child === child) {
      if (await this.#spec.isReady().catch(() => false)) return true;
      if (Date.now() > deadline) {
        await this.kill();
        throw await this.failure("it did not become ready in time");
      }
      await delay(POLL_MS);
    }
    return false;
  }

  /** Ends the server and waits for its end; kills it when it takes longer than 15 s. */
  async stop(signal: NodeJS.Signals = this.#spec.stopSignal ?? "SIGTERM"): Promise<void> {
    if (this.#child === undefined) return;
    this.#child.kill(signal);
    const stopped = await Promise.race([
      this.#ended.then(() => true),
      delay(STOP_TIMEOUT_MS, false, { ref: false }),
    ]);
    if (!stopped) await this.kill();
  }

  /** kill -9 of the server and all its processes. */
  async kill(): Promise<void> {
    this.#killedAtMs = Date.now();
    this.signalAll("SIGKILL");
    await this.#ended;
  }

  /** The fastest end that leaves nothing in the system. */
  async abort(): Promise<void> {
    await this.stop(this.#spec.abortSignal ?? "SIGKILL");
  }

  /** Stops the server, in order or with the signal given, and starts it again. */
  async restart(signal?: NodeJS.Signals): Promise<void> {
    await this.stop(signal);
    await this.start();
  }

  /** Sends a signal to the server and all its processes: SIGSTOP and SIGCONT make it hang and go on. */
  signalAll(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    // Postgres gives each of its processes a group of its own.
    for (const target of [-pid, ...childrenOf(pid)]) {
      try {
        process.kill(target, signal);
      } catch {
        // It has just ended; its exit event is on the way.
      }
    }
  }

  #spawn(): ChildProcess {
    const spec = this.#spec;
    const log = openSync(spec.logFile, "a");
    const child = spawn(spec.command, spec.args, {
      cwd: spec.cwd,
      // Its own group: a Ctrl-C in the terminal is for this process, which then stops its servers in order.
      detached: true,
      stdio: ["ignore", log, log],
      ...(spec.env === undefined ? {} : { env: spec.env }),
      ...spec.user,
    });
    closeSync(log);
    if (child.pid !== undefined) guardProcess(child.pid, spec.abortSignal ?? "SIGKILL");
    this.#child = child;
    this.#ended = Promise.race([once(child, "exit"), once(child, "error")])
      .catch(() => {})
      .then(() => {
        if (child.pid !== undefined) releaseProcess(child.pid);
        this.#child = undefined;
      });
    return child;
  }

  /** The error that says why the server is not running, with the end of its log. */
  async failure(what: string): Promise<RejotError> {
    const log = await readFile(this.logFile, "utf8").catch(() => "");
    const lines = log.trimEnd().split("\n").slice(-LOG_LINES_SHOWN);
    // The log itself goes away with the server's data.
    const kept = join(tmpdir(), `rejot-kafka-failed-${basename(this.logFile)}`);
    await writeFile(kept, log).catch(() => {});
    return new RejotError("STACK_SERVER_FAILED", {
      detail: `${this.name}: ${what}; the end of its log:\n    ${lines.join("\n    ")}`,
      context: { log: kept },
    });
  }
}
