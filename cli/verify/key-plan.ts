import { type PostgresClient, sqlState } from "../../shared/postgres/client.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import type { TableInfo } from "../../shared/postgres/table-info.ts";
import type { TypeCatalog } from "../../shared/postgres/type-catalog.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import type { TextEvent } from "../../source-connector/ports.ts";
import type { TransformationPlan } from "../../source-connector/transformer/plan.ts";
import { FailedRun, StatementRuns } from "../../source-connector/transformer/statement-runs.ts";
import { EventValues } from "./event-values.ts";
import { halving } from "./halving.ts";
import { unfitReason } from "./postgres-answer.ts";

type Values = readonly (string | null)[];

const NOWHERE = { commitLsn: 0n as Lsn, index: 0 };

/** Runs a transformation for objects of known keys instead of for rows that were changed. */
export class KeyPlan {
  readonly #client: PostgresClient;
  readonly #plan: TransformationPlan;
  readonly #values: EventValues;
  readonly #columnIndex: ReadonlyMap<string, number>;

  private constructor(
    client: PostgresClient,
    plan: TransformationPlan,
    values: EventValues,
    columns: readonly string[],
  ) {
    this.#client = client;
    this.#plan = { ...plan, rowImage: null };
    this.#values = values;
    this.#columnIndex = new Map(columns.map((column, i) => [column, i]));
  }

  /** `pins` names the key field that each column's value is in. */
  static async create(
    { client, catalog, registry }: { client: PostgresClient; catalog: TypeCatalog; registry: SchemaRegistry },
    table: TableInfo,
    plan: TransformationPlan,
    pins: ReadonlyMap<string, string>,
  ): Promise<KeyPlan> {
    const columns = [...pins.keys()];
    const oids = columns.map((name) => table.columns.find((column) => column.name === name)?.typeOid ?? 0);
    await catalog.require(oids);
    const names = [...pins.values()];
    const parameters = { shape: { names }, types: oids.map((oid) => catalog.get(oid)) };
    return new KeyPlan(client, plan, new EventValues(registry, parameters, new Set(names)), columns);
  }

  /** What it gives for the keys, in the transaction that the client is in, which goes on. A key that its types do not take has no object. */
  async run(keys: readonly Buffer[]): Promise<TextEvent[]> {
    const bound: Values[] = [];
    for (const key of keys) {
      const { values } = await this.#values.ofKey(key);
      if (values !== null) bound.push(values);
    }
    const found: TextEvent[] = [];
    const reasonOf = (error: unknown) => (error instanceof FailedRun ? error.message : unfitReason(error));
    await halving(bound, (some) => this.#runOnce(some), reasonOf, {
      done: (_some, events) => found.push(...events),
      unfit: () => {},
    });
    return found;
  }

  async #runOnce(bound: readonly Values[]): Promise<TextEvent[]> {
    await this.#client.query("SAVEPOINT _rejot_keys");
    try {
      const runs = new StatementRuns();
      const outcomes = bound.map((values) => runs.add(this.#plan, [...values], this.#columnIndex));
      await runs.execute(this.#client);
      await this.#client.query("RELEASE _rejot_keys");
      return outcomes.flatMap(({ rows, columns }) =>
        rows.map((row): TextEvent => {
          return { schema: 0, op: "r", position: NOWHERE, commitTimeMs: 0, row, keyRow: row, columns };
        }),
      );
    } catch (error) {
      if (error instanceof FailedRun || sqlState(error) !== undefined)
        await this.#client.query("ROLLBACK TO _rejot_keys");
      throw error;
    }
  }
}
