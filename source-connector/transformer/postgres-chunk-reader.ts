import { RejotError } from "../../shared/errors/error.ts";
import { endPostgres, type PostgresClient } from "../../shared/postgres/client.ts";
import { bracketed, isPlainCondition } from "../../shared/postgres/sql/condition.ts";
import type { Chunk, ChunkReader, ChunkRequest, ChunkTable } from "../ports.ts";
import { type ChunkSchema, type ChunkTables, keyTypesOf } from "./chunk-tables.ts";
import {
  ChunkPortions,
  chunkError,
  chunkPage,
  codedChunkError,
  condition,
} from "./postgres-chunk-portions.ts";
import { awaitRunning, beginContaining, isOutdated } from "./postgres-snapshot.ts";

/** Throws BACKFILL_KEY_CHANGED when the table is not sorted any more as it was when it was looked up. */
async function requireSameOrder(client: PostgresClient, schema: ChunkSchema): Promise<void> {
  const types = await keyTypesOf(client, schema.oid, schema.keyColumns);
  if (JSON.stringify(types) === JSON.stringify(schema.keyTypes)) return;
  throw new RejotError("BACKFILL_KEY_CHANGED", { detail: schema.table });
}

/** Reads chunks on a connection of its own: the stream is not held up by them. */
export class PostgresChunkReader implements ChunkReader {
  readonly #connect: () => Promise<PostgresClient>;
  readonly #tables: ChunkTables;
  readonly #signal: AbortSignal;
  readonly #portions = new ChunkPortions();
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
    return (await this.#tables.of(schema)).map(({ table, keyColumns, keyTypes }) => ({
      table,
      keyColumns,
      keyTypes,
    }));
  }

  async estimate({ table }: ChunkTable, where: string | null): Promise<number> {
    if (where !== null && !(await isPlainCondition(where)))
      throw new RejotError("BACKFILL_CONDITION_INVALID", { detail: where });
    const sql = `EXPLAIN (FORMAT JSON) SELECT FROM ${table}${condition(where === null ? [] : [bracketed(where)])}`;
    const client = await this.#client();
    const [row] = await chunkPage(client, sql, [], where).catch((error: unknown) => {
      throw codedChunkError(error);
    });
    const plan = JSON.parse(row?.[0] ?? "[]") as { Plan?: { "Plan Rows"?: number } }[];
    return plan[0]?.Plan?.["Plan Rows"] ?? 0;
  }

  async quiesce(): Promise<void> {
    try {
      await awaitRunning(await this.#client(), this.#signal);
    } catch (error) {
      throw this.#signal.aborted ? error : codedChunkError(error);
    }
  }

  async read(request: ChunkRequest): Promise<Chunk> {
    const schema = (await this.#tables.of(request.schema)).find(({ table }) => table === request.table.table);
    if (schema === undefined) throw new RejotError("INTERNAL_ERROR", { detail: request.table.table });
    const client = await this.#client();
    try {
      for (;;) {
        await beginContaining(client, request.contains, this.#signal);
        const chunk = await this.#portions.read(client, schema, request);
        const outdated = await isOutdated(client);
        if (!outdated) await requireSameOrder(client, schema);
        await client.query("COMMIT");
        if (!outdated) return chunk;
      }
    } catch (error) {
      if (this.#signal.aborted) throw error;
      const coded = await chunkError(client, error);
      // Types that changed make statements fail too.
      await requireSameOrder(client, schema).catch((changed: unknown) => {
        if (changed instanceof RejotError) throw changed;
      });
      throw coded;
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
}
