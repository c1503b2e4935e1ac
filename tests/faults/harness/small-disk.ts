import { execFile } from "node:child_process";
import { mkdtemp, rm, statfs, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A file system of its own that can be full. `await using` removes it. */
export interface SmallDisk extends AsyncDisposable {
  readonly directory: string;
  /** Takes what is left of it. */
  fill(): Promise<void>;
  /** Gives it back. */
  clear(): Promise<void>;
}

/** Mounts one of so many megabytes, in memory. */
export async function smallDisk(megabytes: number): Promise<SmallDisk> {
  const directory = await mkdtemp(join(tmpdir(), "rejot-kafka-disk-"));
  await run("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=777`, "tmpfs", directory]);
  const filler = join(directory, "filler");
  return {
    directory,
    fill: async () => {
      const { bavail, bsize } = await statfs(directory);
      await writeFile(filler, Buffer.alloc(bavail * bsize)).catch((error: NodeJS.ErrnoException) => {
        // The server has taken some of it meanwhile.
        if (error.code !== "ENOSPC") throw error;
      });
    },
    clear: () => truncate(filler, 0),
    [Symbol.asyncDispose]: async () => {
      // Lazily: a server that has just ended may still have a file open.
      await run("umount", ["--lazy", directory]);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Why no file system can be mounted here. */
export async function noSmallDisk(): Promise<string | undefined> {
  try {
    await using _disk = await smallDisk(1);
    return undefined;
  } catch (error) {
    return `a small file system cannot be mounted: ${(error as Error).message.trim()}`;
  }
}
