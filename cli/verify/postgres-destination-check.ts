import type { Contract } from "../../shared/contracts/evolution/schema-change.ts";
import { RejotError } from "../../shared/errors/error.ts";
import {
  connectPostgres,
  endPostgres,
  type PostgresClient,
  postgresError,
  sqlState,
} from "../../shared/postgres/client.ts";
import { parseTemplate, type SqlTemplate } from "../../shared/postgres/sql/template.ts";
import { quoteIdentifier } from "../../shared/postgres/table-info.ts";
import { textArrayLiteral } from "../../shared/postgres/text-array.ts";
import { latestContract } from "../../shared/registry/published-usages.ts";
import {
  describeStatements,
  type StatementParameters,
} from "../../sink-connector/applier/postgres-parameters.ts";
import { unlikeRow } from "./derive/derive-delete.ts";
import { deriveUpsert } from "./derive/derive-upsert.ts";
import type { DerivedRows, Underivable } from "./derive/derived-rows.ts";
import { renderExpression } from "./derive/inserted-expressions.ts";
import type {
  BatchComparison,
  DestinationCheck,
  DestinationCheckOptions,
  DifferentEvent,
  Extras,
  Opened,
  SinkProgress,
  TopicEvent,
} from "./destination.ts";
import { EventValues } from "./event-values.ts";
import { loadStatementFacts, writtenOid } from "./postgres-statement-facts.ts";
import { RowLedger } from "./row-ledger.ts";
import { IDENTITY, type RowStatement, rowStatement } from "./row-statement.ts";

const FETCH_ROWS = 10_000;

/** How the rows are looked up, once the statement and its table are known. */
interface Plan {
  readonly rows: DerivedRows;
  readonly template: SqlTemplate;
  readonly statement: RowStatement;
  readonly values: EventValues;
  /** Why rows that belong to no event cannot be told. */
  readonly extrasUnknown: string | undefined;
}

type Row = readonly (string | null)[];

/** Compares a plain upsert's table with the events, in one snapshot of the destination. */
export class PostgresDestinationCheck implements DestinationCheck {
  readonly #options: DestinationCheckOptions;
  #client: PostgresClient | undefined;
  #plan: Plan | undefined;
  #ledger: RowLedger | undefined;
  #unplaced = false;

  constructor(options: DestinationCheckOptions) {
    this.#options = options;
  }

  async open(): Promise<Opened> {
    const { destination, consumer, registry } = this.#options;
    this.#client = await connectPostgres(destination.connection, {
      applicationName: `rejot-verify ${destination.manifestSlug} ${destination.dataStoreSlug}`,
      settings: {
        default_transaction_read_only: "on",
        idle_in_transaction_session_timeout: "0",
        // A batch's rows are found by the key's index, not by reading the whole table each time.
        enable_hashjoin: "off",
        enable_mergejoin: "off",
        jit: "off",
      },
    });
    return this.#asked(async (client) => {
      await client.query(
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'",
      );
      const contract = await latestContract(registry, consumer.topic);
      if (contract === undefined) throw new RejotError("VERIFY_NEVER_PUBLISHED", { detail: consumer.topic });
      const planned = await this.#prepare(client, contract);
      if (planned.kind === "underivable") return { kind: "incomparable", reason: planned.reason };
      this.#plan = planned.plan;
      await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      const progress = await sinkProgress(client, this.#options.group);
      this.#ledger = new RowLedger(
        this.#options.workDir,
        await estimatedRows(client, planned.plan.rows.table.oid),
      );
      return { kind: "open", progress, notes: notesOf(planned.plan.rows) };
    });
  }

  async compare(events: readonly TopicEvent[]): Promise<BatchComparison> {
    const { values } = this.#planned();
    const undecodable: { event: TopicEvent; reason: string }[] = [];
    const bound: { event: TopicEvent; values: readonly (string | null)[] }[] = [];
    for (const event of events) {
      const result = await values.of(event.value as Buffer);
      if (result.values === null) undecodable.push({ event, reason: result.reason });
      else bound.push({ event, values: result.values });
    }
    const outcome = { equal: 0, missing: [] as TopicEvent[], different: [] as DifferentEvent[], undecodable };
    await this.#compareBound(bound, outcome);
    return outcome;
  }

  async skip(events: readonly TopicEvent[]): Promise<void> {
    const { values } = this.#planned();
    const bound: Row[] = [];
    for (const { key, value } of events) {
      const result = value === null ? await values.ofKey(key) : await values.of(value);
      // Its row, if there is one, cannot be told from one that is too much.
      if (result.values === null) this.#unplaced = true;
      else bound.push(result.values);
    }
    if (bound.length > 0)
      for (const [identity] of await this.#asked((client) => this.#lookUp(client, bound)))
        if (identity != null) this.#ledger?.note(identity);
  }

  async extras(): Promise<Extras> {
    const { rows, extrasUnknown } = this.#planned();
    const ledger = this.#ledger as RowLedger;
    if (extrasUnknown !== undefined) return { kind: "unknown", reason: extrasUnknown };
    if (this.#unplaced)
      return { kind: "unknown", reason: "keys that are being written cannot be found by their key alone" };
    return this.#asked(async (client) => {
      const from = `FROM ${tableName(rows)} AS _rejot_t${whereConstant(rows)}`;
      const counted = await client.query<{ n: string }>(`SELECT count(*) AS n ${from}`);
      if (Number(counted.rows[0]?.n) === ledger.noted) return { kind: "counted", count: 0, first: [] };
      await client.query(`DECLARE _rejot_rows NO SCROLL CURSOR FOR SELECT ${IDENTITY} ${from}`);
      for (let more = true; more; ) {
        this.#options.signal.throwIfAborted();
        const page = await client.query<[string]>({
          text: `FETCH ${FETCH_ROWS} FROM _rejot_rows`,
          rowMode: "array",
        });
        for (const [identity] of page.rows) ledger.present(identity);
        more = page.rows.length > 0;
      }
      const { count, first } = ledger.unaccounted(this.#options.show);
      return { kind: "counted", count, first: await this.#keysOf(client, rows, first) };
    });
  }

  progress(): Promise<SinkProgress> {
    return this.#asked(async (client) => {
      await client.query("ROLLBACK");
      return sinkProgress(client, this.#options.group);
    });
  }

  async close(): Promise<void> {
    this.#ledger?.[Symbol.dispose]();
    if (this.#client !== undefined) await endPostgres(this.#client);
  }

  async #prepare(
    client: PostgresClient,
    { key, value }: Contract,
  ): Promise<{ kind: "planned"; plan: Plan } | Underivable> {
    const { destination, consumer, registry } = this.#options;
    const { name, config } = consumer.consumerSchema;
    const consumerName = `${destination.manifestSlug}/${name}`;
    const template = await parseTemplate(config.sql);
    const event = { fields: value.fields.map((f) => f.name), keyFields: key.fields.map((f) => f.name) };
    // A statement that the server does not take, because its table is gone, is none whose rows cannot be told.
    const [parameters] = await describeStatements(client, [{ consumerName, purpose: "sql", template }]);
    const facts = await loadStatementFacts(client, template, event);
    const rows = await deriveUpsert(template, facts);
    if (rows.kind === "underivable") return rows;
    const types = await columnTypes(client, rows.table.oid);
    const statement = rowStatement(template, rows, parameters as StatementParameters, types, event.fields);
    const values = new EventValues(registry, parameters as StatementParameters, keyParameters(rows));
    const extrasUnknown = await this.#extrasUnknown(client, rows, event);
    return { kind: "planned", plan: { rows, template, statement, values, extrasUnknown } };
  }

  async #extrasUnknown(
    client: PostgresClient,
    rows: DerivedRows,
    event: { fields: string[]; keyFields: string[] },
  ): Promise<string | undefined> {
    const { destination, consumer } = this.#options;
    const { deleteSql, deletes } = consumer.consumerSchema.config;
    if (!rows.oneToOne) return "several events may share a row";
    if (deletes === "ignore") return 'deletes are ignored (deletes: "ignore")';
    if (deleteSql === undefined) return "there is no deleteSql";
    const template = await parseTemplate(deleteSql);
    const unlike = unlikeRow(template, rows, await loadStatementFacts(client, template, event));
    if (unlike !== undefined) return unlike;
    for (const { consumerSchema } of destination.consumers) {
      if (consumerSchema === consumer.consumerSchema) continue;
      const other = await writtenOid(client, await parseTemplate(consumerSchema.config.sql));
      if (other === rows.table.oid) return `${consumerSchema.name} writes to ${rows.table.name} too`;
    }
    return undefined;
  }

  /** Values that the statement cannot take are found by halving: one of them must not hide the others. */
  async #compareBound(
    bound: readonly { readonly event: TopicEvent; readonly values: Row }[],
    outcome: {
      equal: number;
      missing: TopicEvent[];
      different: DifferentEvent[];
      undecodable: { event: TopicEvent; reason: string }[];
    },
  ): Promise<void> {
    if (bound.length === 0) return;
    let found: readonly Row[];
    try {
      found = await this.#asked((client) =>
        this.#lookUp(
          client,
          bound.map(({ values }) => values),
        ),
      );
    } catch (error) {
      const reason = unfitReason(error);
      if (reason === undefined) throw error;
      const [only] = bound;
      if (bound.length === 1 && only !== undefined) outcome.undecodable.push({ event: only.event, reason });
      else {
        const middle = bound.length >> 1;
        await this.#compareBound(bound.slice(0, middle), outcome);
        await this.#compareBound(bound.slice(middle), outcome);
      }
      return;
    }
    for (const [i, { event }] of bound.entries()) this.#judge(event, found[i] ?? [], outcome);
  }

  #judge(
    event: TopicEvent,
    [identity, ...same]: Row,
    outcome: { equal: number; missing: TopicEvent[]; different: DifferentEvent[] },
  ): void {
    if (identity == null) {
      outcome.missing.push(event);
      return;
    }
    this.#ledger?.note(identity);
    const { columns } = this.#planned().statement;
    const differing = columns.filter((_, i) => same[i] !== "t");
    if (differing.length === 0) outcome.equal++;
    else {
      const fields = differing.flatMap(({ column, fields: shown }) => (shown.length > 0 ? shown : [column]));
      outcome.different.push({ event, fields: [...new Set(fields)] });
    }
  }

  /** An error must not end the transaction, and with it the snapshot. */
  async #lookUp(client: PostgresClient, bound: readonly Row[]): Promise<readonly Row[]> {
    const { statement } = this.#planned();
    const count = bound[0]?.length ?? 0;
    const arrays = Array.from({ length: count }, (_, i) =>
      textArrayLiteral(bound.map((row) => row[i] ?? null)),
    );
    const values = [textArrayLiteral(bound.map(() => "")), ...arrays];
    await client.query("SAVEPOINT _rejot_batch");
    try {
      const result = await client.query<Row & unknown[]>({ text: statement.text, values, rowMode: "array" });
      await client.query("RELEASE _rejot_batch");
      return result.rows;
    } catch (error) {
      if (sqlState(error) !== undefined) await client.query("ROLLBACK TO _rejot_batch");
      throw error;
    }
  }

  async #keysOf(client: PostgresClient, rows: DerivedRows, identities: readonly string[]): Promise<string[]> {
    if (identities.length === 0) return [];
    const columns = rows.key.map(({ column }) => `_rejot_t.${quoteIdentifier(column)}`).join(", ");
    const { rows: found } = await client.query<{ key: string }>(
      `SELECT (SELECT row_to_json(_rejot_k) FROM (SELECT ${columns}) AS _rejot_k)::text AS key
         FROM ${tableName(rows)} AS _rejot_t WHERE ${IDENTITY} = ANY ($1::text[])`,
      [textArrayLiteral(identities)],
    );
    return found.map(({ key }) => key);
  }

  async #asked<T>(work: (client: PostgresClient) => Promise<T>): Promise<T> {
    if (this.#client === undefined)
      throw new RejotError("INTERNAL_ERROR", { detail: "the check is not open" });
    try {
      return await work(this.#client);
    } catch (error) {
      if (error instanceof RejotError || unfitReason(error) !== undefined) throw error;
      throw postgresError(error, `comparing ${this.#options.consumer.consumerSchema.name}`);
    }
  }

  #planned(): Plan {
    if (this.#plan === undefined) throw new RejotError("INTERNAL_ERROR", { detail: "the check is not open" });
    return this.#plan;
  }
}

async function sinkProgress(client: PostgresClient, group: string): Promise<SinkProgress> {
  const exists = await client.query<{ found: string | null }>(
    "SELECT to_regclass('rejot.progress') AS found",
  );
  const progress = new Map<string, Map<number, bigint>>();
  if (exists.rows[0]?.found == null) return progress;
  const { rows } = await client.query<{ topic: string; partition: string; next_offset: string }>(
    "SELECT topic, partition, next_offset FROM rejot.progress WHERE consumer_group = $1 ORDER BY topic, partition",
    [group],
  );
  for (const { topic, partition, next_offset: next } of rows) {
    const applied = progress.get(topic) ?? new Map<number, bigint>();
    progress.set(topic, applied.set(Number(partition), BigInt(next)));
  }
  return progress;
}

/** What the server says of a value that a type or a function does not take (class 22), or that breaks a domain (23). */
function unfitReason(error: unknown): string | undefined {
  return /^2[23]/.test(sqlState(error) ?? "") ? (error as Error).message : undefined;
}

function tableName({ table }: DerivedRows): string {
  return `${quoteIdentifier(table.schema)}.${quoteIdentifier(table.name)}`;
}

/** Key columns that are the same for all events tell the rows of this consumer schema from those of others. */
function whereConstant({ key }: DerivedRows): string {
  const constant = key.filter(({ expression }) => expression.parts.every((part) => typeof part === "string"));
  const conditions = constant.map(
    ({ column, expression }) =>
      `_rejot_t.${quoteIdentifier(column)} = (${renderExpression(expression, () => "NULL")})`,
  );
  return conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
}

/** The placeholders that the key columns are made of. */
function keyParameters({ key }: DerivedRows): ReadonlySet<string> {
  return new Set(
    key.flatMap(({ expression }) =>
      expression.parts.flatMap((part) => (typeof part === "string" ? [] : [part.name])),
    ),
  );
}

function notesOf({ presenceOnly, uncompared }: DerivedRows): string[] {
  if (presenceOnly !== undefined) return [`only whether rows are there is compared: ${presenceOnly}`];
  return uncompared.map(({ column, reason }) => `column ${column} is not compared: ${reason}`);
}

async function estimatedRows(client: PostgresClient, oid: number): Promise<number> {
  const { rows } = await client.query<{ n: string }>(
    "SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint AS n FROM pg_partition_tree($1) t JOIN pg_class c ON c.oid = t.relid",
    [oid],
  );
  return Math.max(20_000, Number(rows[0]?.n));
}

/** With their modifiers: what an INSERT casts to. */
async function columnTypes(client: PostgresClient, oid: number): Promise<Map<string, string>> {
  const { rows } = await client.query<{ name: string; type: string }>(
    "SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped",
    [oid],
  );
  return new Map(rows.map(({ name, type }) => [name, type]));
}
