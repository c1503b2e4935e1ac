import { compareKeys, compareValues } from "./compare-contracts.ts";
import type { ChangeKind, Contract, SchemaChange } from "./schema-change.ts";

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
  const differs = (version: EarlierVersion) => minorChanges(version, now).length > 0;
  const taken = known.find((version) => version.minor === declared.minor && differs(version));
  if (taken === undefined && declared.minor >= highest) return undefined;
  const newest = known.filter(({ minor }) => minor === highest);
  // A version that was raised and set back has its form already.
  const minor = highest > declared.minor && !newest.some(differs) ? highest : highest + 1;
  const should = `so this is version ${declared.major}.${minor}`;
  const message =
    taken === undefined
      ? `there is ${newest[0]?.origin} already, ${should}`
      : `${minorChanges(taken, now).join("; ")}; ${taken.origin} has another form, ${should}`;
  return { minor, message };
}

function minorChanges(version: EarlierVersion, now: Contract): string[] {
  return changesSince(version, now)
    .filter(({ bump }) => bump === "minor")
    .map(({ message }) => message);
}

/** One conflict in words, the same in a check and at a connector's start. */
export function describeConflict({ change, origins }: Conflict, nextMajor: number): string {
  return `${change.message} (against ${origins.join(", ")}; it needs version ${nextMajor}.0)`;
}

const REMEDIES: Partial<Record<ChangeKind, string>> = {
  "field-added": "Make the field nullable or optional, or give it a default.",
  "field-removed": "Keep the field until the next major version.",
  "field-renamed": "Keep the old field beside the new one.",
  nullable: "Keep it required (coalesce in the SELECT), or add a nullable field beside it.",
  "not-nullable": "Keep it nullable, or add a field with a default beside it.",
  "type-changed": "Keep the type, and add a field of the new type beside it.",
  "meaning-changed": "Keep the type, and add a field of the new type beside it.",
  "enum-value-added": "Publish a list that grows as z.string(), from the next major version on.",
  "enum-value-removed": "Keep the value in the list: events that have it are still in the topic.",
  "alternative-added": "Add a nullable field beside it.",
  "alternative-removed": "Keep the alternative: events that have it are still in the topic.",
  "name-changed": "Keep the form of the type, and add a nullable field beside it.",
  "key-changed": "Keep the key.",
};

/** What to do about a breaking change. */
export function remedyFor({ change }: Conflict, nextMajor: number): string {
  const remedy = REMEDIES[change.kind] ?? "Undo the change.";
  return `${remedy} Or publish it as version ${nextMajor}.0 beside this one (docs/evolution.md).`;
}
