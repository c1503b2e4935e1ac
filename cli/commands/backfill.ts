import { randomUUID } from "node:crypto";
import { type Command, InvalidArgumentError } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import {
  type BackfillCommand,
  type BackfillRecord,
  backfillName,
  MIN_ROWS_PER_SECOND,
  owesAllRows,
  stateAfter,
} from "../../shared/kafka/backfill-record.ts";
import { delay } from "../../shared/lifecycle/backoff.ts";
import { loadManifests } from "../../shared/manifest/load.ts";
import { resolveWorkspace } from "../../shared/manifest/workspace.ts";
import { isPlainCondition } from "../../shared/postgres/sql/condition.ts";
import { commandLine, progressLine } from "../backfill/progress-line.ts";
import type { ProgressTopic } from "../backfill/progress-topic.ts";
import { type CliContext, Exit } from "../context.ts";
import { withExamples } from "../help.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";

interface BackfillFlags extends JsonFlag {
  readonly schema?: string;
  readonly where?: string;
  readonly rate?: number;
  readonly watch?: boolean;
}

/** A public schema and the progress topic that speaks of it. */
interface Target {
  readonly name: string;
  readonly topic: ProgressTopic;
}

/** How long a running source may take to follow a command, beyond which it is said that it will. */
const FOLLOWED_MS = 15_000;
const POLL_MS = 250;
const WATCH_MS = 1_000;

/** `backfill`: publish the rows that are there already, and see how far that is. */
export function addBackfill(parent: Command, context: CliContext): void {
  const group = parent.command("backfill").description("publish the rows that are there already");
  withExamples(group, "backfill status .", "backfill start . --schema account --watch");

  const status = common(group.command("status"))
    .description("show how far the backfills are; exit code 1 when one has failed")
    .action((manifests: string[], flags: BackfillFlags) =>
      withTargets(manifests, flags, context, (targets) => show(targets, flags, context)),
    );
  withExamples(status, "backfill status .", "backfill status accounts --schema account.v2 --watch");

  const start = common(group.command("start"))
    .description("publish all rows of a public schema again, or those of a condition")
    .option("--where <condition>", "an SQL condition on the columns of the table that is read")
    .option("--rate <rows>", "rows a second at most", rowsPerSecond)
    .action((manifests: string[], flags: BackfillFlags) =>
      withTargets(manifests, flags, context, (targets) => ask("start", targets, flags, context)),
    );
  withExamples(
    start,
    "backfill start . --schema account",
    `backfill start . --schema account --where "created_at > now() - interval '1 day'" --rate 500`,
  );

  for (const [action, does] of [
    ["pause", "stop reading after the portion that is under way; resume goes on there"],
    ["resume", "go on with what is paused, or has failed and is mended"],
    ["cancel", "end a backfill; what it has published stays"],
  ] as const) {
    const command = common(group.command(action))
      .description(does)
      .action((manifests: string[], flags: BackfillFlags) =>
        withTargets(manifests, flags, context, (targets) => ask(action, targets, flags, context)),
      );
    withExamples(command, `backfill ${action} .`, `backfill ${action} . --schema account`);
  }
}

function common(command: Command): Command {
  return addJsonOption(command)
    .argument("<manifests...>", "manifest files, or folders that hold one")
    .option("--schema <public-schema>", "one public schema: its name, or its name and major as in account.v2")
    .option("--watch", "print how far it is every second until nothing runs any more");
}

function rowsPerSecond(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value >= MIN_ROWS_PER_SECOND) return value;
  throw new InvalidArgumentError(`${MIN_ROWS_PER_SECOND} at least is expected; backfill pause stops it`);
}

async function withTargets(
  manifests: readonly string[],
  { schema }: BackfillFlags,
  { env }: CliContext,
  work: (targets: readonly Target[]) => Promise<void>,
): Promise<void> {
  const { sources } = await resolveWorkspace(await loadManifests(manifests), env, ["source"]);
  const { setLogLevel } = await import("../../shared/observability/logger.ts");
  const { ProgressTopic } = await import("../backfill/progress-topic.ts");
  setLogLevel("silent");
  await using cleanup = new AsyncDisposableStack();
  const targets: Target[] = [];
  for (const source of sources) {
    const topic = new ProgressTopic(source);
    cleanup.defer(() => topic.close());
    for (const publicSchema of source.publicSchemas) {
      const name = backfillName(publicSchema.schema);
      if (schema === undefined || schema === name || schema === publicSchema.schema.name)
        targets.push({ name, topic });
    }
  }
  if (targets.length === 0) {
    const known = sources.flatMap((source) => source.publicSchemas.map((p) => backfillName(p.schema)));
    const detail = schema === undefined ? "no public schema is published from a data store" : `"${schema}"`;
    throw new RejotError("USAGE", { detail: `${detail}; there are: ${known.join(", ") || "none"}` });
  }
  await work(targets);
}

async function ask(
  action: BackfillCommand["action"],
  targets: readonly Target[],
  flags: BackfillFlags,
  context: CliContext,
): Promise<void> {
  const { where = null, rate = null } = flags;
  if (action === "start" && targets.length > 1) {
    const names = targets.map(({ name }) => name).join(", ");
    throw new RejotError("USAGE", { detail: `--schema has to name one of several public schemas: ${names}` });
  }
  if (where !== null && !(await isPlainCondition(where)))
    throw new RejotError("BACKFILL_CONDITION_INVALID", { detail: where });
  await refresh(targets);
  const fitting = targets.filter((target) => fits(action, target));
  if (fitting.length === 0) {
    const states = targets.map(
      ({ name, topic }) => `${name} ${topic.records.get(name)?.state ?? "has none"}`,
    );
    throw new RejotError("BACKFILL_NOT_UNDER_WAY", { detail: `${action}: ${states.join(", ")}` });
  }
  if (where !== null) for (const { name, topic } of fitting) requireAllRows(name, topic.records.get(name));
  const command: BackfillCommand = { id: randomUUID(), action, where, rowsPerSecond: rate };
  for (const { name, topic } of fitting) await topic.send(name, command);
  const followed = await waitUntilFollowed(fitting, command);
  if (where !== null) {
    for (const { name, topic } of fitting) {
      const record = topic.records.get(name);
      // Something else has begun since the look before.
      if (record?.command === command.id && record.where !== where) throw unfinished(name, record);
    }
  }
  if (!followed) context.warn("No source has followed yet: the first that runs will.");
  await show(fitting, { ...flags, watch: flags.watch === true && followed }, context);
}

/** Throws BACKFILL_UNFINISHED: a condition would take the place of all rows. */
function requireAllRows(name: string, record: BackfillRecord | undefined): void {
  if (record !== undefined && owesAllRows(record)) throw unfinished(name, record);
}

function unfinished(name: string, { state, rows, rebuild }: BackfillRecord): RejotError {
  const what = rebuild === null ? state : `rebuild ${state}`;
  return new RejotError("BACKFILL_UNFINISHED", {
    detail: `${name}: ${what} after ${rows.toLocaleString("en-US")} rows`,
  });
}

/** Whether a command has something to change: a backfill, or a start that no source has followed yet. */
function fits(action: BackfillCommand["action"], { name, topic }: Target): boolean {
  if (action === "start") return true;
  if (stateAfter(action, topic.records.get(name)?.state) !== undefined) return true;
  return action === "cancel" && topic.unfollowed(name)?.action === "start";
}

/** A cancel that only takes a start back has nobody to follow it. */
async function waitUntilFollowed(
  asked: readonly Target[],
  { action, id }: BackfillCommand,
): Promise<boolean> {
  const targets = asked.filter(
    ({ name, topic }) =>
      action !== "cancel" || stateAfter(action, topic.records.get(name)?.state) !== undefined,
  );
  const deadlineMs = Date.now() + FOLLOWED_MS;
  while (Date.now() < deadlineMs) {
    await refresh(targets);
    if (targets.every(({ name, topic }) => topic.records.get(name)?.command === id)) return true;
    await delay(POLL_MS);
  }
  return false;
}

async function show(targets: readonly Target[], flags: BackfillFlags, context: CliContext): Promise<void> {
  const before = new Map<string, { readonly rows: number; readonly atMs: number }>();
  for (;;) {
    await refresh(targets);
    const shown = targets.map((target) => described(target, before));
    const isRunning = targets.some(({ name, topic }) => topic.records.get(name)?.state === "running");
    const last = flags.watch !== true || !isRunning;
    if (last || flags.json !== true)
      printResult(
        context,
        flags,
        shown.map(({ json }) => json),
        () => shown.map(({ text }) => text).join("\n"),
      );
    if (last) break;
    await delay(WATCH_MS);
  }
  if (targets.some(({ name, topic }) => topic.records.get(name)?.state === "failed")) throw new Exit(1);
}

/** The rate is that of the time since it was last looked, or of all of it where this is the first look. */
function described(
  { name, topic }: Target,
  before: Map<string, { readonly rows: number; readonly atMs: number }>,
): { json: object; text: string } {
  const { manifestSlug, dataStoreSlug } = topic.source;
  const about = { manifest: manifestSlug, dataStore: dataStoreSlug, schema: name };
  const record = topic.records.get(name);
  const asked = topic.unfollowed(name);
  const waits = asked === undefined ? "" : `\n  asked for and not followed yet: ${commandLine(asked)}`;
  if (record === undefined)
    return {
      json: { ...about, state: null, asked: asked ?? null },
      text: `${name}: there was none yet${waits}`,
    };
  const { rows, startedAt, updatedAt } = record;
  const from = before.get(name) ?? { rows: 0, atMs: startedAt };
  const rate = updatedAt > from.atMs ? ((rows - from.rows) * 1_000) / (updatedAt - from.atMs) : undefined;
  if (!before.has(name) || updatedAt > from.atMs) before.set(name, { rows, atMs: updatedAt });
  return {
    json: { ...about, ...record, asked: asked ?? null },
    text: `${progressLine(name, record, rate)}${waits}`,
  };
}

async function refresh(targets: readonly Target[]): Promise<void> {
  for (const topic of new Set(targets.map((target) => target.topic))) await topic.refresh();
}
