import { readFile } from "node:fs/promises";

/** What a process has used since it began. */
export interface Usage {
  /** User and system time of all its threads, in seconds. */
  readonly cpuSeconds: number;
  /** The most memory it has had resident at once. */
  readonly peakRssBytes: number;
}

/** Ticks of /proc in a second: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Reads /proc (Linux). Undefined elsewhere and for a process that has ended. */
export async function readUsage(pid: number): Promise<Usage | undefined> {
  try {
    const [stat, status] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile(`/proc/${pid}/status`, "utf8"),
    ]);
    return parseUsage(stat, status);
  } catch {
    return undefined;
  }
}

/** Takes /proc/<pid>/stat and /proc/<pid>/status apart. */
export function parseUsage(stat: string, status: string): Usage {
  // The second field is the program's name in parentheses and may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  const peakKilobytes = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]);
  return { cpuSeconds: ticks / TICKS_PER_SECOND, peakRssBytes: peakKilobytes * 1024 };
}
