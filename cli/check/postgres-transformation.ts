import type { Client } from "pg";
import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import {
  ATTRIBUTES,
  type AvroField,
  type AvroRecord,
  nullability,
  shapeOf,
} from "../../shared/contracts/avro-types.ts";
import { compileRowEncoder } from "../../shared/contracts/row-encoder.ts";
import { describeType } from "../../shared/contracts/text-to-avro.ts";
import { RejotError } from "../../shared/errors/error.ts";
import {
  type Diagnostic,
  diagnostic,
  diagnosticOfError,
  type Place,
} from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import type { Transformation } from "../../shared/manifest/schema.ts";
import { transformationPlace } from "../../shared/manifest/schema-place.ts";
import type { ResolvedPublicSchema } from "../../shared/manifest/workspace.ts";
import { outputNullness } from "../../shared/postgres/sql/nullness/select.ts";
import { placeOfOutput } from "../../shared/postgres/sql/select-shape.ts";
import { parseTemplate, type SqlTemplate } from "../../shared/postgres/sql/template.ts";
import type { TableInfo } from "../../shared/postgres/table-info.ts";
import { type PgType, type TypeCatalog, withoutDomains } from "../../shared/postgres/type-catalog.ts";
import { loadPublishedTables } from "../../source-connector/setup/postgres-setup.ts";
import { planTransformation, type TransformationPlan } from "../../source-connector/transformer/plan.ts";
import { compareColumns } from "./output-columns.ts";
import { loadNullFacts } from "./postgres-facts.ts";
import { checkScans } from "./postgres-scans.ts";

/** A transformation and where it is looked at. */
export interface TransformationCheck {
  readonly client: Client;
  readonly catalog: TypeCatalog;
  readonly loaded: LoadedManifest;
  readonly own: ResolvedPublicSchema;
  readonly transformation: Transformation;
}

/**
 * Prepares a transformation as the source connector will, compares its columns with the schema by name, type and
 * nullability, and says what it reads. Nothing is executed but over no rows.
 */
export async function checkTransformation(check: TransformationCheck): Promise<Diagnostic[]> {
  const { client, catalog, loaded, own, transformation } = check;
  const place = (error?: unknown) => transformationPlace(loaded, own.schema, transformation, error);
  try {
    const [table] = (await loadPublishedTables(client, [transformation.table])) as [TableInfo];
    const columns = await typedColumns(table, catalog);
    const plan = await planTransformation({
      client,
      publicSchema: own.schema,
      transformation,
      table,
      columns,
    });
    const template = await parseTemplate(transformation.sql);
    return [
      ...(await checkOutput(check, plan, template, place)),
      ...(await checkNulls(check, plan, template, table, place)),
      ...(await checkScans(client, plan.rowImage ?? plan.table, template, place)),
      readMode(plan, table, place()),
    ];
  } catch (error) {
    return [diagnosticOfError(error, place(error))];
  }
}

async function typedColumns(
  table: TableInfo,
  catalog: TypeCatalog,
): Promise<{ name: string; typeName: string }[]> {
  const columns = table.columns.filter((column) => !column.generated);
  await catalog.require(columns.map((column) => column.typeOid));
  return columns.map((column) => ({ name: column.name, typeName: catalog.get(column.typeOid).name }));
}

async function checkOutput(
  { catalog, own }: TransformationCheck,
  plan: TransformationPlan,
  template: SqlTemplate,
  place: (error?: unknown) => Place,
): Promise<Diagnostic[]> {
  const columns = plan.table.result.list;
  const names = columns.map((column) => column.name);
  const found = plan.emit === "tombstone" ? [] : compareColumns(own.schema, names, place);
  await catalog.require(columns.map((column) => column.typeOid));
  for (const { record, field } of fieldsOf(own, plan)) {
    if (!names.includes(field.name)) continue;
    const sql = placeOfOutput(template, field.name);
    try {
      compileRowEncoder({ ...record, fields: [field] }, columns, catalog);
      const column = columns.findLast(({ name }) => name === field.name);
      if (column !== undefined && isText(catalog.get(column.typeOid)) && !takesText(field)) {
        const detail = `"${field.name}": the field is ${describeType(field.type)}`;
        const error = new RejotError("OUTPUT_COLUMN_TEXT", { detail, sql });
        found.push({ ...diagnosticOfError(error, place(error)), severity: "warning" });
      }
    } catch (cause) {
      if (!(cause instanceof RejotError)) throw cause;
      const error = new RejotError(cause.code, { detail: cause.detail, hint: cause.hint, cause, sql });
      found.push(diagnosticOfError(error, place(error)));
    }
  }
  return found;
}

function isText(type: PgType): boolean {
  return withoutDomains(type).category === "S";
}

/** Kinds of fields that text columns are commonly meant for. */
const TEXT_KINDS = new Set(["string", "enum", "json", "null"]);

function takesText({ type }: AvroField): boolean {
  return nullability(type).branches.some((branch) => TEXT_KINDS.has(shapeOf(branch).kind));
}

async function checkNulls(
  { client, own }: TransformationCheck,
  plan: TransformationPlan,
  template: SqlTemplate,
  table: TableInfo,
  place: (error?: unknown) => Place,
): Promise<Diagnostic[]> {
  const nullness = outputNullness(template, await loadNullFacts(client, template, table));
  return fieldsOf(own, plan).flatMap(({ field }) => {
    const found = nullness.get(field.name);
    const takesNull = nullability(field.type).nullable || field[ATTRIBUTES.optional] === true;
    if (takesNull || found?.kind !== "maybe") return [];
    const error = new RejotError("OUTPUT_COLUMN_NULLABLE", {
      detail: `"${field.name}": ${found.why}`,
      sql: placeOfOutput(template, field.name),
    });
    return [{ ...diagnosticOfError(error, place(error)), severity: "warning" as const }];
  });
}

/** The fields that a transformation has to fill: all of the object, or for a tombstone those of the key. */
function fieldsOf(
  { manifestSlug, schema, keyFields }: ResolvedPublicSchema,
  { emit }: TransformationPlan,
): { record: AvroRecord; field: AvroField }[] {
  const properties = (schema.outputSchema.properties as object | undefined) ?? {};
  const known = keyFields.filter((field) => Object.hasOwn(properties, field));
  const { key, value } = avroSchemasOf({ manifestSlug, publicSchema: schema, keyFields: known });
  const record = emit === "upsert" ? value : key;
  return record.fields.map((field) => ({ record, field }));
}

function readMode({ reads, tableReason }: TransformationPlan, table: TableInfo, place: Place): Diagnostic {
  const identity = `rows of ${table.name} are told apart by ${identityOf(table)}`;
  return reads === "table"
    ? diagnostic("TRANSFORMATION_READS_TABLE", "info", place, `${tableReason}; ${identity}`)
    : diagnostic(
        "TRANSFORMATION_READS_ROW_IMAGE",
        "info",
        place,
        `every state of a row is seen; ${identity}`,
      );
}

/** The replica identity, which is also all that a delete knows of its row. */
function identityOf({ replicaIdentity, identityColumns }: TableInfo): string {
  if (replicaIdentity === "f") return "all their columns (REPLICA IDENTITY FULL)";
  const kind = replicaIdentity === "i" ? "the index of their replica identity" : "their primary key";
  return `${kind} (${identityColumns.join(", ")})`;
}
