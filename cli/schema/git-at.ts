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
    return new GitAt(folder, top.trimEnd(), commit);
  }

  /** The text of a file; undefined when the commit does not have it. */
  async read(path: string): Promise<string | undefined> {
    const listed = await this.#run(["ls-tree", "-z", "--full-name", this.#commit, "--", path]);
    if (listed === "") return undefined;
    return this.#run(["show", `${this.#commit}:./${path}`]);
  }

  /** The files under a folder, by their paths from it with forward slashes; empty when the commit does not have it. */
  async readAll(folder: string, wanted: (path: string) => boolean): Promise<Map<string, string>> {
    if (!`${resolve(this.#folder, folder)}${sep}`.startsWith(`${this.#top}${sep}`)) return new Map();
    const listed = await this.#run(["ls-tree", "-r", "-z", "--name-only", this.#commit, "--", `${folder}/`]);
    const files = new Map<string, string>();
    for (const path of listed.split("\0").filter((each) => each !== "")) {
      const inside = path.slice(folder.length + 1);
      if (wanted(inside)) files.set(inside, await this.#run(["show", `${this.#commit}:./${path}`]));
    }
    return files;
  }

  async #run(args: readonly string[]): Promise<string> {
    return git(this.#folder, args).catch((cause: GitError) => {
      throw new RejotError("GIT_FAILED", { detail: cause.message.trim(), cause });
    });
  }
}

async function lookUp(folder: string, ref: string): Promise<string | undefined> {
  const args = ["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`];
  const text = await git(folder, args).catch(() => undefined);
  return text?.trim();
}

async function refMissing(folder: string, ref: string): Promise<RejotError> {
  const detail = `"${ref}" is no commit, branch or tag of this clone`;
  if ((await lookUp(folder, `refs/remotes/origin/${ref}`)) !== undefined) {
    return new RejotError("GIT_FAILED", {
      detail,
      hint: `There is origin/${ref}: compare with git:origin/${ref}.`,
    });
  }
  const shallow = (await git(folder, ["rev-parse", "--is-shallow-repository"]).catch(() => "")).trim();
  if (shallow !== "true") return new RejotError("GIT_FAILED", { detail });
  const fetch = `git fetch --depth=1 origin ${ref}`;
  return new RejotError("GIT_FAILED", {
    detail: `${detail}, which is shallow`,
    hint: `Fetch it first (${fetch}, then compare with git:FETCH_HEAD), or clone everything (fetch-depth: 0).`,
  });
}

interface GitError extends Error {
  code?: string | number | null;
}

function git(folder: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { cwd: folder, maxBuffer: MAX_BYTES, encoding: "utf8" as const };
    execFile("git", args, options, (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
  });
}
