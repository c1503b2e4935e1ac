import { RejotError } from "../../shared/errors/error.ts";
import { backfillSetting } from "../../shared/manifest/backfill.ts";
import type { PublicSchema } from "../../shared/manifest/schema.ts";
import type { ResolvedSource } from "../../shared/manifest/workspace.ts";
import type { PostgresClient } from "../../shared/postgres/client.ts";
import { descendantsOf } from "../../shared/postgres/inheritance.ts";
import { parseTemplate } from "../../shared/postgres/sql/template.ts";
import {
  loadTableByOid,
  loadTableInfo,
  quoteTable,
  type TableInfo,
} from "../../shared/postgres/table-info.ts";
import { type Candidate, drivingTables, publishing } from "./driving-tables.ts";
import type { TransformationPlan } from "./plan.ts";
import { relationOf, type TablePlans } from "./table-plans.ts";

/** How the rows of one table are read for one public schema. */
export interface ChunkSchema {
  readonly oid: number;
  /** As SQL writes it behind FROM. */
  readonly table: string;
  /** What rows are ordered by: not null, and unique together. */
  readonly keyColumns: readonly string[];
  /** What their order depends on, as `keyTypesOf` gives it. */
  readonly keyTypes: readonly string[];
  /** What is read of each row: the key, then what the transformation takes. */
  readonly columns: readonly string[];
  /** Those of them whose values may be of any size. */
  readonly unboundedColumns: readonly string[];
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

/** Since 18 a NOT NULL may be NOT VALID: rows from before it may be null, and behind no key. */
const UNIQUE_KEYS_SQL = `
  SELECT json_agg(a.attname ORDER BY k.ord) AS columns
    FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, ord), pg_attribute a
   WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
     AND a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.ord <= i.indnkeyatts
   GROUP BY i.indexrelid, i.indisprimary
  HAVING bool_and(a.attnotnull AND a.attcollation = i.indcollation[k.ord - 1] AND NOT EXISTS (
    SELECT FROM pg_constraint n
     WHERE n.conrelid = a.attrelid AND n.contype = 'n' AND n.conkey = ARRAY[a.attnum] AND NOT n.convalidated))
   ORDER BY i.indisprimary DESC, count(*), i.indexrelid`;

const KEY_TYPES_SQL = `
  SELECT concat_ws('/', a.atttypid, a.atttypmod, a.attcollation) AS type
    FROM unnest($2::text[]) WITH ORDINALITY AS k(name, ord)
    LEFT JOIN pg_attribute a ON a.attrelid = $1 AND a.attname = k.name AND NOT a.attisdropped ORDER BY k.ord`;

const UNBOUNDED_SQL =
  "SELECT attname AS name FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND attlen < 0";

/** Type, modifier and collation of key columns: where they differ, a place in the old order means nothing. */
export async function keyTypesOf(
  client: PostgresClient,
  oid: number,
  keyColumns: readonly string[],
): Promise<string[]> {
  const types = await client.query<{ type: string }>(KEY_TYPES_SQL, [oid, keyColumns]);
  return types.rows.map(({ type }) => type);
}

interface KnownTable {
  readonly info: TableInfo;
  /** The primary key first. */
  readonly uniqueKeys: readonly (readonly string[])[];
  /** Where its rows are: in itself, and in those that inherit from it, whose keys may be the same ones. */
  readonly parts: readonly KnownPart[];
}

interface KnownPart {
  readonly oid: number;
  /** As SQL writes it behind FROM. */
  readonly from: string;
  readonly keyColumns: readonly string[] | undefined;
  readonly keyTypes: readonly string[];
  readonly unbounded: ReadonlySet<string>;
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
      const uniqueKeys = await uniqueKeysOf(client, info.oid);
      known.set(name, { info, uniqueKeys, parts: await partsOf(client, info, uniqueKeys) });
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
    const schemas: ChunkSchema[] = [];
    for (const { info, parts } of driving)
      for (const part of parts) schemas.push(await this.#chunkSchema(schema, info, part));
    return schemas;
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

  async #chunkSchema(schema: number, info: TableInfo, part: KnownPart): Promise<ChunkSchema> {
    const { schema: publicSchema } = this.#schema(schema);
    const what = `${publicSchema.name} v${publicSchema.version.major}: ${part.from}`;
    const { oid, from, keyColumns, keyTypes, unbounded } = part;
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
      oid,
      table: from,
      keyColumns,
      keyTypes,
      columns,
      unboundedColumns: columns.filter((column) => unbounded.has(column)),
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

async function uniqueKeysOf(client: PostgresClient, oid: number): Promise<string[][]> {
  const keys = await client.query<{ columns: string }>(UNIQUE_KEYS_SQL, [oid]);
  return keys.rows.map(({ columns }) => JSON.parse(columns) as string[]);
}

/** A unique index knows of its own table's rows only, so tables that inherit are read one by one. */
async function partsOf(
  client: PostgresClient,
  info: TableInfo,
  uniqueKeys: readonly (readonly string[])[],
): Promise<KnownPart[]> {
  const part = async (oid: number, from: string, [keyColumns]: readonly (readonly string[])[]) => {
    const keyTypes = await keyTypesOf(client, oid, keyColumns ?? []);
    const sized = await client.query<{ name: string }>(UNBOUNDED_SQL, [oid]);
    return { oid, from, keyColumns, keyTypes, unbounded: new Set(sized.rows.map(({ name }) => name)) };
  };
  const heirs = await descendantsOf(client, [info.oid]);
  if (heirs.length === 0) return [await part(info.oid, quoteTable(info), uniqueKeys)];
  const parts = [await part(info.oid, `ONLY ${quoteTable(info)}`, uniqueKeys)];
  for (const oid of heirs.sort((a, b) => a - b)) {
    const heir = await loadTableByOid(client, oid);
    parts.push(await part(oid, `ONLY ${quoteTable(heir)}`, await uniqueKeysOf(client, oid)));
  }
  return parts;
}

function tablesOf(schema: PublicSchema): string[] {
  return schema.config.transformations.map(({ table }) => table);
}
