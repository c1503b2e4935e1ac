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
  readonly children?: readonly number[];
}

/** Time spent in a place itself; what Node's own code and native code took counts for whoever called it. */
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

/** A part of the profile, in milliseconds since its start. */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Sums the samples of a window up by function and by package; paths below `root` are shown from there. */
export function summarizeProfile(profile: CpuProfile, root: string, window: Window): ProfileSummary {
  const owners = ownersOf(profile.nodes, root);
  const functions = new Map<string, number>();
  const packages = new Map<string, number>();
  let busyMicros = 0;
  let idleMicros = 0;
  let atMicros = 0;
  profile.samples.forEach((id, i) => {
    atMicros += profile.timeDeltas[i] ?? 0;
    if (atMicros < window.fromMs * 1000 || atMicros >= window.toMs * 1000) return;
    // The first delta counts from the profile's start; a negative one is a clock that was set.
    const micros = Math.max(0, profile.timeDeltas[i + 1] ?? 0);
    const owner = owners.get(id);
    if (owner === undefined) return;
    if (owner.function === "(idle)") {
      idleMicros += micros;
      return;
    }
    busyMicros += micros;
    add(functions, owner.function, micros);
    add(packages, owner.package, micros);
  });
  return {
    busyMilliseconds: Math.round(busyMicros / 1000),
    idleMilliseconds: Math.round(idleMicros / 1000),
    functions: ranked(functions, busyMicros),
    packages: ranked(packages, busyMicros),
  };
}

interface Owner {
  readonly function: string;
  readonly package: string;
}

/** Whom each node's time counts for: the nearest function up the stack that is in a file of the clone. */
function ownersOf(nodes: readonly ProfileNode[], root: string): Map<number, Owner> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children }) => (children ?? []).map((child) => [child, id])));
  const start = `file://${root}/`;
  return new Map(
    nodes.map((node) => {
      for (
        let at: ProfileNode | undefined = node;
        at !== undefined;
        at = byId.get(parents.get(at.id) ?? -1)
      ) {
        const { functionName, url, lineNumber } = at.callFrame;
        // CommonJS modules have a path for a URL.
        const file = url.startsWith(start)
          ? url.slice(start.length)
          : url.startsWith(`${root}/`)
            ? url.slice(root.length + 1)
            : undefined;
        if (file === undefined) continue;
        const name = `${functionName || "(anonymous)"} ${file}:${lineNumber + 1}`;
        return [node.id, { function: name, package: packageOf(file) }];
      }
      const name = node.callFrame.functionName || "(anonymous)";
      const place =
        name.startsWith("(") || node.callFrame.url === "" ? name : `${name} ${node.callFrame.url}`;
      return [node.id, { function: place, package: name.startsWith("(") ? name : "Node itself" }];
    }),
  );
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

/** `kafkajs`, `@scope/name`, `source-connector/encoder`. */
function packageOf(file: string): string {
  const inside = file.split("node_modules/").at(-1)?.split("/") ?? [];
  return inside.slice(0, file.includes("node_modules/") && !inside[0]?.startsWith("@") ? 1 : 2).join("/");
}
