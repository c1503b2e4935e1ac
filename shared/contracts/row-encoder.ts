import { RejotError } from "../errors/error.ts";
import type { TypeCatalog } from "../postgres/type-catalog.ts";
import { ATTRIBUTES, type AvroField, type AvroRecord } from "./avro-types.ts";
import { AvroWriter } from "./avro-writer.ts";
import { type Slot, slotOf, writeSlot } from "./slot.ts";
import { textSlot } from "./text-to-avro.ts";
import { explainUnfit, Unfit } from "./unfit.ts";

/** A column of the SELECT: its name and its Postgres type. */
export interface Column {
  readonly name: string;
  readonly typeOid: number;
}

/**
 * Turns one row of Postgres text values, in the columns' order, into Avro bytes. The bytes share memory with other rows'
 * and stay as they are. Throws VALUE_NULL or VALUE_NOT_REPRESENTABLE naming field and value.
 */
export type RowEncoder = (row: readonly (string | null)[]) => Buffer;

export interface RowEncoderOptions {
  /** Bytes put before every record: `wirePrefix(schemaId)` makes the result a complete Kafka key or value. */
  prefix?: Buffer;
}

/**
 * Compiles the encoder of a SELECT's rows. Columns that the schema does not have are left out; of two of one name the
 * last counts. The catalog must know the columns' types (`catalog.require`). Values must be in the text form of the
 * session settings in shared/postgres/client.ts.
 * Throws OUTPUT_COLUMN_MISSING or OUTPUT_COLUMN_TYPE naming the field.
 */
export function compileRowEncoder(
  schema: AvroRecord,
  columns: readonly Column[],
  catalog: Pick<TypeCatalog, "get">,
  options: RowEncoderOptions = {},
): RowEncoder {
  const places = schema.fields.map((field) => placeOf(field, columns, schema));
  const slots = schema.fields.map((field, i) => fieldSlot(field, places[i] ?? -1, columns, catalog, schema));
  const { prefix } = options;
  const out = new AvroWriter();
  const count = slots.length;

  return (row) => {
    let i = 0;
    try {
      out.begin();
      if (prefix !== undefined) out.raw(prefix);
      for (; i < count; i++) {
        const place = places[i] as number;
        writeSlot(slots[i] as Slot, place < 0 ? null : (row[place] as string | null), out);
      }
      return out.finish();
    } catch (error) {
      throw explainUnfit(error, schema.name, schema.fields[i]?.name ?? "", row[places[i] ?? -1] ?? null);
    }
  };
}

/** The field's column; -1 when the SQL may leave it out and does. */
function placeOf(field: AvroField, columns: readonly Column[], schema: AvroRecord): number {
  const place = columns.findLastIndex((column) => column.name === field.name);
  if (place < 0 && field[ATTRIBUTES.optional] !== true) {
    const have = columns.map((column) => column.name).join(", ");
    throw new RejotError("OUTPUT_COLUMN_MISSING", {
      detail: `"${field.name}" of ${schema.name}; it selects ${have || "nothing"}`,
    });
  }
  return place;
}

function fieldSlot(
  field: AvroField,
  place: number,
  columns: readonly Column[],
  catalog: Pick<TypeCatalog, "get">,
  schema: AvroRecord,
): Slot {
  const column = columns[place];
  const unused = () => () => {
    throw new Unfit("the column is not selected");
  };
  if (column === undefined) return slotOf(field.type, unused, unused);
  try {
    return textSlot(field.type, catalog.get(column.typeOid));
  } catch (error) {
    if (!(error instanceof RejotError) || error.code !== "OUTPUT_COLUMN_TYPE") throw error;
    throw new RejotError("OUTPUT_COLUMN_TYPE", {
      detail: `"${field.name}" of ${schema.name}: ${error.message.replace(/^[^:]*: /, "")}`,
    });
  }
}
