import { RejotError } from "../errors/error.ts";
import { OID, type PgType, withoutDomains } from "../postgres/type-catalog.ts";
import { type ArrayText, parseArrayText } from "./array-text.ts";
import { type AvroType, nullability, shapeOf } from "./avro-types.ts";
import { jsonSlot, writeJsonSlot } from "./json-to-avro.ts";
import {
  decimalWriter,
  enumWriter,
  limitedWriter,
  type TextWriter,
  writeBigInteger,
  writeDate,
  writeDateAsTimestamp,
  writeDouble,
  writeFloat,
  writeHexBytes,
  writeInteger,
  writeNumericAsDouble,
  writePgBoolean,
  writeSmallInteger,
  writeText,
  writeTime,
  writeTimestamp,
  writeUuid,
} from "./scalar-writers.ts";
import { branchByteOf, firstThatFits, type Slot, slotOf, writeSlot } from "./slot.ts";
import { jsonTextOf } from "./text-to-json.ts";
import { Unfit } from "./unfit.ts";

/**
 * How values of a Postgres type, in their text form, become values of an Avro type.
 * Throws OUTPUT_COLUMN_TYPE when no value of the one could be one of the other.
 */
export function textSlot(type: AvroType, pgType: PgType): Slot {
  const pg = withoutDomains(pgType);
  if (isJson(pg) && !takesTextVerbatim(type)) return jsonColumnSlot(jsonSlot(type));
  return slotOf(
    type,
    (branch) => textWriter(branch, pg),
    (union) => alternativesWriter(union, pg),
  );
}

/** The type json keeps the spaces around a value; JSON's null is null where the field is no JSON itself. */
function jsonColumnSlot(slot: Slot): Slot {
  return {
    nullByte: slot.nullByte,
    branchByte: -1,
    write: (text, out) => writeJsonSlot(slot, text.trim(), out),
  };
}

function isJson(pg: PgType): boolean {
  return pg.oid === OID.json || pg.oid === OID.jsonb;
}

/** Postgres's own types have lower oids. */
const FIRST_OWN_OID = 16_384;

/** A string field carries any type's text, and so JSON's. */
function takesTextVerbatim(type: AvroType): boolean {
  const { branches } = nullability(type);
  const kind = branches.length === 1 ? shapeOf(branches[0] as AvroType).kind : undefined;
  return kind === "string" || kind === "json";
}

function textWriter(type: AvroType, pg: PgType): TextWriter {
  const shape = shapeOf(type);
  const limited = (write: TextWriter | undefined) =>
    write === undefined || !("values" in shape) || shape.values === undefined
      ? write
      : limitedWriter(shape.values, write);
  switch (shape.kind) {
    case "string":
      return shape.values === undefined
        ? writeText
        : suited(limited(spellsWords(pg) ? writeText : undefined), type, pg);
    case "json":
      return isJson(pg) ? writeText : viaJson(pg);
    case "enum":
      return suited(spellsWords(pg) ? enumWriter(shape.symbols) : undefined, type, pg);
    case "boolean":
      return suited(booleanWriter(pg, shape.values), type, pg);
    case "long":
      return suited(limited(longWriter(pg)), type, pg);
    case "double":
      return suited(limited(doubleWriter(pg)), type, pg);
    case "decimal":
      return suited(
        isNumber(pg) || isText(pg) ? decimalWriter(shape.precision, shape.scale, shape.fixedSize) : undefined,
        type,
        pg,
      );
    case "timestamp-micros":
      return suited(timestampWriter(pg), type, pg);
    case "date":
      return suited(pg.oid === OID.date || isText(pg) ? writeDate : undefined, type, pg);
    case "time-micros":
      return suited(pg.oid === OID.time || isText(pg) ? writeTime : undefined, type, pg);
    case "uuid":
      return suited(pg.oid === OID.uuid ? writeText : isText(pg) ? writeUuid : undefined, type, pg);
    case "bytes":
      return suited(pg.oid === OID.bytea ? writeHexBytes : undefined, type, pg);
    case "array":
      return suited(
        pg.element === undefined ? undefined : arrayWriter(shape.items, pg, pg.element),
        type,
        pg,
      );
    default:
      return suited(undefined, type, pg);
  }
}

function suited(writer: TextWriter | undefined, type: AvroType, pg: PgType): TextWriter {
  if (writer !== undefined) return writer;
  throw new RejotError("OUTPUT_COLUMN_TYPE", {
    detail: `the column is ${pg.name}, the field ${describeType(type)}`,
  });
}

/** The type in a word, for messages. */
export function describeType(type: AvroType): string {
  const { nullable, branches } = nullability(type);
  const words = branches.map((branch) => {
    const shape = shapeOf(branch);
    return shape.kind === "decimal" ? `decimal(${shape.precision}, ${shape.scale})` : shape.kind;
  });
  return `${nullable ? "nullable " : ""}${words.join(" or ")}`;
}

/** Strings, and what a literal of unknown type becomes. Their text may spell a value of another type. */
function isText(pg: PgType): boolean {
  return pg.category === "S" || pg.oid === OID.unknown;
}

/** Strings, enums and what extensions define; other types' texts are a form of Postgres's own. */
function spellsWords(pg: PgType): boolean {
  const foreign = pg.category === "U" && pg.oid >= FIRST_OWN_OID;
  return isText(pg) || pg.kind === "enum" || pg.oid === OID.char || foreign;
}

function isNumber(pg: PgType): boolean {
  return isSmall(pg) || pg.oid === OID.int8 || pg.oid === OID.numeric || isFloat(pg);
}

function isSmall(pg: PgType): boolean {
  return pg.oid === OID.int2 || pg.oid === OID.int4 || pg.oid === OID.oid;
}

function isFloat(pg: PgType): boolean {
  return pg.oid === OID.float4 || pg.oid === OID.float8;
}

function longWriter(pg: PgType): TextWriter | undefined {
  if (isSmall(pg)) return writeSmallInteger;
  if (pg.oid === OID.int8) return writeBigInteger;
  return isNumber(pg) || isText(pg) ? writeInteger : undefined;
}

function doubleWriter(pg: PgType): TextWriter | undefined {
  if (isFloat(pg) || isSmall(pg)) return writeFloat;
  if (isNumber(pg)) return writeNumericAsDouble;
  return isText(pg) ? writeDouble : undefined;
}

function booleanWriter(pg: PgType, values?: readonly unknown[]): TextWriter | undefined {
  if (pg.oid !== OID.bool) return undefined;
  if (values === undefined) return writePgBoolean;
  return limitedWriter(values[0] === true ? ["t"] : ["f"], writePgBoolean);
}

function timestampWriter(pg: PgType): TextWriter | undefined {
  if (pg.oid === OID.date) return writeDateAsTimestamp;
  return pg.oid === OID.timestamptz || pg.oid === OID.timestamp || isText(pg) ? writeTimestamp : undefined;
}

/** A json field takes any type, as to_json would write it. */
function viaJson(pg: PgType): TextWriter {
  const toJson = jsonTextOf(pg);
  return (text, out) => out.string(toJson(text));
}

function arrayWriter(items: AvroType, pg: PgType, element: PgType): TextWriter {
  const write = elementsWriter(items, element);
  return (text, out) => {
    const elements = parseArrayText(text, pg.delimiter);
    if (elements === undefined) throw new Unfit("it is no array that starts at index 1");
    write(elements, out);
  };
}

/** Arrays of arrays are Postgres' arrays of several dimensions, whose element type is the innermost one's. */
function elementsWriter(
  items: AvroType,
  element: PgType,
): (elements: ArrayText, out: Parameters<TextWriter>[1]) => void {
  const { branches } = nullability(items);
  const inner = branches.length === 1 ? shapeOf(branches[0] as AvroType) : undefined;
  const nested =
    inner?.kind === "array" &&
    withoutDomains(element).element === undefined &&
    !isJson(withoutDomains(element))
      ? elementsWriter(inner.items, element)
      : undefined;
  const byte = Array.isArray(items) ? branchByteOf(items.indexOf(branches[0] as AvroType)) : -1;
  const slot = nested === undefined ? textSlot(items, element) : undefined;
  return (elements, out) => {
    if (elements.length > 0) out.long(elements.length);
    for (let i = 0; i < elements.length; i++) {
      const value = elements[i] as ArrayText[number];
      try {
        if (slot !== undefined && !Array.isArray(value)) {
          writeSlot(slot, value, out);
        } else if (nested !== undefined && Array.isArray(value)) {
          if (byte >= 0) out.byte(byte);
          nested(value, out);
        } else throw new Unfit("it has another number of dimensions than the schema says");
      } catch (error) {
        throw Unfit.at(i, error);
      }
    }
    out.byte(0);
  };
}

/** Which branch a column goes to first: the one closest to its type, text last. */
function preference(type: AvroType, pg: PgType): number {
  const { kind } = shapeOf(type);
  if (kind === "string") return 9;
  if (!isNumber(pg)) return kind === "enum" || !isText(pg) ? 0 : kind === "long" || kind === "double" ? 5 : 1;
  return kind === "long" ? 0 : kind === "decimal" ? 1 : kind === "double" ? 2 : 3;
}

function alternativesWriter(union: readonly AvroType[], pg: PgType): TextWriter {
  const candidates = union.flatMap((type, index) => {
    if (shapeOf(type).kind === "null") return [];
    try {
      return [{ type, byte: branchByteOf(index), write: textWriter(type, pg) }];
    } catch (error) {
      if (error instanceof RejotError && error.code === "OUTPUT_COLUMN_TYPE") return [];
      throw error;
    }
  });
  // A text is not taken for a number when the schema has text: '007' would become 7.
  const plainText = candidates.some(({ type }) => shapeOf(type).kind === "string");
  const usable = plainText && isText(pg) ? candidates.filter(({ type }) => keepsText(type)) : candidates;
  if (usable.length === 0) return suited(undefined, [...union], pg);
  return firstThatFits(usable.toSorted((a, b) => preference(a.type, pg) - preference(b.type, pg)));
}

function keepsText(type: AvroType): boolean {
  const { kind } = shapeOf(type);
  return kind === "string" || kind === "enum" || kind === "uuid";
}
