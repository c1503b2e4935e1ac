import { RejotError } from "../errors/error.ts";
import type { PublicSchema } from "../manifest/schema.ts";
import { legalName, namespaceOf } from "./avro-names.ts";
import { type AvroField, type AvroRecord, type AvroType, shapeOf } from "./avro-types.ts";
import { avroRecordOf } from "./json-schema-to-avro.ts";

/** What the Avro schemas of a public schema are made from. */
export interface AvroSchemasInput {
  manifestSlug: string;
  publicSchema: Pick<PublicSchema, "name" | "outputSchema" | "version">;
  /** Fields of the output schema that identify an object, in the key's order. */
  keyFields: readonly string[];
}

/**
 * The Avro schemas of a public schema's record key and value: records named after it, the key's fields those of the
 * value, never null. Throws SCHEMA_NOT_MAPPABLE, FIELD_NAME_INVALID or KEY_FIELD_INVALID naming the field.
 */
export function avroSchemasOf(input: AvroSchemasInput): { key: AvroRecord; value: AvroRecord } {
  const { name, outputSchema, version } = input.publicSchema;
  const namespace = namespaceOf(input.manifestSlug, version.major);
  const value = avroRecordOf(outputSchema, legalName(name), namespace);
  const fields = input.keyFields.map((field) => keyField(value, field));
  return { key: { type: "record", name: `${legalName(name)}Key`, namespace, fields }, value };
}

const COMPOUND = new Set(["array", "map", "record", "union", "json", "null"]);

function keyField(value: AvroRecord, name: string): AvroField {
  const field = value.fields.find((candidate) => candidate.name === name);
  if (field === undefined) {
    const have = value.fields.map((candidate) => candidate.name).join(", ");
    throw new RejotError("KEY_FIELD_INVALID", { detail: `"${name}" is not in the output schema (${have})` });
  }
  const type: AvroType = field.type;
  const { kind } = shapeOf(type);
  if (kind === "union")
    throw new RejotError("KEY_FIELD_INVALID", { detail: `"${name}" may be null or of several types` });
  if (COMPOUND.has(kind)) throw new RejotError("KEY_FIELD_INVALID", { detail: `"${name}" is a ${kind}` });
  return { name, type };
}
