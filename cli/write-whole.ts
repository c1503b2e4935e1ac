import { mkdir, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Writes a file: a reader, or a crash in between, sees the old one or the new one. Its mode stays. Throws what the file
 * system throws, and leaves nothing behind then.
 */
export async function writeWhole(file: string, text: string): Promise<void> {
  // A rename over a symbolic link would replace the link instead of the file it leads to.
  const target = await realpath(file).catch(() => file);
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(target), { recursive: true });
    const mode = (await stat(target).catch(() => undefined))?.mode ?? 0o644;
    const handle = await open(temporary, "w", mode & 0o777);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, target);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    throw cause;
  }
}
