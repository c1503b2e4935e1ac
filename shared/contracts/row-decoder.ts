import { RejotError } from "../errors/error.ts";
import type { PgType } from "../postgres/type-catalog.ts";
import type { AvroRecord, AvroType } from "./avro-types.ts";

/** Avro bytes, without wire-format prefix, to a value per field. */
export type RowDecoder = (bytes: Buffer) => Record<string, unknown>;

/** Compiles the decoder of a writer's schema. */
export function compileRowDecoder(schema: AvroRecord): RowDecoder {
  throw new RejotError("INTERNAL_ERROR", { detail: schema.name });
}

/** Compiles the way of a field's value to the Postgres text of a parameter of that type. */
export function compileParameter(field: AvroType, _pgType: PgType): (value: unknown) => string | null {
  throw new RejotError("INTERNAL_ERROR", { detail: String(field) });
}

/** A field's (or whole record's) value as something JSON.stringify writes. */
export function toJsonValue(field: AvroType, _value: unknown): unknown {
  throw new RejotError("INTERNAL_ERROR", { detail: String(field) });
}
