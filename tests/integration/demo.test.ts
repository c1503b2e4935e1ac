import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { FLOWS } from "../../examples/shopjot/oracle.ts";
import { randomName } from "../support/names.ts";
import { waitFor } from "../support/wait-for.ts";

const DEMO = fileURLToPath(new URL("../../examples/shopjot/demo.ts", import.meta.url));
/** `<latency> ms  <change> → <object> → <topic>[<partition>]@<offset> → <table>` */
const EVENT = /^ *\d+ ms {2}[A-Z]+ .+ → .+ → shopjot\.\w+\.[\w-]+\.v1\[\d\]@\d+ → \w+\.\w+$/gm;

/** For three servers and two connectors on a machine that has other work. */
const START_TIMEOUT_MS = 240_000;
const TEST_TIMEOUT_MS = 400_000;

/** The demo as a process, with its output so far and a mark that all its descendants carry. */
class Demo implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly mark = randomName("demo");
  readonly exited: Promise<unknown>;
  output = "";

  constructor(args: readonly string[]) {
    this.child = spawn(process.execPath, [DEMO, ...args], {
      env: { ...process.env, REJOT_TEST_MARK: this.mark },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
    this.exited = once(this.child, "close").then(([code, signal]) => code ?? signal);
  }

  /** A test that failed must not leave the demo running. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGTERM");
    await this.exited;
  }

  get events(): string[] {
    return this.output.match(EVENT) ?? [];
  }

  /** Waits until none of the demo's processes is left, nor the directory of its servers. */
  async nothingLeft(): Promise<void> {
    const directory = /in (\S*rejot-kafka-stack-\w+)/.exec(this.output)?.[1] ?? "";
    expect(directory).not.toBe("");
    await waitFor(
      async () => (await this.#processes()).length === 0 && !(await stat(directory).catch(() => undefined)),
      { describe: `the processes of the demo and ${directory} to be gone` },
    );
  }

  async #processes(): Promise<string[]> {
    // Elsewhere than on Linux only the directory tells.
    const ids = await readdir("/proc").catch(() => []);
    const marked = await Promise.all(
      ids
        .filter((id) => /^\d+$/.test(id))
        .map(async (id) => {
          const environment = await readFile(`/proc/${id}/environ`, "utf8").catch(() => "");
          return environment.includes(`REJOT_TEST_MARK=${this.mark}`) ? [id] : [];
        }),
    );
    return marked.flat();
  }
}

describe("npm run demo", () => {
  test(
    "--once shows every event with its way and latency, finds all tables equal, and exits 0",
    async () => {
      await using demo = new Demo(["--once"]);
      expect(await demo.exited, demo.output).toBe(0);
      for (const { publicSchema, from, to, table } of FLOWS) {
        const verdict = new RegExp(`${from}: ${publicSchema} +→ ${to}\\.${table} +\\d+ rows? +equal`);
        expect(demo.output).toMatch(verdict);
        expect(demo.events.some((line) => line.includes(`→ ${publicSchema} `))).toBe(true);
      }
      expect(demo.output).toContain("Every destination table equals what the public schema's SQL returns");
      expect(demo.events.some((line) => line.includes(" (tombstone) → "))).toBe(true);
      // No colour where the output is no terminal.
      expect(demo.output).not.toContain("\u001b");
      await demo.nothingLeft();
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "goes on until Ctrl-C, then ends everything",
    async () => {
      await using demo = new Demo([]);
      await waitFor(() => demo.events.length > 3 || demo.child.exitCode !== null, {
        timeoutMs: START_TIMEOUT_MS,
        describe: () => `events on the terminal:\n${demo.output}`,
      });
      demo.child.kill("SIGINT");
      expect(await demo.exited, demo.output).toBe(0);
      await demo.nothingLeft();
    },
    TEST_TIMEOUT_MS,
  );
});
