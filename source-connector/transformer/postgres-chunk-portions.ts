import { RejotError } from "../../shared/errors/error.ts";
import {
  isTransientPostgresError,
  type PostgresClient,
  postgresError,
  sqlState,
} from "../../shared/postgres/client.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import { bracketed } from "../../shared/postgres/sql/condition.ts";
import { quoteIdentifier } from "../../shared/postgres/table-info.ts";
import type { Chunk, ChunkRequest, TextEvent } from "../ports.ts";
import type { ChunkSchema } from "./chunk-tables.ts";
import { FailedRun, StatementRuns } from "./statement-runs.ts";

/** What a portion of a chunk, which is one round trip, brings at most, beside its first row. */
const PORTION_BYTES = 512_000;
const FIRST_PORTION_ROWS = 100;
const MAX_PORTION_ROWS = 1_000;
const INSUFFICIENT_PRIVILEGE = "42501";
const NOWHERE = { commitLsn: 0n as Lsn, index: 0 };

type TextRow = (string | null)[];

/** Reads chunks in portions, in whatever transaction the client is in. */
export class ChunkPortions {
  /** Adapts to the size of the rows: the server looks at as many, to find out how many of them are enough. */
  #portionRows = FIRST_PORTION_ROWS;

  /** Throws what `chunkError` makes an error for people of. */
  async read(
    client: PostgresClient,
    schema: ChunkSchema,
    request: Omit<ChunkRequest, "table" | "contains">,
  ): Promise<Chunk> {
    const events: TextEvent[] = [];
    const maxBytes = Math.min(PORTION_BYTES, request.maxBytes);
    let rows = 0;
    let bytes = 0;
    let last: readonly (string | null)[] | null = null;
    for (;;) {
      const limit = Math.min(this.#portionRows, request.maxRows - rows);
      const { page, isCut } = await rowsAfter(
        client,
        schema,
        { ...request, after: last ?? request.after },
        limit,
        maxBytes,
      );
      const made = await transform(client, schema, request.schema, page);
      const size = sizeOf(page) + made.reduce((sum, event) => sum + sizeOf([event.row ?? []]), 0);
      events.push(...made);
      rows += page.length;
      bytes += size;
      last = page.at(-1)?.slice(0, schema.keyColumns.length) ?? last;
      if (page.length > 0) this.#adapt(size / page.length);
      const finished = page.length < limit && !isCut;
      if (finished || rows >= request.maxRows || bytes >= request.maxBytes)
        return { events, rows, last, finished };
    }
  }

  #adapt(bytesPerRow: number): void {
    const rows = Math.floor(PORTION_BYTES / Math.max(1, bytesPerRow));
    this.#portionRows = Math.max(1, Math.min(MAX_PORTION_ROWS, rows, this.#portionRows * 4));
  }
}

/** Ends the transaction that reading failed in, and gives the error that says why. */
export async function chunkError(client: PostgresClient, error: unknown): Promise<unknown> {
  await client.query("ROLLBACK").catch(() => {});
  if (error instanceof FailedRun) return error.findFailingRow(client).catch(() => error.error);
  return codedChunkError(error);
}

/** An error of reading with a code. */
export function codedChunkError(error: unknown): unknown {
  return error instanceof RejotError ? error : postgresError(error, "reading what is already there");
}

/** Runs a SELECT over a chunk's table; `where` is an operator's part of it. */
export async function chunkPage(
  client: PostgresClient,
  sql: string,
  values: readonly (string | null)[],
  where: string | null,
): Promise<TextRow[]> {
  try {
    return (await client.query<TextRow>({ text: sql, values: [...values], rowMode: "array" })).rows;
  } catch (cause) {
    const isRefused = sqlState(cause) === INSUFFICIENT_PRIVILEGE;
    if (sqlState(cause) === undefined || isTransientPostgresError(cause) || isRefused) throw cause;
    const { message } = cause as Error;
    if (where !== null)
      throw new RejotError("BACKFILL_CONDITION_INVALID", { detail: `${where}: ${message}`, cause });
    throw new RejotError("TRANSFORMATION_OUTDATED", { detail: message, cause });
  }
}

/** The WHERE clause of conditions, all of which are to hold. */
export function condition(conditions: readonly string[]): string {
  return conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
}

/**
 * Compares and sorts by the key's own operators and collations, so that its index serves both. The server ends the page
 * before it grows too large, whatever the rows before it were like: what it has sent is in memory here.
 */
async function rowsAfter(
  client: PostgresClient,
  { table, keyColumns, columns, unboundedColumns }: ChunkSchema,
  { after, where }: Pick<ChunkRequest, "after" | "where">,
  limit: number,
  maxBytes: number,
): Promise<{ page: TextRow[]; isCut: boolean }> {
  const key = keyColumns.map(quoteIdentifier).join(", ");
  const behind = `(${key}) > (${keyColumns.map((_, i) => `$${i + 1}`).join(", ")})`;
  const conditions = [...(after === null ? [] : [behind]), ...(where === null ? [] : [bracketed(where)])];
  const list = columns.map(quoteIdentifier).join(", ");
  // The limit stands in the text: planned for any limit, a sort of the whole table could seem the better way.
  const rows = (more: string) =>
    `SELECT ${list}${more} FROM ${table}${condition(conditions)} ORDER BY ${key} LIMIT ${limit}`;
  if (unboundedColumns.length === 0)
    return { page: await chunkPage(client, rows(""), after ?? [], where), isCut: false };
  const sql = `
    SELECT ${list}, _rejot_total FROM (
      SELECT *, sum(_rejot_size) OVER (ORDER BY ${key} ROWS UNBOUNDED PRECEDING) AS _rejot_total
        FROM (${rows(`, ${unboundedColumns.map(sizeSql).join(" + ")} AS _rejot_size`)}) AS _rejot_rows) AS _rejot_page
     WHERE _rejot_total - _rejot_size < ${maxBytes} ORDER BY ${key}`;
  const page = await chunkPage(client, sql, after ?? [], where);
  let total = 0;
  for (const row of page) total = Number(row.pop());
  return { page, isCut: total >= maxBytes };
}

/** About the bytes of a value's text. A value that is compressed is looked into: a few bytes may stand for megabytes. */
function sizeSql(column: string): string {
  const name = quoteIdentifier(column);
  const size = `CASE WHEN pg_column_compression(${name}) IS NULL THEN pg_column_size(${name}) ELSE octet_length(${name}::text) END`;
  return `coalesce(${size}, 0)::float8`;
}

async function transform(
  client: PostgresClient,
  schema: ChunkSchema,
  index: number,
  page: readonly TextRow[],
): Promise<TextEvent[]> {
  const runs = new StatementRuns();
  const outcomes = page.map((row) => runs.add(schema.plan, row, schema.columnIndex));
  await runs.execute(client);
  return outcomes.flatMap(({ rows, columns }) =>
    rows.map((row): TextEvent => {
      return { schema: index, op: "r", position: NOWHERE, commitTimeMs: 0, row, keyRow: row, columns };
    }),
  );
}

/** Characters are near enough to bytes; what a value costs beside them counts for empty ones. */
function sizeOf(rows: readonly (readonly (string | null)[])[]): number {
  let bytes = 0;
  for (const row of rows) for (const value of row) bytes += 16 + (value?.length ?? 0);
  return bytes;
}
