import { AvroReader, recordReader } from "./avro-reader.ts";
import type { AvroRecord } from "./avro-types.ts";

/** Avro bytes, without wire-format prefix, to a value per field; throws RECORD_UNREADABLE when they are not of the schema. */
export type RowDecoder = (bytes: Buffer) => Record<string, unknown>;

/**
 * Compiles the decoder of a writer's schema (as `schemaById` gives it). `valueReader` in avro-reader.ts says what the
 * values are: for SQL they go through `compileParameter`, for JSON through `toJsonValue`.
 */
export function compileRowDecoder(schema: AvroRecord): RowDecoder {
  const read = recordReader(schema);
  const input = new AvroReader();
  return (bytes) => {
    input.begin(bytes);
    const row = read(input);
    input.end();
    return row;
  };
}

export { toJsonValue } from "./json-value.ts";
export { compileParameter } from "./parameter.ts";
