import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import { type Diagnostic, diagnostic, diagnosticOfError } from "../../shared/manifest/diagnostic.ts";
import { emitsTombstone } from "../../shared/manifest/key.ts";
import { displayPath, type LoadedManifest } from "../../shared/manifest/load.ts";
import type { ConsumerSchema, PublicSchema, Transformation } from "../../shared/manifest/schema.ts";
import type { ResolvedPublicSchema } from "../../shared/manifest/workspace.ts";
import { outputColumns } from "../../shared/postgres/sql/select-shape.ts";
import { parseTemplate, type SqlTemplate } from "../../shared/postgres/sql/template.ts";
import { consumerPlace, publicSchemaPlace, transformationPlace } from "./places.ts";

/**
 * What can be said about a manifest's SQL without a database: one statement each, transformations only read and
 * give the output's columns, placeholders are filled, deletes are thought of.
 */
export async function checkStatements(
  loaded: LoadedManifest,
  publicSchemas: readonly ResolvedPublicSchema[],
): Promise<Diagnostic[]> {
  const { manifest, path } = loaded;
  const file = displayPath(path);
  const diagnostics: Diagnostic[] = [];
  for (const schema of manifest.publicSchemas ?? []) {
    for (const transformation of schema.config.transformations) {
      diagnostics.push(...(await checkTransformation(schema, transformation, file)));
    }
  }
  for (const own of publicSchemas.filter((p) => p.manifestSlug === manifest.slug)) {
    diagnostics.push(...checkAvroForm(own, file));
  }
  for (const consumer of manifest.consumerSchemas ?? []) {
    const source = publicSchemas.find(
      (p) =>
        p.manifestSlug === consumer.sourceManifestSlug &&
        p.schema.name === consumer.publicSchema.name &&
        p.schema.version.major === consumer.publicSchema.majorVersion,
    );
    diagnostics.push(...(await checkConsumer(consumer, source, file)));
  }
  return diagnostics;
}

/** Whether the output schema has a form in Avro, and its key fields one in a key. */
function checkAvroForm(
  { manifestSlug, schema, keyFields }: ResolvedPublicSchema,
  file: string,
): Diagnostic[] {
  const fields = (schema.outputSchema.properties as object | undefined) ?? {};
  // A key that was not found or names unknown fields is reported already.
  const known = keyFields.filter((field) => Object.hasOwn(fields, field));
  try {
    avroSchemasOf({ manifestSlug, publicSchema: schema, keyFields: known });
    return [];
  } catch (error) {
    return [diagnosticOfError(error, publicSchemaPlace(file, schema))];
  }
}

async function checkTransformation(
  schema: PublicSchema,
  transformation: Transformation,
  file: string,
): Promise<Diagnostic[]> {
  const place = transformationPlace(file, schema, transformation);
  const { template } = await parse(transformation.sql, place);
  // What does not parse keeps the key from being resolved, and is reported there.
  if (template === undefined) return [];
  const writes = writingPart(template);
  if (writes !== undefined) return [diagnostic("SQL_NOT_A_SELECT", "error", place, writes)];
  const columns = outputColumns(template);
  if (columns.includes(undefined)) return [];
  const names = columns.filter((column) => column !== undefined);
  return emitsTombstone(transformation) ? [] : compareColumns(schema, names, place);
}

/** Compares a transformation's columns with the fields of the output schema. */
export function compareColumns(
  schema: PublicSchema,
  columns: readonly string[],
  place: string,
): Diagnostic[] {
  const properties = schema.outputSchema.properties;
  if (properties === undefined || properties === null) return [];
  const fields = Object.keys(properties);
  const missing = fields.filter((field) => !columns.includes(field));
  const extra = columns.filter((column) => !fields.includes(column));
  const repeated = columns.filter((column, i) => columns.indexOf(column) < i);
  const says = (names: string[]) => names.map((name) => `"${name}"`).join(", ");
  return [
    ...(missing.length === 0
      ? []
      : [
          diagnostic(
            "OUTPUT_COLUMN_MISSING",
            "error",
            place,
            `${says(missing)}; it gives ${says([...columns])}`,
          ),
        ]),
    ...(extra.length === 0 ? [] : [diagnostic("OUTPUT_COLUMN_EXTRA", "warning", place, says(extra))]),
    ...(repeated.length === 0 ? [] : [diagnostic("OUTPUT_COLUMN_REPEATED", "error", place, says(repeated))]),
  ];
}

const WRITING_KINDS: Record<string, string> = {
  InsertStmt: "it inserts",
  UpdateStmt: "it updates",
  DeleteStmt: "it deletes",
  MergeStmt: "it merges",
  IntoClause: "it has SELECT INTO",
  intoClause: "it has SELECT INTO",
  LockingClause: "it locks rows (FOR UPDATE or FOR SHARE)",
};

function writingPart(template: SqlTemplate): string | undefined {
  if (template.kind !== "SelectStmt") {
    return WRITING_KINDS[template.kind] ?? `it is a ${template.kind.replace(/Stmt$/, "")} statement`;
  }
  return findWriting(template.statement);
}

function findWriting(node: unknown): string | undefined {
  if (node === null || typeof node !== "object") return undefined;
  for (const [kind, value] of Object.entries(node)) {
    const found = WRITING_KINDS[kind] ?? findWriting(value);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function checkConsumer(
  consumer: ConsumerSchema,
  source: ResolvedPublicSchema | undefined,
  file: string,
): Promise<Diagnostic[]> {
  const { sql, deleteSql, deletes } = consumer.config;
  const fields = Object.keys((source?.schema.outputSchema.properties as object | undefined) ?? {});
  const diagnostics = await checkPlaceholders(sql, fields, consumerPlace(file, consumer, "sql"));
  if (deleteSql !== undefined) {
    const place = consumerPlace(file, consumer, "deleteSql");
    diagnostics.push(...(await checkPlaceholders(deleteSql, source?.keyFields ?? [], place)));
  } else if (deletes === undefined && source?.schema.config.transformations.some(emitsTombstone)) {
    const place = consumerPlace(file, consumer, "deleteSql");
    diagnostics.push(diagnostic("DELETE_SQL_MISSING", "error", place, `"${consumer.name}"`));
  }
  return diagnostics;
}

/** `known` empty: the fields are not known here, and any name may be right. */
async function checkPlaceholders(
  sql: string,
  known: readonly string[],
  place: string,
): Promise<Diagnostic[]> {
  const { template, problems } = await parse(sql, place);
  if (template === undefined) return problems;
  if (known.length === 0) return [];
  const isKnown = (name: string) =>
    template.style === "positional"
      ? Number(name) >= 1 && Number(name) <= known.length
      : known.includes(name);
  const sign = template.style === "positional" ? "$" : ":";
  const unknown = template.names.filter((name) => !isKnown(name)).map((name) => sign + name);
  if (unknown.length === 0) return [];
  const names = known.map((name, i) => (sign === "$" ? `$${i + 1} ${name}` : `:${name}`)).join(", ");
  return [diagnostic("SQL_PLACEHOLDER_UNKNOWN", "error", place, `${unknown.join(", ")}; there is ${names}`)];
}

async function parse(
  sql: string,
  place: string,
): Promise<{ template?: SqlTemplate; problems: Diagnostic[] }> {
  try {
    return { template: await parseTemplate(sql), problems: [] };
  } catch (error) {
    return { problems: [diagnosticOfError(error, place)] };
  }
}
