import type { Contract } from "../../shared/contracts/evolution/schema-change.ts";
import { RejotError } from "../../shared/errors/error.ts";
import { connectPostgres, endPostgres, type PostgresClient } from "../../shared/postgres/client.ts";
import { parseTemplate } from "../../shared/postgres/sql/template.ts";
import { latestContract } from "../../shared/registry/published-usages.ts";
import {
  describeStatements,
  type StatementParameters,
} from "../../sink-connector/applier/postgres-parameters.ts";
import { unlikeRow } from "./derive/derive-delete.ts";
import { deriveUpsert } from "./derive/derive-upsert.ts";
import type { DerivedRows, Underivable } from "./derive/derived-rows.ts";
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
import { answerError, answerLimits } from "./postgres-answer.ts";
import { expectedRows, presentRows } from "./postgres-destination-rows.ts";
import { otherWriter } from "./postgres-other-writers.ts";
import { type Bound, type FoundRow, lookRowsUp } from "./postgres-row-look-up.ts";
import { type ConsumerInSink, lettersNote, sinkProgress } from "./postgres-sink-tables.ts";
import { loadStatementFacts, tableColumns } from "./postgres-statement-facts.ts";
import { RowLedger } from "./row-ledger.ts";
import { type RowStatement, rowStatement, type TableColumn } from "./row-statement.ts";

/** How the rows are looked up, once the statement and its table are known. */
interface Plan {
  readonly rows: DerivedRows;
  readonly statement: RowStatement;
  readonly values: EventValues;
  /** Why rows that belong to no event cannot be told. */
  readonly extrasUnknown: string | undefined;
}

interface BoundEvent extends Bound {
  readonly event: TopicEvent;
}

/** Compares a plain upsert's table with the events, in one snapshot of the destination. */
export class PostgresDestinationCheck implements DestinationCheck {
  readonly #options: DestinationCheckOptions;
  #client: PostgresClient | undefined;
  #plan: Plan | undefined;
  /** Where rows that belong to no event can be told. */
  #ledger: RowLedger | undefined;
  #unplaced = false;

  constructor(options: DestinationCheckOptions) {
    this.#options = options;
  }

  async open(): Promise<Opened> {
    const { consumer, registry, signal, workDir } = this.#options;
    await this.#connect();
    signal.addEventListener("abort", this.#breakOff, { once: true });
    return this.#asked(async (client) => {
      await client.query(
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'",
      );
      const contract = await latestContract(registry, consumer.topic);
      if (contract === undefined) throw new RejotError("VERIFY_NEVER_PUBLISHED", { detail: consumer.topic });
      const planned = await this.#prepare(client, contract);
      if (planned.kind === "underivable") return { kind: "incomparable", reason: planned.reason };
      const { rows, extrasUnknown } = planned.plan;
      this.#plan = planned.plan;
      await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      const progress = await sinkProgress(client, this.#reads);
      const letters = await lettersNote(client, this.#reads);
      if (extrasUnknown === undefined)
        this.#ledger = new RowLedger(workDir, await expectedRows(client, rows.table.oid));
      return { kind: "open", progress, notes: [...notesOf(rows), ...letters] };
    });
  }

  async compare(events: readonly TopicEvent[]): Promise<BatchComparison> {
    const { values, statement } = this.#planned();
    const undecodable: { event: TopicEvent; reason: string }[] = [];
    const bound: BoundEvent[] = [];
    for (const event of events) {
      const result = await values.of(event.value as Buffer);
      if (result.values === null) undecodable.push({ event, reason: result.reason });
      else bound.push({ event, values: result.values });
    }
    const { found, unfit } = await this.#asked((client) => lookRowsUp(client, statement, bound, "columns"));
    undecodable.push(...unfit.map(({ item, reason }) => ({ event: item.event, reason })));
    const outcome = { equal: 0, missing: [] as TopicEvent[], different: [] as DifferentEvent[], undecodable };
    for (const { item, rows } of found) this.#judge(item.event, rows, outcome);
    // What the statement did not take of them may have left a row of an earlier event.
    await this.skip(undecodable.map(({ event }) => event));
    return outcome;
  }

  async skip(events: readonly TopicEvent[]): Promise<void> {
    if (events.length === 0 || this.#ledger === undefined) return;
    const { values, statement } = this.#planned();
    const bound: Bound[] = [];
    for (const { key, value } of events) {
      const whole = value === null ? undefined : await values.of(value);
      const result = whole === undefined || whole.values === null ? await values.ofKey(key) : whole;
      // Its row, if there is one, cannot be told from one that is too much.
      if (result.values === null) this.#unplaced = true;
      else bound.push(result);
    }
    const { found, unfit } = await this.#asked((client) => lookRowsUp(client, statement, bound, "identity"));
    if (unfit.length > 0) this.#unplaced = true;
    for (const { rows } of found) this.#note(rows);
  }

  async extras(): Promise<Extras> {
    const { rows, extrasUnknown } = this.#planned();
    const ledger = this.#ledger;
    if (extrasUnknown !== undefined || ledger === undefined)
      return { kind: "unknown", reason: extrasUnknown ?? "" };
    if (this.#unplaced)
      return { kind: "unknown", reason: "the rows of some events cannot be found by their key alone" };
    return this.#asked(async (client) => {
      await presentRows(client, rows, ledger, this.#options.signal);
      return { kind: "found", keys: ledger.unaccounted() };
    });
  }

  progress(): Promise<SinkProgress> {
    return this.#asked(async (client) => {
      await client.query("ROLLBACK");
      return sinkProgress(client, this.#reads);
    });
  }

  get #reads(): ConsumerInSink {
    const { destination, consumer, group } = this.#options;
    const { consumerSchema, topic } = consumer;
    return { group, name: `${destination.manifestSlug}/${consumerSchema.name}`, topic };
  }

  async close(): Promise<void> {
    this.#options.signal.removeEventListener("abort", this.#breakOff);
    this.#ledger?.[Symbol.dispose]();
    this.#ledger = undefined;
    if (this.#client !== undefined) await endPostgres(this.#client);
  }

  async #connect(): Promise<void> {
    const { destination, timeoutMs } = this.#options;
    const { settings, queryTimeoutMs } = answerLimits(timeoutMs);
    this.#client = await connectPostgres(destination.connection, {
      applicationName: `rejot-verify ${destination.manifestSlug} ${destination.dataStoreSlug}`,
      queryTimeoutMs,
      settings: {
        ...settings,
        default_transaction_read_only: "on",
        idle_in_transaction_session_timeout: "0",
        // A batch's rows are found by the key's index, not by reading the whole table each time.
        enable_hashjoin: "off",
        enable_mergejoin: "off",
        jit: "off",
      },
    });
  }

  readonly #breakOff = (): void => {
    if (this.#client !== undefined) void endPostgres(this.#client);
  };

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
    const columns = await tableColumns(client, rows.table.oid);
    const statement = rowStatement(template, rows, parameters as StatementParameters, columns, event.fields);
    const values = new EventValues(registry, parameters as StatementParameters, keyParameters(rows));
    const extrasUnknown = await this.#extrasUnknown(client, rows, columns, event);
    return { kind: "planned", plan: { rows, statement, values, extrasUnknown } };
  }

  async #extrasUnknown(
    client: PostgresClient,
    rows: DerivedRows,
    columns: ReadonlyMap<string, TableColumn>,
    event: { fields: string[]; keyFields: string[] },
  ): Promise<string | undefined> {
    const { deleteSql, deletes } = this.#options.consumer.consumerSchema.config;
    if (!rows.oneToOne) return "several events may share a row";
    if (deletes === "ignore") return 'deletes are ignored (deletes: "ignore")';
    if (deleteSql === undefined) return "there is no deleteSql";
    const template = await parseTemplate(deleteSql);
    const unlike = unlikeRow(template, rows, await loadStatementFacts(client, template, event));
    return unlike ?? (await otherWriter(client, { rows, columns }, this.#options.others));
  }

  /** Where an event has several rows, because its key is null, one of them is the latest event's. */
  #judge(
    event: TopicEvent,
    rows: readonly FoundRow[],
    outcome: { equal: number; missing: TopicEvent[]; different: DifferentEvent[] },
  ): void {
    this.#note(rows);
    const { columns } = this.#planned().statement;
    const [nearest] = rows
      .map(({ same }) => columns.filter((_, i) => same[i] !== true))
      .sort((a, b) => a.length - b.length);
    if (nearest === undefined) outcome.missing.push(event);
    else if (nearest.length === 0) outcome.equal++;
    else {
      const fields = nearest.flatMap(({ column, fields: shown }) => (shown.length > 0 ? shown : [column]));
      outcome.different.push({ event, fields: [...new Set(fields)] });
    }
  }

  #note(rows: readonly FoundRow[]): void {
    for (const { identity } of rows) this.#ledger?.note(identity);
  }

  async #asked<T>(work: (client: PostgresClient) => Promise<T>): Promise<T> {
    const { signal, consumer } = this.#options;
    if (this.#client === undefined)
      throw new RejotError("INTERNAL_ERROR", { detail: "the check is not open" });
    try {
      return await work(this.#client);
    } catch (error) {
      signal.throwIfAborted();
      throw answerError(error, `comparing ${consumer.consumerSchema.name}`);
    }
  }

  #planned(): Plan {
    if (this.#plan === undefined) throw new RejotError("INTERNAL_ERROR", { detail: "the check is not open" });
    return this.#plan;
  }
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
