import type { PublishedRecord } from "../../shared/kafka/published-record.ts";

/** What a source knows that has taken over. */
export interface PublishedKnown {
  /** What the one before has written; undefined when there was none, or one of a version that did not. */
  readonly before: PublishedRecord | undefined;
  /** The tables that each public schema of the manifest uses, by name. */
  readonly now: ReadonlyMap<string, readonly string[]>;
  /** The tables that each backfill used which the progress topic knows of. */
  readonly backfilled: ReadonlyMap<string, readonly string[]>;
  /** Whether the topic of a public schema has events. */
  readonly hasEvents: (name: string) => boolean;
}

/** What follows from it. */
export interface PublishedCompared {
  /** What is to be written. */
  readonly record: PublishedRecord;
  /** By public schema the tables whose changes it has missed: they, or all of it, were not published for a while. */
  readonly missed: ReadonlyMap<string, readonly string[]>;
}

/**
 * Compares what is published with what was. A schema that is new has missed nothing, a table neither that it uses for the
 * first time: what they hold is read once. One that was there before, was taken out, and is back has missed what changed
 * meanwhile, deletions too, of which nothing else tells.
 */
export function comparePublished({ before, now, backfilled, hasEvents }: PublishedKnown): PublishedCompared {
  const schemas: Record<string, { uses: string[]; left: string[] }> = {};
  const missed = new Map<string, readonly string[]>();
  const names = new Set([...Object.keys(before?.schemas ?? {}), ...backfilled.keys(), ...now.keys()]);
  for (const name of [...names].sort()) {
    const uses = now.get(name) ?? [];
    const known = before?.schemas[name];
    const once = known === undefined ? (backfilled.get(name) ?? []) : [...known.uses, ...known.left];
    schemas[name] = {
      uses: [...uses],
      left: [...new Set(once)].filter((table) => !uses.includes(table)).sort(),
    };
    // Before there was a record, whoever is in the manifest is taken to have been in it.
    if (before === undefined) continue;
    const wasOut = known === undefined ? backfilled.has(name) || hasEvents(name) : known.uses.length === 0;
    const tables = wasOut ? uses : uses.filter((table) => known?.left.includes(table));
    if (tables.length > 0) missed.set(name, tables);
  }
  return { record: { schemas }, missed };
}
