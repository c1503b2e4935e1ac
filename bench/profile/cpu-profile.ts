/** What `node --cpu-prof` writes, the part that is used here. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** Node ids, one a sample. */
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}

/** Time spent in a place itself, callees left out. */
export interface SelfTime {
  readonly place: string;
  readonly milliseconds: number;
  /** Of the time that the process was not idle: 0 to 1. */
  readonly share: number;
}

/** Where the time went: functions and packages, most first. */
export interface ProfileSummary {
  readonly busyMilliseconds: number;
  readonly idleMilliseconds: number;
  readonly functions: readonly SelfTime[];
  readonly packages: readonly SelfTime[];
}

/** Sums samples up by function and by package; paths below `root` are shown from there. */
export function summarizeProfile(profile: CpuProfile, root: string): ProfileSummary {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const functions = new Map<string, number>();
  const packages = new Map<string, number>();
  let busyMicros = 0;
  let idleMicros = 0;
  profile.samples.forEach((id, i) => {
    const frame = nodes.get(id);
    // The first delta counts from the profile's start; a negative one is a clock that was set.
    const micros = Math.max(0, profile.timeDeltas[i + 1] ?? 0);
    if (frame === undefined) return;
    if (frame.functionName === "(idle)") {
      idleMicros += micros;
      return;
    }
    busyMicros += micros;
    const path = frame.url.replace(`file://${root}/`, "").replace("file://", "");
    const name = frame.functionName === "" ? "(anonymous)" : frame.functionName;
    add(functions, path === "" ? name : `${name} ${path}:${frame.lineNumber + 1}`, micros);
    add(packages, packageOf(path, name), micros);
  });
  return {
    busyMilliseconds: Math.round(busyMicros / 1000),
    idleMilliseconds: Math.round(idleMicros / 1000),
    functions: ranked(functions, busyMicros),
    packages: ranked(packages, busyMicros),
  };
}

function add(sums: Map<string, number>, place: string, micros: number): void {
  sums.set(place, (sums.get(place) ?? 0) + micros);
}

function ranked(sums: ReadonlyMap<string, number>, totalMicros: number): SelfTime[] {
  return [...sums]
    .map(([place, micros]) => ({
      place,
      milliseconds: Math.round(micros / 1000),
      share: totalMicros === 0 ? 0 : micros / totalMicros,
    }))
    .sort((a, b) => b.share - a.share);
}

/** `kafkajs`, `source-connector/encoder`, `node:net`, `(garbage collector)`. */
function packageOf(path: string, name: string): string {
  if (path === "") return name.startsWith("(") ? name : "(native)";
  if (path.startsWith("node:")) return path;
  const inside = path.split("node_modules/").at(-1)?.split("/") ?? [];
  return inside.slice(0, path.includes("node_modules/") && !inside[0]?.startsWith("@") ? 1 : 2).join("/");
}
