import { RejotError } from "../shared/errors/error.ts";
import { type BackfillRecord, backfillName, encodeBackfill } from "../shared/kafka/backfill-record.ts";
import { encodePublished, type PublishedRecord } from "../shared/kafka/published-record.ts";
import { backfillSetting } from "../shared/manifest/backfill.ts";
import { comparePublished } from "./backfill/published.ts";
import type { ProgressNote } from "./ports.ts";
import type { ProgressWatcher } from "./progress/kafka-progress.ts";
import type { SessionContext } from "./session-context.ts";
import { type RemovalContext, removingBackfills } from "./session-removal.ts";

/** What a source that has taken over writes down of what it publishes. */
export interface Followed {
  /** Empty when everything is as it was. */
  readonly notes: readonly ProgressNote[];
  /** Of public schemas that have missed changes. */
  readonly backfills: ReadonlyMap<string, BackfillRecord>;
}

/** What following begins with. */
export interface FollowOptions extends RemovalContext {
  readonly watcher: ProgressWatcher;
  /** Everything is read again anyway. */
  readonly rebuilds: boolean;
}

/**
 * Compares what is published with what the source before has published. A public schema that was out of the manifest for a
 * while has missed changes: its rows are to be read again, and what is gone removed. The notes belong together, and into
 * the transaction after which it is followed again: were it written down before its backfill, a crash between the two
 * would make that be forgotten. Throws KAFKA_*.
 */
export async function followPublished(options: FollowOptions): Promise<Followed> {
  const { context, transformations, watcher, rebuilds } = options;
  const { publicSchemas } = context.source;
  const topics = new Map(publicSchemas.map(({ schema, topic }) => [backfillName(schema), topic]));
  const ends = watcher.progress?.ends ?? {};
  const before = watcher.published;
  const { record, missed } = comparePublished({
    before,
    now: new Map(
      publicSchemas.map(({ schema }, i) => [backfillName(schema), transformations.reader.uses(i)]),
    ),
    backfilled: new Map([...watcher.backfills].map(([name, { uses }]) => [name, uses])),
    hasEvents: (name) => Object.keys(ends[topics.get(name) ?? ""] ?? {}).length > 0,
  });
  const backfills = rebuilds || missed.size === 0 ? new Map() : await missedBackfills(options, missed);
  const notes = [...backfills].map(([name, backfill]) => encodeBackfill(name, backfill));
  return { notes: isEqual(before, record) ? notes : [...notes, encodePublished(record)], backfills };
}

/** They begin, or wait for an operator where the manifest says so; a rebuild that was not over is part of them. */
async function missedBackfills(
  options: FollowOptions,
  missed: ReadonlyMap<string, readonly string[]>,
): Promise<ReadonlyMap<string, BackfillRecord>> {
  const { context, watcher } = options;
  const records = new Map<string, BackfillRecord>();
  for (const [name, record] of await removingBackfills(options, new Set(missed.keys()))) {
    const error = new RejotError("SCHEMA_MISSED_CHANGES", {
      detail: `${name}, ${missed.get(name)?.join(", ")}`,
    });
    const { code, message, hint } = error;
    const runs = modeOf(context, name) === "auto";
    const previous = watcher.backfills.get(name);
    records.set(name, {
      ...record,
      ...(runs ? {} : { state: "paused", error: `${code}: ${message}` }),
      rebuild: previous?.state === "done" ? null : (previous?.rebuild ?? null),
    });
    context.log.warn(
      { code, schema: name, backfill: runs ? "begins" : "waits to be resumed", hint },
      message,
    );
  }
  return records;
}

function modeOf({ source }: SessionContext, name: string): "auto" | "manual" | undefined {
  const found = source.publicSchemas.find(({ schema }) => backfillName(schema) === name);
  return found && backfillSetting(found.schema, source.config).mode;
}

function isEqual(a: PublishedRecord | undefined, b: PublishedRecord): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
