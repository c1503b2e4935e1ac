import type { Client } from "pg";
import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import { compileRowEncoder } from "../../shared/contracts/row-encoder.ts";
import {
  type Diagnostic,
  diagnostic,
  diagnosticOfError,
  type Place,
} from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import type { ConsumerSchema, Transformation } from "../../shared/manifest/schema.ts";
import {
  consumerStatementPlace,
  manifestPlace,
  transformationPlace,
} from "../../shared/manifest/schema-place.ts";
import type { ResolvedPublicSchema } from "../../shared/manifest/workspace.ts";
import { parseTemplate } from "../../shared/postgres/sql/template.ts";
import type { TableInfo } from "../../shared/postgres/table-info.ts";
import { loadTypeCatalog, type TypeCatalog } from "../../shared/postgres/type-catalog.ts";
import { describeStatements } from "../../sink-connector/applier/postgres-parameters.ts";
import { checkStatementKind } from "../../sink-connector/applier/statements.ts";
import { checkServer, loadPublishedTables } from "../../source-connector/setup/postgres-setup.ts";
import { planTransformation, type TransformationPlan } from "../../source-connector/transformer/plan.ts";
import { compareColumns } from "./output-columns.ts";

/** Gives a session with a data store's database, or undefined when its statements are not to be checked there. */
export type OpenDatabase = (dataStoreSlug: string) => Promise<Client | undefined>;

/**
 * Prepares every statement of a manifest on its database, as the connectors will, and compares what comes back
 * with the schemas. Nothing is executed, no row is read. Says of each transformation whether it reads the row
 * of the change or the table.
 */
export async function checkOnDatabases(
  loaded: LoadedManifest,
  publicSchemas: readonly ResolvedPublicSchema[],
  open: OpenDatabase,
): Promise<Diagnostic[]> {
  const { manifest } = loaded;
  const diagnostics: Diagnostic[] = [];
  const servers = new Set<string>();
  for (const own of publicSchemas.filter((p) => p.manifestSlug === manifest.slug)) {
    const client = await open(own.dataStoreSlug);
    if (client === undefined) continue;
    if (!servers.has(own.dataStoreSlug)) {
      servers.add(own.dataStoreSlug);
      diagnostics.push(...(await serverDiagnostics(client, dataStorePlace(loaded, own.dataStoreSlug))));
    }
    const catalog = await loadTypeCatalog(client);
    for (const transformation of own.schema.config.transformations) {
      diagnostics.push(...(await checkTransformation(client, catalog, own, transformation, loaded)));
    }
  }
  for (const consumer of manifest.consumerSchemas ?? []) {
    const client = await open(consumer.config.destinationDataStoreSlug);
    if (client !== undefined) diagnostics.push(...(await checkConsumer(client, consumer, loaded)));
  }
  return diagnostics;
}

/** Where a data store stands in its manifest. */
export function dataStorePlace(loaded: LoadedManifest, slug: string): Place {
  const index = (loaded.manifest.dataStores ?? []).findIndex((d) => d.connectionSlug === slug);
  return manifestPlace(loaded, ["dataStores", index], `data store "${slug}"`);
}

/** The check may run on another server than the connectors, so what that server lacks is not an error here. */
async function serverDiagnostics(client: Client, place: Place): Promise<Diagnostic[]> {
  try {
    await checkServer(client);
    return [];
  } catch (error) {
    return [{ ...diagnosticOfError(error, place), severity: "warning" }];
  }
}

async function checkTransformation(
  client: Client,
  catalog: TypeCatalog,
  own: ResolvedPublicSchema,
  transformation: Transformation,
  loaded: LoadedManifest,
): Promise<Diagnostic[]> {
  const place = (error?: unknown) => transformationPlace(loaded, own.schema, transformation, error);
  try {
    const [table] = await loadPublishedTables(client, [transformation.table]);
    const columns = await typedColumns(table as TableInfo, catalog);
    const input = { client, publicSchema: own.schema, transformation, table: table as TableInfo, columns };
    const plan = await planTransformation(input);
    return [...(await checkOutput(plan, own, catalog, place)), readMode(plan, place())];
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
  plan: TransformationPlan,
  { manifestSlug, schema, keyFields }: ResolvedPublicSchema,
  catalog: TypeCatalog,
  place: (error?: unknown) => Place,
): Promise<Diagnostic[]> {
  const columns = plan.table.result.list;
  const names = columns.map((column) => column.name);
  const found = plan.emit === "tombstone" ? [] : compareColumns(schema, names, place);
  if (keyFields.length === 0 || found.some((d) => d.severity === "error")) return found;
  await catalog.require(columns.map((column) => column.typeOid));
  try {
    const { key, value } = avroSchemasOf({ manifestSlug, publicSchema: schema, keyFields });
    compileRowEncoder(key, columns, catalog);
    if (plan.emit === "upsert") compileRowEncoder(value, columns, catalog);
    return found;
  } catch (error) {
    return [...found, diagnosticOfError(error, place(error))];
  }
}

function readMode({ reads, tableReason }: TransformationPlan, place: Place): Diagnostic {
  return reads === "table"
    ? diagnostic("TRANSFORMATION_READS_TABLE", "info", place, tableReason ?? "")
    : diagnostic("TRANSFORMATION_READS_ROW_IMAGE", "info", place, "every state of a row is seen");
}

async function checkConsumer(
  client: Client,
  consumer: ConsumerSchema,
  loaded: LoadedManifest,
): Promise<Diagnostic[]> {
  const diagnostics: Diagnostic[] = [];
  for (const purpose of ["sql", "deleteSql"] as const) {
    const sql = consumer.config[purpose];
    if (sql === undefined) continue;
    try {
      const statement = { consumerName: consumer.name, purpose, template: await parseTemplate(sql) };
      checkStatementKind(statement);
      await describeStatements(client, [statement]);
    } catch (error) {
      diagnostics.push(diagnosticOfError(error, consumerStatementPlace(loaded, consumer, purpose, error)));
    }
  }
  return diagnostics;
}
