import type { ConsumerSchema, PublicSchema, Transformation } from "../../shared/manifest/schema.ts";

/** Where a public schema stands, for diagnostics: the file that defines it, or the manifest. */
export function publicSchemaPlace(file: string, schema: PublicSchema): string {
  return `${schema.definitionFile ?? file}: public schema "${schema.name}" v${schema.version.major}`;
}

/** Where a transformation stands. */
export function transformationPlace(
  file: string,
  schema: PublicSchema,
  transformation: Transformation,
): string {
  return `${publicSchemaPlace(file, schema)}, ${transformation.operation} of ${transformation.table}`;
}

/** Where a consumer schema's statement stands. */
export function consumerPlace(
  file: string,
  consumer: ConsumerSchema,
  statement: "sql" | "deleteSql",
): string {
  return `${consumer.definitionFile ?? file}: consumer schema "${consumer.name}", ${statement}`;
}
