import type { SqlPlace } from "../../errors/error.ts";
import type { ConsumerSchema } from "../../manifest/schema.ts";
import { placeOfIndex } from "../../postgres/sql/sql-place.ts";
import { parseTemplate } from "../../postgres/sql/template.ts";
import type { AvroField, AvroRecord } from "../avro-types.ts";
import type { Contract } from "../evolution/schema-change.ts";

/** The statements of a consumer schema. */
export type StatementName = "sql" | "deleteSql";

/** One use of a field: a placeholder in a consumer schema's SQL. */
export interface FieldUse {
  readonly statement: StatementName;
  /** As it is written: `:email`, `$2`. */
  readonly placeholder: string;
  /** The field it stands for. Undefined for a place (`$9`) that no version at hand has a field for. */
  readonly field: string | undefined;
  readonly at: SqlPlace;
}

/** What one consumer schema takes from the public schema it reads. */
export interface ConsumerUsage {
  readonly manifestSlug: string;
  /** Name of the consumer schema. */
  readonly name: string;
  /** Consumer group that it is read with. */
  readonly group: string;
  readonly reads: { readonly manifestSlug: string; readonly name: string; readonly majorVersion: number };
  /** In the order of the SQL, `sql` before `deleteSql`. */
  readonly uses: readonly FieldUse[];
  /**
   * The fields used, with the types of the version that the consumer schema was checked with, in that version's
   * order. Fields that it did not have are missing.
   */
  readonly fields: readonly AvroField[];
}

/** A consumer schema, and where it is read. */
export interface ConsumerIdentity {
  readonly manifestSlug: string;
  readonly consumerSchema: ConsumerSchema;
  readonly group: string;
}

/**
 * What a consumer schema uses of `contract`, the version of the public schema that is known where it is checked;
 * undefined when none is. Throws SQL_DOES_NOT_PARSE and the like for SQL that is none.
 */
export async function usageOf(
  { manifestSlug, consumerSchema, group }: ConsumerIdentity,
  contract: Contract | undefined,
): Promise<ConsumerUsage> {
  const { config, name, publicSchema, sourceManifestSlug } = consumerSchema;
  const uses: FieldUse[] = [];
  for (const statement of ["sql", "deleteSql"] as const) {
    const sql = config[statement];
    if (sql !== undefined) uses.push(...(await usesOf(sql, statement, contract)));
  }
  const used = new Set(uses.map((use) => use.field));
  const fields = [...(contract?.value.fields ?? []), ...(contract?.key.fields ?? [])].filter(
    (field, i, all) => used.has(field.name) && all.findIndex((other) => other.name === field.name) === i,
  );
  return {
    manifestSlug,
    name,
    group,
    reads: { manifestSlug: sourceManifestSlug, ...publicSchema },
    uses,
    fields,
  };
}

async function usesOf(
  sql: string,
  statement: StatementName,
  contract: Contract | undefined,
): Promise<FieldUse[]> {
  const { uses } = await parseTemplate(sql);
  const record = contract === undefined ? undefined : recordOf(contract, statement);
  return uses.map(({ name, text, index }) => ({
    statement,
    placeholder: text,
    field: isPlace(text) ? record?.fields[Number(name) - 1]?.name : name,
    at: placeOfIndex(sql, index),
  }));
}

/** The record that a statement's placeholders are fields of: tombstones have a key only. */
export function recordOf(contract: Contract, statement: StatementName): AvroRecord {
  return statement === "sql" ? contract.value : contract.key;
}

/** Whether a placeholder names a field by its place in the record. */
export function isPlace(placeholder: string): boolean {
  return placeholder.startsWith("$");
}

/** The field that a placeholder of a statement stands for: by name, or by its place in the record, from 1. */
export function fieldOf(record: AvroRecord, placeholder: string): AvroField | undefined {
  if (/^\d+$/.test(placeholder)) return record.fields[Number(placeholder) - 1];
  return record.fields.find((field) => field.name === placeholder);
}

/** How messages name a consumer schema. */
export function consumerName({ manifestSlug, name }: { manifestSlug: string; name: string }): string {
  return `${manifestSlug}/${name}`;
}

/** How messages name a major version of a public schema. */
export function majorName({ manifestSlug, name, majorVersion }: ConsumerUsage["reads"]): string {
  return `${manifestSlug}/${name} v${majorVersion}`;
}
