import type { Node } from "../template.ts";

/** Whether a value can be null. "maybe" is said only where the statement and the catalogue show how. */
export type Nullness =
  | { readonly kind: "never" }
  | { readonly kind: "unknown" }
  | { readonly kind: "maybe"; readonly why: string };

export const NEVER: Nullness = { kind: "never" };
export const UNKNOWN: Nullness = { kind: "unknown" };

/** Null, for the reason given as a clause: "orders.note has no NOT NULL". */
export function maybe(why: string): Nullness {
  return { kind: "maybe", why };
}

/** What the parse tree does not say. */
export interface NullFacts {
  /**
   * The columns of a table as FROM names it, and which of them may be null; undefined for what is no table (a view's
   * columns say nothing about theirs).
   */
  table(schema: string | undefined, name: string): ReadonlyMap<string, "nullable" | "not null"> | undefined;
  /** Functions of that name; undefined when there are none or they differ. */
  function(name: string): { readonly strict: boolean; readonly aggregate: boolean } | undefined;
  /** What a placeholder stands for. */
  placeholder(name: string): Nullness;
}

/** A name in FROM. */
export interface Source {
  readonly name: string;
  /** Undefined where the columns are not known. */
  readonly columns: Map<string, Nullness> | undefined;
  /** Stands on the side of an outer join that may be missing. */
  outer: boolean;
}

/** The names that an expression can use: those of its own SELECT first, then those around it. */
export interface Scope {
  readonly sources: readonly Source[];
  readonly withQueries: ReadonlyMap<string, Map<string, Nullness> | undefined>;
  readonly around: Scope | undefined;
}

/** The source and column that a reference names; undefined where that is not clear from the tree. */
export function resolveColumn(
  reference: Node,
  scope: Scope | undefined,
): { source: Source; column: string } | undefined {
  const names = stringsOf(reference.fields);
  const column = names.at(-1);
  if (scope === undefined || column === undefined) return undefined;
  const qualifier = names.at(-2);
  const candidates = scope.sources.filter((source) =>
    qualifier === undefined ? (source.columns?.has(column) ?? false) : source.name === qualifier,
  );
  const [source] = candidates;
  // Of a column that USING merges, the side that is always there is what counts.
  if (source !== undefined)
    return { source: candidates.find((candidate) => !candidate.outer) ?? source, column };
  const hidden = qualifier === undefined && scope.sources.some((s) => s.columns === undefined);
  return hidden ? undefined : resolveColumn(reference, scope.around);
}

/** The values of a list of String nodes. */
export function stringsOf(list: unknown): string[] {
  return ((list as Node[] | undefined) ?? []).flatMap((item) => {
    const value = (item.String as Node | undefined)?.sval;
    return typeof value === "string" ? [value] : [];
  });
}
