import { RejotError } from "../../shared/errors/error.ts";
import {
  endPostgres,
  isTransientPostgresError,
  type PostgresClient,
  postgresError,
  sqlState,
} from "../../shared/postgres/client.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import { isPlainCondition } from "../../shared/postgres/sql/condition.ts";
import { quoteIdentifier } from "../../shared/postgres/table-info.ts";
import type { Chunk, ChunkReader, ChunkRequest, ChunkTable, TextEvent } from "../ports.ts";
import type { ChunkSchema, ChunkTables } from "./chunk-tables.ts";
import { awaitRunning, beginContaining } from "./postgres-snapshot.ts";
import { FailedRun, StatementRuns } from "./statement-runs.ts";

/** What a portion of a chunk, which is one round trip, should bring. */
const PORTION_BYTES = 512_000;
const FIRST_PORTION_ROWS = 100;
const MAX_PORTION_ROWS = 1_000;
const INSUFFICIENT_PRIVILEGE = "42501";
const NOWHERE = { commitLsn: 0n as Lsn, index: 0 };

type TextRow = (string | null)[];

/** Reads chunks on a connection of its own: the stream is not held up by them. */
export class PostgresChunkReader implements ChunkReader {
  readonly #connect: () => Promise<PostgresClient>;
  readonly #tables: ChunkTables;
  readonly #signal: AbortSignal;
  /** Adapts to the size of the rows: a portion is in memory twice before its size is known. */
  #portionRows = FIRST_PORTION_ROWS;
  #connection: Promise<PostgresClient> | undefined;

  /** Connects when there is something to read. */
  constructor(connect: () => Promise<PostgresClient>, tables: ChunkTables, signal: AbortSignal) {
    this.#connect = connect;
    this.#tables = tables;
    this.#signal = signal;
  }

  uses(schema: number): readonly string[] {
    return this.#tables.uses(schema);
  }

  async tables(schema: number): Promise<readonly ChunkTable[]> {
    return (await this.#tables.of(schema)).map(({ table, keyColumns }) => ({ table, keyColumns }));
  }

  async estimate({ table }: ChunkTable, where: string | null): Promise<number> {
    if (where !== null && !(await isPlainCondition(where)))
      throw new RejotError("BACKFILL_CONDITION_INVALID", { detail: where });
    const sql = `EXPLAIN (FORMAT JSON) SELECT FROM ${table}${condition(where === null ? [] : [`(${where})`])}`;
    const [row] = await this.#page(sql, [], where).catch((error: unknown) => {
      throw coded(error);
    });
    const plan = JSON.parse(row?.[0] ?? "[]") as { Plan?: { "Plan Rows"?: number } }[];
    return plan[0]?.Plan?.["Plan Rows"] ?? 0;
  }

  async quiesce(): Promise<void> {
    try {
      await awaitRunning(await this.#client(), this.#signal);
    } catch (error) {
      throw this.#signal.aborted ? error : coded(error);
    }
  }

  async read(request: ChunkRequest): Promise<Chunk> {
    const schema = (await this.#tables.of(request.schema)).find(({ table }) => table === request.table.table);
    if (schema === undefined) throw new RejotError("INTERNAL_ERROR", { detail: request.table.table });
    const client = await this.#client();
    try {
      await beginContaining(client, request.contains, this.#signal);
      const chunk = await this.#portions(schema, request);
      await client.query("COMMIT");
      return chunk;
    } catch (error) {
      throw await this.#afterFailure(client, error);
    }
  }

  async rest(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) await endPostgres(await connection);
  }

  #client(): Promise<PostgresClient> {
    this.#connection ??= this.#connect().catch((error: unknown) => {
      this.#connection = undefined;
      throw error;
    });
    return this.#connection;
  }

  async #portions(schema: ChunkSchema, request: ChunkRequest): Promise<Chunk> {
    const events: TextEvent[] = [];
    let rows = 0;
    let bytes = 0;
    let last: readonly (string | null)[] | null = null;
    for (;;) {
      const limit = Math.min(this.#portionRows, request.maxRows - rows);
      const page = await this.#rowsAfter(schema, last ?? request.after, request.where, limit);
      const made = await this.#transform(schema, request.schema, page);
      const size = sizeOf(page) + made.reduce((sum, event) => sum + sizeOf([event.row ?? []]), 0);
      events.push(...made);
      rows += page.length;
      bytes += size;
      last = page.at(-1)?.slice(0, schema.keyColumns.length) ?? last;
      if (page.length > 0) this.#adapt(size / page.length);
      const finished = page.length < limit;
      if (finished || rows >= request.maxRows || bytes >= request.maxBytes)
        return { events, rows, last, finished };
    }
  }

  #adapt(bytesPerRow: number): void {
    const rows = Math.floor(PORTION_BYTES / Math.max(1, bytesPerRow));
    this.#portionRows = Math.max(1, Math.min(MAX_PORTION_ROWS, rows, this.#portionRows * 4));
  }

  /** Compares and sorts by the key's own operators and collations, so that its index serves both. */
  #rowsAfter(
    { table, keyColumns, columns }: ChunkSchema,
    after: readonly (string | null)[] | null,
    where: string | null,
    limit: number,
  ): Promise<TextRow[]> {
    const key = keyColumns.map(quoteIdentifier).join(", ");
    const behind = `(${key}) > (${keyColumns.map((_, i) => `$${i + 1}`).join(", ")})`;
    const conditions = [...(after === null ? [] : [behind]), ...(where === null ? [] : [`(${where})`])];
    // The limit stands in the text: planned for any limit, a sort of the whole table could seem the better way.
    const sql = `SELECT ${columns.map(quoteIdentifier).join(", ")} FROM ${table}${condition(conditions)} ORDER BY ${key} LIMIT ${limit}`;
    return this.#page(sql, after ?? [], where);
  }

  async #page(sql: string, values: readonly (string | null)[], where: string | null): Promise<TextRow[]> {
    try {
      const client = await this.#client();
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

  async #transform(schema: ChunkSchema, index: number, page: readonly TextRow[]): Promise<TextEvent[]> {
    const runs = new StatementRuns();
    const outcomes = page.map((row) => runs.add(schema.plan, row, schema.columnIndex));
    await runs.execute(await this.#client());
    return outcomes.flatMap(({ rows, columns }) =>
      rows.map((row): TextEvent => {
        return { schema: index, op: "r", position: NOWHERE, commitTimeMs: 0, row, keyRow: row, columns };
      }),
    );
  }

  async #afterFailure(client: PostgresClient, error: unknown): Promise<unknown> {
    if (this.#signal.aborted) return error;
    await client.query("ROLLBACK").catch(() => {});
    if (error instanceof FailedRun) return error.findFailingRow(client).catch(() => error.error);
    return coded(error);
  }
}

function coded(error: unknown): unknown {
  return error instanceof RejotError ? error : postgresError(error, "reading what is already there");
}

function condition(conditions: readonly string[]): string {
  return conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
}

/** Characters are near enough to bytes; what a value costs beside them counts for empty ones. */
function sizeOf(rows: readonly (readonly (string | null)[])[]): number {
  let bytes = 0;
  for (const row of rows) for (const value of row) bytes += 16 + (value?.length ?? 0);
  return bytes;
}
