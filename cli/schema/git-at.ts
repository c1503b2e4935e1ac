import { execFile } from "node:child_process";
import { resolve, sep } from "node:path";
import { RejotError } from "../../shared/errors/error.ts";

const MAX_BYTES = 64 * 1024 * 1024;

/** Files as of a commit, read from git's store: neither index nor work tree is touched. Paths are relative to `folder`. */
export class GitAt {
  readonly #folder: string;
  readonly #top: string;
  readonly #commit: string;

  private constructor(folder: string, top: string, commit: string) {
    this.#folder = folder;
    this.#top = top;
    this.#commit = commit;
  }

  /**
   * Looks the ref up. Throws GIT_FAILED when git is not installed, the folder is in no repository, or the ref is not
   * in this clone; the hint says how to get it.
   */
  static async open(folder: string, ref: string): Promise<GitAt> {
    const top = await git(folder, ["rev-parse", "--show-toplevel"]).catch((cause: GitError) => {
      const missing = cause.code === "ENOENT";
      const detail = missing ? "there is no git executable" : `${folder} is in no git repository`;
      const hint = missing
        ? "Install git, or compare with schemas or the registry."
        : "Run it inside the repository, or compare with schemas or the registry.";
      throw new RejotError("GIT_FAILED", { detail, hint, cause });
    });
    const commit = await lookUp(folder, ref);
    if (commit === undefined) throw await refMissing(folder, ref);
    return new GitAt(folder, top.toString().trimEnd(), commit);
  }

  /** The text of a file; undefined when the commit does not have it. */
  async read(path: string): Promise<string | undefined> {
    const [entry] = await this.#list([], path);
    return entry === undefined ? undefined : (await this.#texts([entry]))[0];
  }

  /** The files under a folder, by their paths from it with forward slashes; empty when the commit does not have it. */
  async readAll(folder: string, wanted: (path: string) => boolean): Promise<Map<string, string>> {
    if (!`${resolve(this.#folder, folder)}${sep}`.startsWith(`${this.#top}${sep}`)) return new Map();
    const listed = await this.#list(["-r"], `${folder}/`);
    const entries = listed
      .map(({ blob, path }) => ({ blob, path: path.slice(folder.length + 1) }))
      .filter(({ path }) => wanted(path));
    const texts = await this.#texts(entries);
    return new Map(entries.map(({ path }, i) => [path, texts[i] ?? ""]));
  }

  async #list(flags: readonly string[], path: string): Promise<GitEntry[]> {
    const listed = await this.#run(["ls-tree", "-z", ...flags, this.#commit, "--", path]);
    // <mode> <type> <object>\t<path>
    return listed
      .toString()
      .split("\0")
      .map((line) => /^\d+ blob (\w+)\t(.*)$/s.exec(line))
      .flatMap((match) => (match === null ? [] : [{ blob: match[1] ?? "", path: match[2] ?? "" }]));
  }

  /** One process for all of them: a history has many files. */
  async #texts(entries: readonly GitEntry[]): Promise<string[]> {
    if (entries.length === 0) return [];
    const output = await this.#run(["cat-file", "--batch"], entries.map(({ blob }) => `${blob}\n`).join(""));
    const texts: string[] = [];
    for (let at = 0; at < output.length; ) {
      // <object> <type> <size>\n<content>\n
      const start = output.indexOf(0x0a, at) + 1;
      const size = Number(output.subarray(at, start).toString().trim().split(" ")[2]);
      texts.push(output.subarray(start, start + size).toString());
      at = start + size + 1;
    }
    return texts;
  }

  async #run(args: readonly string[], input = ""): Promise<Buffer> {
    return git(this.#folder, args, input).catch((cause: GitError) => {
      throw new RejotError("GIT_FAILED", { detail: cause.message.trim(), cause });
    });
  }
}

interface GitEntry {
  /** Name of the object. */
  readonly blob: string;
  /** From the folder. */
  readonly path: string;
}

async function lookUp(folder: string, ref: string): Promise<string | undefined> {
  const args = ["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`];
  const text = await git(folder, args).catch(() => undefined);
  return text?.toString().trim();
}

async function refMissing(folder: string, ref: string): Promise<RejotError> {
  const detail = `"${ref}" is no commit, branch or tag of this clone`;
  if ((await lookUp(folder, `refs/remotes/origin/${ref}`)) !== undefined) {
    return new RejotError("GIT_FAILED", {
      detail,
      hint: `There is origin/${ref}: compare with git:origin/${ref}.`,
    });
  }
  const shallow = await git(folder, ["rev-parse", "--is-shallow-repository"]).catch(() => "");
  if (shallow.toString().trim() !== "true") return new RejotError("GIT_FAILED", { detail });
  const fetch = `git fetch --depth=1 origin ${ref}`;
  return new RejotError("GIT_FAILED", {
    detail: `${detail}, which is shallow`,
    hint: `Fetch it first (${fetch}, then compare with git:FETCH_HEAD), or clone everything (fetch-depth: 0).`,
  });
}

interface GitError extends Error {
  code?: string | number | null;
}

function git(folder: string, args: readonly string[], input = ""): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { cwd: folder, maxBuffer: MAX_BYTES, encoding: "buffer" as const };
    const child = execFile("git", args, options, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    );
    // A git that ends before it has read all says why in its exit code.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}
