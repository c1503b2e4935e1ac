import type { SchemaChange } from "../../shared/contracts/evolution/schema-change.ts";
import {
  type Conflict,
  changesSince,
  conflictsWith,
  describeConflict,
  type EarlierVersion,
  minorProblem,
  remedyFor,
  type VersionProblem,
} from "../../shared/contracts/evolution/verdict.ts";
import { type Diagnostic, diagnostic, diagnosticOfError } from "../../shared/manifest/diagnostic.ts";
import { publicSchemaPlace } from "../../shared/manifest/schema-place.ts";
import type { History } from "./history.ts";
import { type OwnSchema, versionName } from "./own-schemas.ts";
import { staleFiles } from "./schema-files.ts";

/** A public schema beside what is known of its major already. */
export interface Judgement {
  readonly own: OwnSchema;
  /** Of all histories, oldest first within each. */
  readonly earlier: readonly EarlierVersion[];
  /** What breaks with at least one of them. */
  readonly conflicts: readonly Conflict[];
  /** A minor version that should be raised; only where there are no conflicts. */
  readonly minor: VersionProblem | undefined;
  /** The major that an incompatible change needs. */
  readonly nextMajor: number;
}

/** What changed since one version. */
export interface Difference {
  readonly since: EarlierVersion;
  readonly changes: readonly SchemaChange[];
}

/** Compares every schema with all versions that the histories have of it. Throws REGISTRY_*. */
export async function judgeSchemas(
  schemas: readonly OwnSchema[],
  histories: readonly History[],
): Promise<{ judgements: Judgement[]; diagnostics: Diagnostic[] }> {
  const judgements: Judgement[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const own of schemas) {
    const earlier: EarlierVersion[] = [];
    for (const history of histories) {
      try {
        earlier.push(...(await history.versionsOf(own)));
      } catch (error) {
        const invalid = diagnosticOfError(error, publicSchemaPlace(own.loaded, own.resolved.schema));
        if (invalid.code !== "SCHEMA_FILES_INVALID") throw error;
        diagnostics.push(invalid);
      }
    }
    const { version } = own.resolved.schema;
    const conflicts = conflictsWith(earlier, own.contract);
    const minor = conflicts.length === 0 ? minorProblem(earlier, own.contract, version) : undefined;
    judgements.push({ own, earlier, conflicts, minor, nextMajor: nextMajor(own, schemas, histories) });
  }
  return { judgements, diagnostics };
}

function nextMajor(own: OwnSchema, schemas: readonly OwnSchema[], histories: readonly History[]): number {
  const { manifestSlug, schema } = own.resolved;
  const same = schemas.filter(
    ({ resolved }) => resolved.manifestSlug === manifestSlug && resolved.schema.name === schema.name,
  );
  const majors = same.map(({ resolved }) => resolved.schema.version.major);
  return Math.max(...majors, ...histories.map((history) => history.highestMajor(own))) + 1;
}

/** Everything that is wrong, as a check reports it. Pure. */
export function checkSchemas(judgements: readonly Judgement[], histories: readonly History[]): Diagnostic[] {
  return [
    ...histories.flatMap((history) => history.diagnostics),
    ...judgements.flatMap((judgement) => judged(judgement)),
    ...judgements.flatMap((judgement) => stale(judgement, histories)),
  ];
}

function judged({ own, conflicts, minor, nextMajor: major }: Judgement): Diagnostic[] {
  const place = publicSchemaPlace(own.loaded, own.resolved.schema);
  const found = conflicts.map((conflict) =>
    diagnostic(
      "SCHEMA_INCOMPATIBLE",
      "error",
      place,
      `${versionName(own)}: ${describeConflict(conflict, major)}`,
      remedyFor(conflict, major),
    ),
  );
  if (minor === undefined) return found;
  return [
    ...found,
    diagnostic("SCHEMA_VERSION_NOT_RAISED", "error", place, `${versionName(own)}: ${minor.message}`),
  ];
}

/** What a wrong version leaves to be written anyway is not worth saying yet. */
function stale({ own, conflicts, minor }: Judgement, histories: readonly History[]): Diagnostic[] {
  if (conflicts.length > 0 || minor !== undefined) return [];
  const found = histories.flatMap(({ files }) => (files === undefined ? [] : staleFiles(files, own)));
  if (found.length === 0) return [];
  const place = publicSchemaPlace(own.loaded, own.resolved.schema);
  return [diagnostic("SCHEMA_FILES_STALE", "error", place, `${versionName(own)}: ${found.join(", ")}`)];
}

/** What changed since the newest version of each history. */
export async function differencesTo(own: OwnSchema, histories: readonly History[]): Promise<Difference[]> {
  const differences: Difference[] = [];
  for (const history of histories) {
    const versions = await history.versionsOf(own);
    // A registry has a newest version for the key and one for the value.
    for (const part of ["key", "value"] as const) {
      const since = versions.findLast(({ contract }) => contract[part] !== undefined);
      if (since === undefined || differences.some((each) => each.since === since)) continue;
      differences.push({ since, changes: changesSince(since, own.contract) });
    }
  }
  return differences;
}
