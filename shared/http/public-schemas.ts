import type { ResolvedPublicSchema } from "../manifest/workspace.ts";

/** An element of GET /public-schemas: ReJot's fields, then ours. */
export function publicSchemaJson({ manifestSlug, topic, schema, keyFields }: ResolvedPublicSchema): unknown {
  const { name, source, version, outputSchema, config } = schema;
  const tables = [...new Set(config.transformations.map(({ table }) => table))];
  return {
    name,
    source: { dataStoreSlug: source.dataStoreSlug, tables },
    transformations: config.transformations,
    version,
    outputSchema,
    manifestSlug,
    topic,
    key: keyFields,
  };
}
