import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import {
  unansweredDeletes,
  unknownPlaceholders,
} from "../../shared/contracts/consumers/consumer-statements.ts";
import { RejotError } from "../../shared/errors/error.ts";
import { type Diagnostic, diagnostic, diagnosticOfError } from "../../shared/manifest/diagnostic.ts";
import { emitsTombstone } from "../../shared/manifest/key.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import type { ConsumerSchema, PublicSchema, Transformation } from "../../shared/manifest/schema.ts";
import {
  consumerSchemaPlace,
  consumerStatementPlace,
  publicSchemaPlace,
  transformationPlace,
} from "../../shared/manifest/schema-place.ts";
import type { ResolvedPublicSchema } from "../../shared/manifest/workspace.ts";
import { outputColumns } from "../../shared/postgres/sql/select-shape.ts";
import { parseTemplate } from "../../shared/postgres/sql/template.ts";
import { checkStatementKind } from "../../sink-connector/applier/statements.ts";
import { compareColumns } from "./output-columns.ts";
import { writingPart } from "./read-only.ts";

/** What the text of the statements shows. */
export interface StatementFindings {
  readonly diagnostics: readonly Diagnostic[];
  /** Transformations, and consumer schemas, that no server needs to be asked about. */
  readonly broken: ReadonlySet<Transformation | ConsumerSchema>;
}

/**
 * What can be said about a manifest's SQL without a database: one statement each, transformations only read and
 * give the output's columns, placeholders are filled, deletes are thought of.
 */
export async function checkStatements(
  loaded: LoadedManifest,
  publicSchemas: readonly ResolvedPublicSchema[],
): Promise<StatementFindings> {
  const { manifest } = loaded;
  const diagnostics: Diagnostic[] = [];
  const broken = new Set<Transformation | ConsumerSchema>();
  for (const schema of manifest.publicSchemas ?? []) {
    for (const transformation of schema.config.transformations) {
      const found = await checkTransformation(loaded, schema, transformation);
      if (found === undefined || found.some((d) => d.code === "SQL_NOT_A_SELECT")) broken.add(transformation);
      diagnostics.push(...(found ?? []));
    }
  }
  for (const own of publicSchemas.filter((p) => p.manifestSlug === manifest.slug)) {
    diagnostics.push(...checkAvroForm(loaded, own));
  }
  for (const consumer of manifest.consumerSchemas ?? []) {
    const found = await checkConsumer(loaded, consumer, sourceOf(consumer, publicSchemas));
    // What is missing besides does not keep the statement from being tried.
    if (found.some((d) => isError(d) && d.code !== "DELETE_SQL_MISSING")) broken.add(consumer);
    diagnostics.push(...found);
  }
  return { diagnostics, broken };
}

/** What is wrong with the statements by which other manifests of the workspace consume the target's public schemas. */
export async function checkReaders(
  target: LoadedManifest,
  others: readonly LoadedManifest[],
  publicSchemas: readonly ResolvedPublicSchema[],
): Promise<Diagnostic[]> {
  const diagnostics: Diagnostic[] = [];
  for (const other of others) {
    for (const consumer of other.manifest.consumerSchemas ?? []) {
      if (consumer.sourceManifestSlug !== target.manifest.slug) continue;
      const found = await checkConsumer(other, consumer, sourceOf(consumer, publicSchemas));
      diagnostics.push(...found.map((d) => ({ ...d, manifest: other.manifest.slug })));
    }
  }
  return diagnostics;
}

function isError({ severity }: Diagnostic): boolean {
  return severity === "error";
}

/** The public schema that a consumer schema reads, where the workspace has it. */
export function sourceOf(
  consumer: ConsumerSchema,
  publicSchemas: readonly ResolvedPublicSchema[],
): ResolvedPublicSchema | undefined {
  return publicSchemas.find(
    (p) =>
      p.manifestSlug === consumer.sourceManifestSlug &&
      p.schema.name === consumer.publicSchema.name &&
      p.schema.version.major === consumer.publicSchema.majorVersion,
  );
}

/** Whether the output schema has a form in Avro, and its key fields one in a key. */
function checkAvroForm(
  loaded: LoadedManifest,
  { manifestSlug, schema, keyFields }: ResolvedPublicSchema,
): Diagnostic[] {
  const fields = (schema.outputSchema.properties as object | undefined) ?? {};
  // A key that was not found or names unknown fields is reported already.
  const known = keyFields.filter((field) => Object.hasOwn(fields, field));
  try {
    avroSchemasOf({ manifestSlug, publicSchema: schema, keyFields: known });
    return [];
  } catch (error) {
    return [diagnosticOfError(error, publicSchemaPlace(loaded, schema))];
  }
}

/** Undefined for SQL that does not parse: that keeps the key from being resolved, and is reported there. */
async function checkTransformation(
  loaded: LoadedManifest,
  schema: PublicSchema,
  transformation: Transformation,
): Promise<Diagnostic[] | undefined> {
  const place = (error?: unknown) => transformationPlace(loaded, schema, transformation, error);
  const template = await parseTemplate(transformation.sql).catch(onlyOurs);
  if (template === undefined) return undefined;
  const writing = writingPart(template);
  if (writing !== undefined) {
    const sql = writing.location === undefined ? undefined : template.placeOf(writing.location);
    const error = new RejotError("SQL_NOT_A_SELECT", { detail: writing.does, sql });
    return [diagnosticOfError(error, place(error))];
  }
  const columns = outputColumns(template);
  if (columns.includes(undefined) || emitsTombstone(transformation)) return [];
  return compareColumns(
    schema,
    columns.filter((column) => column !== undefined),
    place,
  );
}

function onlyOurs(error: unknown): undefined {
  if (!(error instanceof RejotError)) throw error;
}

async function checkConsumer(
  loaded: LoadedManifest,
  consumer: ConsumerSchema,
  source: ResolvedPublicSchema | undefined,
): Promise<Diagnostic[]> {
  const { deleteSql, deletes } = consumer.config;
  const fields = Object.keys((source?.schema.outputSchema.properties as object | undefined) ?? {});
  const diagnostics = await checkStatement(loaded, consumer, "sql", fields);
  if (deleteSql !== undefined) {
    diagnostics.push(...(await checkStatement(loaded, consumer, "deleteSql", source?.keyFields ?? [])));
  } else if (deletes === undefined) {
    diagnostics.push(...checkDeletes(loaded, consumer, source));
  }
  return diagnostics;
}

/** Where the public schema is not at hand, it may publish deletes or not. */
function checkDeletes(
  loaded: LoadedManifest,
  consumer: ConsumerSchema,
  source: ResolvedPublicSchema | undefined,
): Diagnostic[] {
  const place = consumerSchemaPlace(loaded, consumer);
  if (source === undefined) {
    const detail = `"${consumer.name}", if its public schema, which is not in this workspace, publishes deletes`;
    return [diagnostic("DELETE_SQL_MISSING", "warning", place, detail)];
  }
  const error = unansweredDeletes(consumer, source.schema);
  return error === undefined ? [] : [diagnosticOfError(error, place)];
}

/** `known` empty: the fields are not known here, and any name may be right. */
async function checkStatement(
  loaded: LoadedManifest,
  consumer: ConsumerSchema,
  purpose: "sql" | "deleteSql",
  known: readonly string[],
): Promise<Diagnostic[]> {
  const errors: unknown[] = [];
  try {
    const template = await parseTemplate(consumer.config[purpose] ?? "");
    if (known.length > 0) errors.push(...unknownPlaceholders(template, known));
    checkStatementKind({ consumerName: consumer.name, purpose, template });
  } catch (error) {
    errors.push(error);
  }
  return errors.map((e) => diagnosticOfError(e, consumerStatementPlace(loaded, consumer, purpose, e)));
}
