import { z } from "zod";
import { manifestSchema } from "./schema.ts";

/** File name of the JSON Schema, at the root of the repository and of the npm package. */
export const MANIFEST_SCHEMA_FILE = "manifest.schema.json";

/** An example of a whole manifest, as small as one that publishes and consumes can be. */
const EXAMPLE = {
  slug: "accounts",
  manifestVersion: 0,
  connections: [
    { slug: "db", config: { connectionType: "postgres", connectionString: "${DATABASE_URL}" } },
    {
      slug: "events",
      config: {
        connectionType: "kafka",
        brokers: ["localhost:9092"],
        schemaRegistry: { url: "http://localhost:8081" },
      },
    },
  ],
  dataStores: [
    {
      connectionSlug: "db",
      config: { connectionType: "postgres", slotName: "accounts", publicationName: "accounts" },
    },
  ],
  eventStores: [{ connectionSlug: "events" }],
};

/**
 * The JSON Schema (draft 7, which every editor knows) of a manifest, made of the definition that the commands and
 * connectors read manifests with.
 */
export function manifestJsonSchema(): object {
  const { $schema, ...schema } = z.toJSONSchema(manifestSchema, {
    target: "draft-7",
    io: "input",
    override: ({ jsonSchema }) => leaveOutTheObvious(jsonSchema),
  });
  return {
    $schema,
    title: "Manifest of rejot-kafka",
    description: "What one team owns: its databases and its Kafka, what it publishes, what it consumes.",
    examples: [EXAMPLE],
    ...schema,
  };
}

/** The same as the text of a file. */
export function manifestJsonSchemaText(): string {
  return `${JSON.stringify(manifestJsonSchema(), null, 2)}\n`;
}

/** Every whole number of JSON is within zod's bounds; every key of an object is a string, any value something. */
function leaveOutTheObvious(schema: z.core.JSONSchema.BaseSchema): void {
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  const { additionalProperties: others } = schema;
  if (typeof others === "object" && Object.keys(others).length === 0) {
    delete schema.propertyNames;
    delete schema.additionalProperties;
  }
}
