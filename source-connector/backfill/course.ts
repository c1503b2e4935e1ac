import {
  type BackfillCommand,
  type BackfillRecord,
  owesAllRows,
  stateAfter,
} from "../../shared/kafka/backfill-record.ts";
import type { Chunk, ChunkTable } from "../ports.ts";

/** What a source that has taken over does about a public schema. */
export type Beginning = "start" | "go on" | "rest";

/**
 * A schema that was never backfilled, or that now uses a table it did not use then, begins; one that is under way goes
 * on. A failed one is tried again: what made it fail may have been mended in the meantime.
 */
export function beginning(
  mode: "auto" | "manual",
  uses: readonly string[],
  recorded: BackfillRecord | undefined,
): Beginning {
  const isNew = recorded === undefined || uses.some((table) => !recorded.uses.includes(table));
  if (isNew && mode === "auto") return "start";
  return recorded !== undefined && ["running", "paused", "failed"].includes(recorded.state)
    ? "go on"
    : "rest";
}

/** What a backfill is made from. */
export interface Order {
  readonly id: string;
  readonly uses: readonly string[];
  readonly where: string | null;
  readonly rowsPerSecond: number | null;
  readonly command: string | null;
  readonly nowMs: number;
}

/** A backfill before its first row; its tables are still to be found. */
export function newRecord({ nowMs, uses, ...order }: Order): BackfillRecord {
  return {
    ...order,
    uses: [...uses],
    state: "running",
    tables: [],
    at: 0,
    after: null,
    rows: 0,
    events: 0,
    overtaken: 0,
    estimatedRows: 0,
    startedAt: nowMs,
    updatedAt: nowMs,
    error: null,
    rebuild: null,
    removal: null,
    removed: 0,
    waits: false,
  };
}

/**
 * A backfill that takes the place of another. While the rebuild that the one before was part of is not over it goes on: all
 * rows are read again, and then what is gone is removed.
 */
export function restarted(record: BackfillRecord | undefined, order: Order): BackfillRecord {
  const isOver = record === undefined || record.state === "done";
  if (isOver || (record.rebuild === null && record.removal === null)) return newRecord(order);
  const { rebuild, removal, removed } = record;
  return { ...newRecord({ ...order, where: null }), rebuild, removal, removed };
}

/**
 * The record with the tables that are to be read. The place is kept while it is about the same tables and keys: a
 * table whose primary key is another one, or of another type or collation, is read from its beginning.
 */
export function withTables(
  record: BackfillRecord,
  tables: readonly ChunkTable[],
  estimatedRows: number,
): BackfillRecord {
  const found = tables.map(({ table, keyColumns, keyTypes }) => ({
    table,
    keyColumns: [...keyColumns],
    ...(keyTypes === undefined ? {} : { keyTypes: [...keyTypes] }),
  }));
  const passed = record.tables.slice(0, record.at).every(({ table }, i) => found[i]?.table === table);
  const known = record.tables[record.at];
  const kept = passed && known !== undefined && isSameOrder(known, found[record.at]);
  const place = kept ? { at: record.at, after: record.after } : { at: passed ? record.at : 0, after: null };
  return { ...record, tables: found, estimatedRows: Math.max(estimatedRows, record.rows), ...place };
}

function isSameOrder(known: ChunkTable, found: ChunkTable | undefined): boolean {
  const { table, keyColumns, keyTypes = found?.keyTypes } = known;
  return (
    JSON.stringify([table, keyColumns, keyTypes]) ===
    JSON.stringify([found?.table, found?.keyColumns, found?.keyTypes])
  );
}

/** The record once a chunk of the table it is at is through. */
export function afterChunk(record: BackfillRecord, chunk: Chunk, nowMs: number): BackfillRecord {
  const rows = record.rows + chunk.rows;
  const place = chunk.finished
    ? { at: record.at + 1, after: null }
    : { at: record.at, after: chunk.last === null ? record.after : [...chunk.last] };
  const isOver = place.at >= record.tables.length && record.removal === null;
  const state = isOver ? ("done" as const) : record.state;
  return { ...record, ...place, state, rows, updatedAt: nowMs };
}

/**
 * What a command makes of a backfill; undefined when it was followed already, or there is nothing to follow it with.
 * One that comes too late to change anything counts as followed all the same: it must not change a later backfill.
 * `begin` makes a new one; it is not asked where that `isRefused`.
 */
export function obeyed(
  record: BackfillRecord | undefined,
  command: BackfillCommand,
  nowMs: number,
  begin: () => BackfillRecord,
): BackfillRecord | undefined {
  if (record?.command === command.id) return undefined;
  if (record !== undefined && isRefused(record, command)) return { ...record, command: command.id };
  if (command.action === "start") return begin();
  if (record === undefined) return undefined;
  const state = stateAfter(command.action, record.state);
  if (state === undefined) return { ...record, command: command.id };
  return { ...record, state, waits: false, error: null, command: command.id, updatedAt: nowMs };
}

/** Whether a command would leave out rows that are still to be published. */
export function isRefused(record: BackfillRecord | undefined, { action, where }: BackfillCommand): boolean {
  return action === "start" && where !== null && record !== undefined && owesAllRows(record);
}
