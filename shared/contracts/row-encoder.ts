import { RejotError } from "../errors/error.ts";
import type { TypeCatalog } from "../postgres/type-catalog.ts";
import type { AvroRecord } from "./avro-types.ts";

/** A column of the SELECT: its name and its Postgres type. */
export interface Column {
  readonly name: string;
  readonly typeOid: number;
}

/** Turns one row of Postgres text values, in the columns' order, into Avro bytes. */
export type RowEncoder = (row: readonly (string | null)[]) => Buffer;

export interface RowEncoderOptions {
  /** Bytes put before every record: `wirePrefix(schemaId)` makes the result a complete Kafka key or value. */
  prefix?: Buffer;
}

/** Compiles the encoder of a SELECT's rows. */
export function compileRowEncoder(
  schema: AvroRecord,
  _columns: readonly Column[],
  _catalog: TypeCatalog,
  _options: RowEncoderOptions = {},
): RowEncoder {
  throw new RejotError("INTERNAL_ERROR", { detail: schema.name });
}
