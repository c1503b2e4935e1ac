import { RejotError } from "../errors/error.ts";
import type { PublicSchema } from "../manifest/schema.ts";
import type { AvroRecord } from "./avro-types.ts";

export interface AvroSchemasInput {
  manifestSlug: string;
  publicSchema: PublicSchema;
  /** Fields of the output schema that identify an object, in the key's order. */
  keyFields: readonly string[];
}

/** The Avro schemas of a public schema's record key and value. */
export function avroSchemasOf(input: AvroSchemasInput): { key: AvroRecord; value: AvroRecord } {
  throw new RejotError("INTERNAL_ERROR", { detail: input.publicSchema.name });
}
