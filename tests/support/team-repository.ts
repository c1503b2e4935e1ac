import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { inject } from "vitest";
import { createDatabase } from "./database.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const IDENTITY = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"];

/** What a script gave. */
export interface ScriptResult {
  readonly exitCode: number;
  /** Both streams, in the order of writing but for what Node buffers. */
  readonly output: string;
}

/** Text of a file to replace; every `from` must be there. */
export type Edit = readonly [file: string, from: string | RegExp, to: string];

/** A team's repository, made of an example; `origin/main` is where its main branch is when it was last merged. */
export class TeamRepository implements AsyncDisposable {
  readonly directory: string;
  readonly #bin: string;

  private constructor(directory: string, bin: string) {
    this.directory = directory;
    this.#bin = bin;
  }

  /** Copies `examples/ci/<example>`, with some of its text replaced, and commits it. */
  static async create(example: string, edits: readonly Edit[]): Promise<TeamRepository> {
    const parent = await mkdtemp(join(tmpdir(), "rejot-team-"));
    const [directory, bin] = [join(parent, "team"), join(parent, "bin")];
    await cp(join(ROOT, "examples/ci", example), directory, { recursive: true });
    await mkdir(bin);
    const command = join(bin, "rejot-kafka");
    await writeFile(command, `#!/bin/sh\nexec '${process.execPath}' '${ROOT}cli/main.ts' "$@"\n`);
    await chmod(command, 0o755);
    const repository = new TeamRepository(directory, bin);
    await repository.git("init", "--quiet", "--initial-branch=main");
    await repository.edit(...edits);
    return repository;
  }

  async edit(...edits: readonly Edit[]): Promise<void> {
    for (const [file, from, to] of edits) {
      const path = join(this.directory, file);
      const text = await readFile(path, "utf8").catch(() => "");
      if (typeof from === "string" ? !text.includes(from) : !from.test(text)) {
        throw new Error(`${file} has no ${from}`);
      }
      await writeFile(path, text.replace(from, to));
    }
  }

  /** Adds a file. */
  async add(file: string, text: string): Promise<void> {
    await writeFile(join(this.directory, file), text);
  }

  /** Runs `rejot-kafka`; throws when it fails. */
  async rejot(...args: string[]): Promise<void> {
    await promisify(execFile)("rejot-kafka", args, { cwd: this.directory, env: this.#environment() });
  }

  /** Commits everything; with `merge`, as what others compare with from then on. */
  async commit({ merge = false } = {}): Promise<void> {
    await this.git("add", "--all");
    await this.git("commit", "--quiet", "--allow-empty", "--message", "a change");
    if (merge) await this.git("update-ref", "refs/remotes/origin/main", "HEAD");
  }

  /** Goes back to what was merged last. */
  async reset(): Promise<void> {
    await this.git("reset", "--quiet", "--hard", "origin/main");
    await this.git("clean", "-fdq");
  }

  /** Runs a script of the example, from elsewhere, on a database that nobody has used. */
  async run(script: string, env: Record<string, string> = {}): Promise<ScriptResult> {
    await using database = await createDatabase();
    const environment = { ...this.#environment(), DATABASE_URL: database.url, ...env };
    return await new Promise((resolve) => {
      execFile(
        join(this.directory, script),
        { cwd: tmpdir(), env: environment, timeout: 60_000 },
        (error, stdout, stderr) => {
          const exitCode = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
          resolve({ exitCode, output: stdout + stderr });
        },
      );
    });
  }

  async git(...args: string[]): Promise<void> {
    await promisify(execFile)("git", [...IDENTITY, ...args], { cwd: this.directory });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(join(this.directory, ".."), { recursive: true, force: true });
  }

  #environment(): NodeJS.ProcessEnv {
    const { brokers, registryUrl } = inject("stack");
    return {
      ...process.env,
      PATH: `${this.#bin}:${process.env.PATH}`,
      SCHEMA_REGISTRY_URL: registryUrl,
      KAFKA_BROKERS: brokers[0],
      MIGRATE: `'${process.execPath}' '${ROOT}tests/support/migrate.ts'`,
    };
  }
}
