import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MOVED_CLOCK = fileURLToPath(new URL("moved-clock.ts", import.meta.url));

/** A clock that a fault sets wrong. `await using` removes its file. */
export interface Clock extends AsyncDisposable {
  /** For the processes whose clock it is. */
  readonly env: Record<string, string>;
  /** By so many milliseconds, from now on; negative is set back. */
  set(ms: number): Promise<void>;
}

/** The clock of connectors. */
export async function connectorClock(): Promise<Clock> {
  return clock(
    (file) => ({ NODE_OPTIONS: `--import ${MOVED_CLOCK}`, REJOT_TEST_CLOCK: file }),
    (ms) => String(ms),
  );
}

/** The clock of a server, by libfaketime; only what tells the time of day is moved. */
export async function serverClock(): Promise<Clock> {
  const library = await findFaketime();
  return clock(
    (file) => ({
      LD_PRELOAD: library ?? "",
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      FAKETIME_DISABLE_SHM: "1",
    }),
    (ms) => `${ms < 0 ? "-" : "+"}${Math.abs(ms / 1_000)}`,
  );
}

/** Why a server's clock cannot be set here. */
export async function noFaketime(): Promise<string | undefined> {
  if ((await findFaketime()) !== undefined) return undefined;
  return "libfaketime is not installed (Debian: apt-get install faketime)";
}

async function findFaketime(): Promise<string | undefined> {
  for (const parent of ["/usr/lib", "/usr/local/lib"]) {
    for (const folder of ["", ...(await readdir(parent).catch(() => []))]) {
      const directory = join(parent, folder, "faketime");
      const files = await readdir(directory).catch(() => [] as string[]);
      if (files.includes("libfaketime.so.1")) return join(directory, "libfaketime.so.1");
    }
  }
  return undefined;
}

async function clock(
  env: (file: string) => Record<string, string>,
  text: (ms: number) => string,
): Promise<Clock> {
  const directory = await mkdtemp(join(tmpdir(), "rejot-kafka-clock-"));
  // Postgres runs as another user.
  await chmod(directory, 0o755);
  const file = join(directory, "clock");
  await writeFile(file, text(0));
  return {
    env: env(file),
    set: (ms) => writeFile(file, text(ms)),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}
