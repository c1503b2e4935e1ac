import { z } from "zod";
import { RejotError } from "../errors/error.ts";

/** Starts the keys of records of the progress topic that say how far the backfill of a public schema is. */
const STATE_KEY = "backfill:";
/** Starts the keys of records by which an operator speaks to the source. */
const COMMAND_KEY = "backfill-command:";

/** The slowest that a backfill may be told to be: a row in 100 seconds. One that is slower is better paused. */
export const MIN_ROWS_PER_SECOND = 0.01;

const columnValues = z.array(z.string().nullable());

/** Topic partition → offset. */
const offsets = z.record(z.string(), z.string());

const recordSchema = z.object({
  /** Of this run of the backfill. */
  id: z.string(),
  state: z.enum(["running", "paused", "done", "cancelled", "failed"]),
  /** The tables that the schema's transformations spoke of: a further one means that there is more to publish. */
  uses: z.array(z.string()),
  /** The tables that are read, one after the other, and which of them it is at. */
  tables: z.array(
    z.object({
      table: z.string(),
      keyColumns: z.array(z.string()),
      /** What the keys' order depends on; older versions do not write it. */
      keyTypes: z.array(z.string()).optional(),
    }),
  ),
  at: z.number().int().min(0),
  /** The key of the last row of that table that is through; null at its beginning. */
  after: columnValues.nullable(),
  /** Rows read, events published of them, and those left out because a change had overtaken them. */
  rows: z.number(),
  events: z.number(),
  overtaken: z.number(),
  estimatedRows: z.number(),
  /** An SQL condition on the rows. */
  where: z.string().nullable(),
  rowsPerSecond: z.number().nullable(),
  /** Milliseconds since 1970. */
  startedAt: z.number(),
  updatedAt: z.number(),
  /** The last command that was followed. */
  command: z.string().nullable(),
  /** Why it failed. */
  error: z.string().nullable(),
  /** The rebuild that it is part of. */
  rebuild: z.string().nullable().default(null),
  /** What is still to be removed once all rows are read; null when there is nothing. */
  removal: z
    .object({
      /** Where the topic ended when the rebuild began: a key that has no event from there on is gone. */
      ends: offsets,
      /** The partition it is at. */
      partition: z.number().int().min(0),
    })
    .nullable()
    .default(null),
  /** Tombstones published for what was gone. */
  removed: z.number().default(0),
  /** Nothing is read yet: transactions that were writing when it began have not ended. */
  waits: z.boolean().default(false),
});

const commandSchema = z.object({
  id: z.string(),
  action: z.enum(["start", "pause", "resume", "cancel"]),
  where: z.string().nullable(),
  rowsPerSecond: z.number().positive().nullable(),
});

/** How far the backfill of a public schema is; what a source goes on from. */
export type BackfillRecord = Readonly<z.infer<typeof recordSchema>>;

/** What an operator asks of the source that is active, now or later. */
export type BackfillCommand = Readonly<z.infer<typeof commandSchema>>;

/** What stands behind a key of the progress topic that has to do with backfills. */
export type BackfillEntry =
  | { readonly kind: "state"; readonly schema: string; readonly record: BackfillRecord }
  | { readonly kind: "command"; readonly schema: string; readonly command: BackfillCommand };

/** The name of a public schema in these records: `<name>.v<major>`. */
export function backfillName(schema: { name: string; version: { major: number } }): string {
  return `${schema.name}.v${schema.version.major}`;
}

/** Whether all rows are read, and what is gone is being removed. */
export function isRemoving({ state, removal, tables, at }: BackfillRecord): boolean {
  return state === "running" && removal !== null && tables.length > 0 && at >= tables.length;
}

/** Whether all rows are still to be published, or what is gone to be removed: a part of them must not take the place of that. */
export function owesAllRows({ state, where, rebuild, removal }: BackfillRecord): boolean {
  if (state === "done") return false;
  // Cancelling leaves changes missing that only all rows make up for.
  if (rebuild !== null || removal !== null) return true;
  return where === null && state !== "cancelled";
}

type State = BackfillRecord["state"];

const AFTER: Record<Exclude<BackfillCommand["action"], "start">, Partial<Record<State, State>>> = {
  pause: { running: "paused", failed: "paused" },
  resume: { paused: "running", failed: "running" },
  cancel: { running: "cancelled", paused: "cancelled", failed: "cancelled" },
};

/** What a command makes of the state of a backfill; undefined where it changes nothing. */
export function stateAfter(
  action: Exclude<BackfillCommand["action"], "start">,
  state: State | undefined,
): State | undefined {
  return state === undefined ? undefined : AFTER[action][state];
}

/** The last command, where no source has followed it yet and it would change something. */
export function unfollowed(
  command: BackfillCommand | undefined,
  record: BackfillRecord | undefined,
): BackfillCommand | undefined {
  if (command === undefined || command.id === record?.command) return undefined;
  if (command.action === "start") return command;
  return stateAfter(command.action, record?.state) === undefined ? undefined : command;
}

/** The record that says how far a backfill is. */
export function encodeBackfill(schema: string, record: BackfillRecord): { key: string; value: string } {
  return { key: `${STATE_KEY}${schema}`, value: JSON.stringify(record) };
}

/** The record that asks something of the source. */
export function encodeBackfillCommand(
  schema: string,
  command: BackfillCommand,
): { key: string; value: string } {
  return { key: `${COMMAND_KEY}${schema}`, value: JSON.stringify(command) };
}

/**
 * Reads a record of the progress topic; undefined when it is about something else, or a command that is not understood:
 * one from a newer version must not keep a source from working. Throws BACKFILL_RECORD_INVALID for a state.
 */
export function decodeBackfill(key: string, value: string): BackfillEntry | undefined {
  if (key.startsWith(STATE_KEY))
    return { kind: "state", schema: key.slice(STATE_KEY.length), record: read(recordSchema, value) };
  if (!key.startsWith(COMMAND_KEY)) return undefined;
  try {
    return { kind: "command", schema: key.slice(COMMAND_KEY.length), command: read(commandSchema, value) };
  } catch {
    return undefined;
  }
}

function read<T>(schema: z.ZodType<T>, value: string): T {
  try {
    return schema.parse(JSON.parse(value));
  } catch (cause) {
    throw new RejotError("BACKFILL_RECORD_INVALID", { detail: value.slice(0, 200), cause });
  }
}
