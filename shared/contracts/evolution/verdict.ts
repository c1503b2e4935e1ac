import { compareKeys, compareValues } from "./compare-contracts.ts";
import type { Contract, SchemaChange } from "./schema-change.ts";

/** A version of the same major that exists already. */
export interface EarlierVersion {
  /** Where it stands, as messages name it: `v1.0 in schemas`, `v1.1 on main`, `version 3 in the registry`. */
  readonly origin: string;
  /** Both schemas, or the one of the registry's subject. */
  readonly contract: Partial<Contract>;
  /** Undefined where it is not known: a registry counts versions in its own way. */
  readonly minor?: number;
}

/** A breaking change, and every version it breaks with. */
export interface Conflict {
  readonly change: SchemaChange;
  readonly origins: readonly string[];
}

/** A minor version that does not say what it should. */
export interface VersionProblem {
  /** What is wrong, a sentence. */
  readonly message: string;
  /** The minor version to use instead. */
  readonly minor: number;
}

/** All changes since one version. */
export function changesSince(earlier: EarlierVersion, now: Contract): SchemaChange[] {
  const { key, value } = earlier.contract;
  return [
    ...(key === undefined ? [] : compareKeys(key, now.key)),
    ...(value === undefined ? [] : compareValues(value, now.value)),
  ];
}

/** FULL_TRANSITIVE: what breaks with any version of the same major, not only with the latest. */
export function conflictsWith(earlier: readonly EarlierVersion[], now: Contract): Conflict[] {
  const conflicts = new Map<string, { change: SchemaChange; origins: string[] }>();
  for (const version of earlier) {
    for (const change of changesSince(version, now)) {
      if (change.breaks.length === 0) continue;
      const id = JSON.stringify([change.part, change.path, change.message]);
      const conflict = conflicts.get(id);
      if (conflict === undefined) conflicts.set(id, { change, origins: [version.origin] });
      else if (!conflict.origins.includes(version.origin)) conflict.origins.push(version.origin);
    }
  }
  return [...conflicts.values()];
}

/**
 * Whether the declared minor says that something changed: a minor that stands somewhere already has one form only,
 * and none goes back behind the highest. For compatible changes; undefined when it is as it should be.
 */
export function minorProblem(
  earlier: readonly EarlierVersion[],
  now: Contract,
  declared: { readonly major: number; readonly minor: number },
): VersionProblem | undefined {
  const known = earlier.filter((version) => version.minor !== undefined);
  const highest = Math.max(-1, ...known.map((version) => version.minor ?? -1));
  const called = `${declared.major}.${declared.minor}`;
  for (const version of known.filter(({ minor }) => minor === declared.minor)) {
    const changes = changesSince(version, now).filter(({ bump }) => bump === "minor");
    if (changes.length === 0) continue;
    const what = changes.map(({ message }) => message).join("; ");
    const minor = highest + 1;
    return {
      minor,
      message: `${what}; ${version.origin} has another form, so this is version ${declared.major}.${minor}`,
    };
  }
  if (declared.minor >= highest) return undefined;
  const newest = known.find(({ minor }) => minor === highest);
  const changed = newest !== undefined && changesSince(newest, now).some(({ bump }) => bump === "minor");
  const minor = changed ? highest + 1 : highest;
  return { minor, message: `it says version ${called}, and there is ${newest?.origin} already` };
}

/** One conflict in words, the same in a check and at a connector's start. */
export function describeConflict({ change, origins }: Conflict, nextMajor: number): string {
  return `${change.message} (against ${origins.join(", ")}; it needs version ${nextMajor}.0)`;
}
