import { RejotError } from "../../shared/errors/error.ts";
import { backfillSetting } from "../../shared/manifest/backfill.ts";
import type { PublicSchema } from "../../shared/manifest/schema.ts";
import type { ResolvedSource } from "../../shared/manifest/workspace.ts";
import type { PostgresClient } from "../../shared/postgres/client.ts";
import { parseTemplate } from "../../shared/postgres/sql/template.ts";
import { loadTableInfo, quoteTable, type TableInfo } from "../../shared/postgres/table-info.ts";
import { type Candidate, drivingTables, publishing } from "./driving-tables.ts";
import type { TransformationPlan } from "./plan.ts";
import { relationOf, type TablePlans } from "./table-plans.ts";

/** How the rows of one table are read for one public schema. */
export interface ChunkSchema {
  /** As SQL writes it. */
  readonly table: string;
  /** What rows are ordered by: not null, and unique together. */
  readonly keyColumns: readonly string[];
  /** What is read of each row: the key, then what the transformation takes. */
  readonly columns: readonly string[];
  readonly columnIndex: ReadonlyMap<string, number>;
  /** Reads its table: the image of a row that was not changed is the row. */
  readonly plan: TransformationPlan;
}

/** A public schema, with its key and with the tables to read where the manifest names them. */
export interface BackfilledSchema {
  readonly schema: PublicSchema;
  readonly keyFields: readonly string[];
  readonly tables: readonly string[] | undefined;
}

/** The public schemas of a source as the backfill reads them. */
export function backfilledSchemas(source: ResolvedSource): BackfilledSchema[] {
  return source.publicSchemas.map(({ schema, keyFields }) => {
    return { schema, keyFields, tables: backfillSetting(schema, source.config).tables };
  });
}

const UNIQUE_KEYS_SQL = `
  SELECT json_agg(a.attname ORDER BY k.ord) AS columns
    FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, ord), pg_attribute a
   WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
     AND a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.ord <= i.indnkeyatts
   GROUP BY i.indexrelid, i.indisprimary HAVING bool_and(a.attnotnull AND a.attcollation = i.indcollation[k.ord - 1])
   ORDER BY i.indisprimary DESC, count(*), i.indexrelid`;

interface KnownTable {
  readonly info: TableInfo;
  /** The primary key first. */
  readonly uniqueKeys: readonly (readonly string[])[];
}

/** Knows which tables' rows make the objects of each public schema, and how they are read. */
export class ChunkTables {
  readonly #schemas: readonly BackfilledSchema[];
  readonly #plans: TablePlans;
  /** By the name that transformations call it. */
  readonly #known: ReadonlyMap<string, KnownTable>;

  private constructor(
    schemas: readonly BackfilledSchema[],
    plans: TablePlans,
    known: ReadonlyMap<string, KnownTable>,
  ) {
    this.#schemas = schemas;
    this.#plans = plans;
    this.#known = known;
  }

  /** Looks all tables up. Their transformations are to be planned already. Throws TABLE_NOT_FOUND. */
  static async load(
    client: PostgresClient,
    plans: TablePlans,
    schemas: readonly BackfilledSchema[],
  ): Promise<ChunkTables> {
    const known = new Map<string, KnownTable>();
    const names = schemas.flatMap(({ schema, tables = [] }) => [...tables, ...tablesOf(schema)]);
    for (const name of new Set(names)) {
      const info = await loadTableInfo(client, name);
      const keys = await client.query<{ columns: string }>(UNIQUE_KEYS_SQL, [info.oid]);
      known.set(name, { info, uniqueKeys: keys.rows.map((row) => JSON.parse(row.columns) as string[]) });
    }
    return new ChunkTables(schemas, plans, known);
  }

  /** Names of the tables that the schema's transformations speak of, sorted. */
  uses(schema: number): readonly string[] {
    const names = tablesOf(this.#schema(schema).schema).map((name) => quoteTable(this.#table(name).info));
    return [...new Set(names)].sort();
  }

  /** Throws BACKFILL_TABLE_UNCLEAR, BACKFILL_TABLE_UNFIT. */
  async of(schema: number): Promise<readonly ChunkSchema[]> {
    const driving = await this.#driving(schema);
    return Promise.all(driving.map((table) => this.#chunkSchema(schema, table)));
  }

  async #driving(schema: number): Promise<readonly KnownTable[]> {
    const { schema: publicSchema, keyFields, tables } = this.#schema(schema);
    if (tables !== undefined) return tables.map((name) => this.#table(name));
    const candidates: Candidate[] = [];
    for (const table of new Map([...this.#known.values()].map((known) => [known.info.oid, known])).values()) {
      const transformation = publishing(
        publicSchema.config.transformations,
        (t) => this.#known.get(t.table)?.info.oid === table.info.oid,
      );
      if (transformation === undefined) continue;
      const template = await parseTemplate(transformation.sql);
      candidates.push({ table: table.info, template, uniqueKeys: table.uniqueKeys });
    }
    const oids = new Set(drivingTables(candidates, keyFields).map(({ oid }) => oid));
    const found = [...this.#known.values()].filter(({ info }) => oids.has(info.oid));
    if (found.length > 0) return [...new Map(found.map((known) => [known.info.oid, known])).values()];
    const names = candidates.map(({ table }) => `${table.schema}.${table.name}`).join(", ");
    throw new RejotError("BACKFILL_TABLE_UNCLEAR", {
      detail: `${publicSchema.name} v${publicSchema.version.major}: ${names || "it has no transformation for inserts or updates"}`,
    });
  }

  async #chunkSchema(schema: number, { info, uniqueKeys }: KnownTable): Promise<ChunkSchema> {
    const { schema: publicSchema } = this.#schema(schema);
    const what = `${publicSchema.name} v${publicSchema.version.major}: ${quoteTable(info)}`;
    const [keyColumns] = uniqueKeys;
    if (keyColumns === undefined)
      throw new RejotError("BACKFILL_TABLE_UNFIT", {
        detail: `${what} has no primary key and no unique index over columns that are NOT NULL`,
      });
    const { schemas } = await this.#plans.prepare(relationOf(info));
    const own = schemas.find((candidate) => candidate.schema === schema);
    const plan = own?.update ?? own?.insert;
    if (plan === undefined)
      throw new RejotError("BACKFILL_TABLE_UNFIT", {
        detail: `${what} has no transformation for inserts or updates`,
      });
    const columns = [...new Set([...keyColumns, ...plan.table.parameters])];
    return {
      table: quoteTable(info),
      keyColumns,
      columns,
      columnIndex: new Map(columns.map((column, i) => [column, i])),
      plan: { ...plan, rowImage: null },
    };
  }

  #schema(schema: number): BackfilledSchema {
    const found = this.#schemas[schema];
    if (found === undefined) throw new RejotError("INTERNAL_ERROR", { detail: `no public schema ${schema}` });
    return found;
  }

  #table(name: string): KnownTable {
    const found = this.#known.get(name);
    if (found === undefined) throw new RejotError("INTERNAL_ERROR", { detail: `no table ${name}` });
    return found;
  }
}

function tablesOf(schema: PublicSchema): string[] {
  return schema.config.transformations.map(({ table }) => table);
}
