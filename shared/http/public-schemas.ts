import type { PublicSchema } from "../manifest/schema.ts";

/** A public schema that a connector publishes or consumes, with the topic that holds its events. */
export interface ServedPublicSchema {
  readonly manifestSlug: string;
  readonly topic: string;
  readonly publicSchema: PublicSchema;
}

/** An element of GET /public-schemas: ReJot's fields, then ours. */
export function publicSchemaJson({ manifestSlug, topic, publicSchema }: ServedPublicSchema): unknown {
  const { name, source, version, outputSchema, key, config } = publicSchema;
  const tables = [...new Set(config.transformations.map(({ table }) => table))];
  return {
    name,
    source: { dataStoreSlug: source.dataStoreSlug, tables },
    transformations: config.transformations,
    version,
    outputSchema,
    manifestSlug,
    topic,
    ...(key === undefined ? {} : { key }),
  };
}
