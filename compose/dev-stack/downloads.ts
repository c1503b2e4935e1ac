import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { copyFile, mkdir, open, readFile, rename, rm, stat, statfs } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { RejotError } from "../../shared/errors/error.ts";
import { guardDirectory, guardProcess, releaseDirectory, releaseProcess } from "./guardian/guardian.ts";

/** Receives one line of progress at a time, for the terminal. */
export type OnProgress = (line: string) => void;

/** The parts that come from Maven Central. */
export type Part = "kafka" | "registry";

/** What Maven is asked for. */
export interface Download {
  /** Start of the directory's name. */
  readonly slug: string;
  /** For the terminal, with its size. */
  readonly title: string;
  /** Path of a pom.xml. */
  readonly pom: string;
  /** Goals of the dependency plugin and their options; they write into the property outputDirectory. */
  readonly goals: readonly string[];
}

const POM = fileURLToPath(new URL("pom.xml", import.meta.url));
const PARTS: Record<Part, Download> = {
  kafka: {
    slug: "kafka",
    title: "Apache Kafka (45 jars, 43 MB)",
    pom: POM,
    goals: ["dependency:copy-dependencies", "-DincludeScope=runtime"],
  },
  registry: {
    slug: "registry",
    title: "Apicurio Registry (one archive, 140 MB)",
    pom: POM,
    goals: ["dependency:unpack"],
  },
};

/** Space for Maven's own copies and ours. */
const DOWNLOAD_BYTES = 500e6;
const LOCK_POLL_MS = 500;
const SILENCE_MS = 5000;
/** Where Maven writes, inside the directory of an unfinished download. */
const OUTPUT = "output";

/** Where downloads are kept: outside of the clone, so that the next one need not fetch them again. */
export function cacheDirectory(env: Record<string, string | undefined>): string {
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "rejot-kafka");
}

/** Makes sure that a part is there and returns its directory; `fetchDownload` says more. */
export async function fetchPart(part: Part, cacheDir: string, onProgress: OnProgress): Promise<string> {
  return fetchDownload(PARTS[part], cacheDir, onProgress);
}

/**
 * Makes sure that a download is there and returns its directory. The directory's name holds a hash of the pom, so
 * another version never meets old files; it appears by a rename, so it is there whole or not at all.
 * Throws STACK_MAVEN_MISSING, STACK_DOWNLOAD_FAILED, STACK_DISK_FULL, STACK_DIRECTORY_UNUSABLE.
 */
export async function fetchDownload(
  download: Download,
  cacheDir: string,
  onProgress: OnProgress,
): Promise<string> {
  const hash = createHash("sha256")
    .update(await readFile(download.pom))
    .digest("hex")
    .slice(0, 12);
  const target = join(cacheDir, `${download.slug}-${hash}`);
  if (await exists(target)) return target;
  await makeDirectory(cacheDir);
  await requireSpace(cacheDir, DOWNLOAD_BYTES);
  // Maven 3 is not safe when two of it fill one local repository, so only one process downloads at a time.
  await using _lock = await acquireLock(join(cacheDir, "download.lock"), onProgress);
  if (await exists(target)) return target;
  const partial = join(cacheDir, `.partial-${randomUUID()}`);
  guardDirectory(partial);
  try {
    await makeDirectory(partial);
    onProgress(`fetching ${download.title} from Maven Central`);
    await runMaven(download, partial, onProgress);
    await rename(join(partial, OUTPUT), target);
  } catch (error) {
    await requireSpace(cacheDir, 10e6);
    throw error;
  } finally {
    await rm(partial, { recursive: true, force: true });
    releaseDirectory(partial);
  }
  return target;
}

/** Throws STACK_DISK_FULL when fewer bytes are free. */
export async function requireSpace(directory: string, bytes: number): Promise<void> {
  const disk = await statfs(directory);
  const freeBytes = disk.bavail * disk.bsize;
  if (freeBytes >= bytes) return;
  const megabytes = (value: number): string => `${Math.floor(value / 1e6)} MB`;
  throw new RejotError("STACK_DISK_FULL", {
    detail: `${directory} has ${megabytes(freeBytes)} free, ${megabytes(bytes)} are needed`,
  });
}

/** Makes a directory and its parents; throws STACK_DIRECTORY_UNUSABLE. */
export async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
  } catch (cause) {
    throw new RejotError("STACK_DIRECTORY_UNUSABLE", { detail: directory, cause });
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function runMaven(download: Download, directory: string, onProgress: OnProgress): Promise<void> {
  // Beside the pom Maven leaves markers that say "unpacked already" to the next download, so it gets a copy.
  const pom = join(directory, "pom.xml");
  await copyFile(download.pom, pom);
  const output = `-DoutputDirectory=${join(directory, OUTPUT)}`;
  const child = spawn("mvn", ["--batch-mode", "--file", pom, ...download.goals, output], {
    stdio: ["ignore", "pipe", "pipe"],
    // Its own group: the guardian ends it and all it started when this process is interrupted.
    detached: true,
  });
  const { pid } = child;
  if (pid !== undefined) guardProcess(pid, "SIGKILL");
  const errors: string[] = [];
  let files = 0;
  const startedMs = Date.now();
  let lastReportMs = startedMs;
  // One file may take minutes, and Maven says nothing in the meantime.
  const silence = setInterval(() => {
    const nowMs = Date.now();
    if (nowMs - lastReportMs < SILENCE_MS) return;
    lastReportMs = nowMs;
    onProgress(`  still downloading, ${Math.round((nowMs - startedMs) / 1000)} s so far`);
  }, 1000);
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line.includes("[ERROR]")) errors.push(line.trim());
    if (!line.includes("Downloaded from")) return;
    files += 1;
    if (Date.now() - lastReportMs < 1000) return;
    lastReportMs = Date.now();
    // The last part of the address is the file's name, its size and the speed.
    onProgress(`  ${files} files so far, ${line.slice(line.lastIndexOf("/", line.indexOf(" (")) + 1)}`);
  });
  child.stderr.resume();
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("close", resolve);
    child.once("error", (cause) => reject(new RejotError("STACK_MAVEN_MISSING", { cause })));
  }).finally(() => clearInterval(silence));
  if (pid !== undefined) releaseProcess(pid);
  if (code === 0) return;
  throw new RejotError("STACK_DOWNLOAD_FAILED", {
    detail: errors[0] ?? `mvn ended with exit code ${code}`,
  });
}

/** A file that holds the id of the process that made it; one that a dead process left behind is taken over. */
async function acquireLock(path: string, onProgress: OnProgress): Promise<AsyncDisposable> {
  for (let told = false; ; told = true) {
    try {
      const file = await open(path, "wx");
      await file.writeFile(String(process.pid));
      await file.close();
      return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST")
        throw new RejotError("STACK_DIRECTORY_UNUSABLE", { detail: path, cause });
    }
    if (await isStale(path)) {
      await rm(path, { force: true });
      continue;
    }
    if (!told) onProgress("another process is downloading; waiting for it");
    await delay(LOCK_POLL_MS);
  }
}

async function isStale(path: string): Promise<boolean> {
  const pid = Number(await readFile(path, "utf8").catch(() => "0"));
  // Empty for the moment between making the file and writing to it.
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
