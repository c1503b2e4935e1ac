import util from "node:util";
import type { ConsumerSchema, PublicSchema } from "../manifest/schema.ts";

/** A place in a source file. */
export interface SourcePlace {
  /** Absolute path or URL, as the runtime names the module. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/**
 * A schema that code created, and the calls that led to it: innermost first, the last in the module whose evaluation
 * it was.
 */
export type CreatedSchema = { readonly places: readonly SourcePlace[] } & (
  | { readonly kind: "public"; readonly schema: PublicSchema }
  | { readonly kind: "consumer"; readonly schema: ConsumerSchema }
);

const created: CreatedSchema[] = [];

/**
 * Remembers a schema at its creation. `collect` finds it here whether its file exports it or not: a schema that
 * is written but not exported was meant all the same.
 */
export function recordSchema(entry: Pick<CreatedSchema, "kind" | "schema">): void {
  created.push({ ...entry, places: callers() } as CreatedSchema);
}

/** All schemas created in this process so far, in the order of their creation. */
export function createdSchemas(): readonly CreatedSchema[] {
  return created;
}

const OWN_FILES = /\/shared\/contracts\/(api|created-schemas)\.[jt]s$/;
/** More than the depth of any factory of schemas. */
const FRAMES = 100;

function callers(): SourcePlace[] {
  // Node 20 has no getCallSites; a service that imports its own schemas there needs none.
  const sites = util.getCallSites?.(FRAMES) ?? [];
  // Behind the loader stands who imported the module, which says nothing about the schema.
  const loader = sites.findIndex((site) => site.scriptName.startsWith("node:internal/modules/"));
  return sites
    .slice(0, loader < 0 ? undefined : loader)
    .filter(
      (site) =>
        site.scriptName !== "" && !site.scriptName.startsWith("node:") && !OWN_FILES.test(site.scriptName),
    )
    .map((site) => ({ file: site.scriptName, line: site.lineNumber, column: site.columnNumber }));
}
