import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { guardProcess, releaseProcess } from "../../../compose/dev-stack/guardian/guardian.ts";
import { freePort } from "../../../compose/dev-stack/ports.ts";
import { RejotError } from "../../../shared/errors/error.ts";

const REPOSITORY = fileURLToPath(new URL("../../..", import.meta.url));
const WORKSPACE = fileURLToPath(new URL("../rejot-workspace.json", import.meta.url));
const LOG_LINES_SHOWN = 15;
const LOG_LINES_KEPT = 200;
const READY_TIMEOUT_MS = 180_000;
const POLL_MS = 50;
const STOP_TIMEOUT_MS = 15_000;

/** A source or sink connector for all three teams, as its own process. */
export class Connector implements AsyncDisposable {
  readonly kind: "source" | "sink";
  /** Rejects when the process ends without having been told to; else never settles. */
  readonly failed: Promise<never>;
  readonly #child: ChildProcess;
  readonly #url: string;
  readonly #log: string[] = [];
  readonly #ended: Promise<unknown>;
  #stopping = false;

  private constructor(kind: "source" | "sink", child: ChildProcess, url: string) {
    this.kind = kind;
    this.#child = child;
    this.#url = url;
    if (child.pid !== undefined) guardProcess(child.pid, "SIGKILL");
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => this.#remember(line));
    }
    this.#ended = Promise.race([once(child, "close"), once(child, "error")]).finally(() => {
      if (child.pid !== undefined) releaseProcess(child.pid);
    });
    const failure = Promise.withResolvers<never>();
    this.failed = failure.promise;
    // Whoever waits for something else at the moment must not be ended by this.
    this.failed.catch(() => {});
    this.#ended.then(
      () =>
        this.#stopping ||
        failure.reject(this.#failure(`it ended with ${child.exitCode ?? child.signalCode}`)),
      (error: unknown) => failure.reject(this.#failure(String(error))),
    );
  }

  /** Starts `node <kind>-connector/main.ts` with the workspace; `env` is what its manifests refer to. */
  static async start(kind: "source" | "sink", env: Record<string, string | undefined>): Promise<Connector> {
    const port = await freePort();
    const child = spawn(
      process.execPath,
      [`${kind}-connector/main.ts`, WORKSPACE, "--api-port", String(port)],
      // Its own group: a Ctrl-C in the terminal is for the demo, which then ends its connectors in order.
      { cwd: REPOSITORY, env, stdio: ["ignore", "pipe", "pipe"], detached: true },
    );
    return new Connector(kind, child, `http://127.0.0.1:${port}`);
  }

  /** Resolves when the connector says that it is ready. Throws DEMO_CONNECTOR_FAILED. */
  async ready(): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (Date.now() < deadline) {
      const answer = await Promise.race([this.failed, fetch(`${this.#url}/readyz`).catch(() => undefined)]);
      if (answer?.ok) return;
      await Promise.race([this.failed, delay(POLL_MS)]);
    }
    throw this.#failure(`it was not ready within ${READY_TIMEOUT_MS / 1000} s`);
  }

  /** Lets the connector finish what it has begun; ends it by force when that takes too long. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopping || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#stopping = true;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.#ended.catch(() => {});
    clearTimeout(timer);
  }

  #remember(line: string): void {
    this.#log.push(line);
    if (this.#log.length > LOG_LINES_KEPT) this.#log.shift();
  }

  #failure(what: string): RejotError {
    const lines = this.#log.slice(-LOG_LINES_SHOWN);
    return new RejotError("DEMO_CONNECTOR_FAILED", {
      detail: [`the ${this.kind} connector: ${what}; the end of its log:`, ...lines].join("\n    "),
    });
  }
}
