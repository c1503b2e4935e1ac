import { type AvroRecord, type AvroType, shapeOf } from "./avro-types.ts";
import { jsonKindOf } from "./avro-union.ts";
import type { AvroWriter } from "./avro-writer.ts";
import { type JsonKind, jsonElements, jsonKind, jsonMembers, jsonString } from "./json-text.ts";
import {
  decimalWriter,
  enumWriter,
  limitedWriter,
  type TextWriter,
  writeDate,
  writeDouble,
  writeInt32,
  writeInteger,
  writeText,
  writeTime,
  writeTimestamp,
  writeUuid,
} from "./scalar-writers.ts";
import { branchByteOf, firstThatFits, NOT_NULLABLE, type Slot, slotOf, writeSlot } from "./slot.ts";
import { Unfit } from "./unfit.ts";

/** A strict record refuses members that it has no field for; a lenient one leaves them out, as zod's objects do. */
type Strictness = "strict" | "lenient";

/** The writer of a JSON value's text. Numbers are taken as they are spelled, so that none is rounded. */
export function jsonWriter(type: AvroType, strictness: Strictness = "lenient"): TextWriter {
  const shape = shapeOf(type);
  switch (shape.kind) {
    case "union":
      return nullableWriter(type, strictness);
    case "json":
      return writeText;
    case "record":
      return recordWriter(shape.record, strictness);
    case "map":
      return mapWriter(jsonSlot(shape.valueType, strictness));
    case "array":
      return arrayWriter(jsonSlot(shape.items, strictness));
    case "boolean":
      return limited(shape.values, writeBoolean);
    case "int":
      return limited(shape.values, numberOnly(writeInt32));
    case "long":
      return limited(shape.values, numberOnly(writeInteger));
    case "double":
      return limited(shape.values, writeJsonDouble);
    case "decimal":
      return orString(decimalWriter(shape.precision, shape.scale, shape.fixedSize));
    case "string":
      return stringOnly(limited(shape.values, writeText));
    case "bytes":
      return stringOnly(writeBase64);
    default:
      return stringOnly(stringFormWriter(type));
  }
}

/** The slot of a JSON value, for writeJsonSlot. */
export function jsonSlot(type: AvroType, strictness: Strictness = "lenient"): Slot {
  return slotOf(
    type,
    (branch) => jsonWriter(branch, strictness),
    (union) => alternativesWriter(union),
  );
}

/** Writes a JSON value; the text `null` is null, except where any JSON may stand and null is not apart. */
export function writeJsonSlot(slot: Slot, text: string, out: AvroWriter): void {
  writeSlot(slot, text === "null" && slot.nullByte !== NOT_NULLABLE ? null : text, out);
}

function nullableWriter(type: AvroType, strictness: Strictness): TextWriter {
  const slot = jsonSlot(type, strictness);
  return (text, out) => writeJsonSlot(slot, text, out);
}

function stringFormWriter(type: AvroType): TextWriter {
  const shape = shapeOf(type);
  switch (shape.kind) {
    case "uuid":
      return writeUuid;
    case "enum":
      return enumWriter(shape.symbols);
    case "timestamp-micros":
      return writeTimestamp;
    case "date":
      return writeDate;
    case "time-micros":
      return writeTime;
    default:
      throw new Unfit(`JSON has no form for Avro's ${shape.kind} here`);
  }
}

function limited(values: readonly (string | number | boolean)[] | undefined, write: TextWriter): TextWriter {
  return values === undefined ? write : limitedWriter(values, write);
}

function expect(kind: JsonKind, text: string): void {
  const is = jsonKind(text);
  if (is === "null") throw new Unfit("the schema does not allow null here", "VALUE_NULL");
  if (is !== kind) throw new Unfit(`it is a JSON ${is}, not a ${kind}`);
}

function writeBoolean(text: string, out: AvroWriter): void {
  expect("boolean", text);
  out.byte(text === "true" ? 1 : 0);
}

function numberOnly(write: TextWriter): TextWriter {
  return (text, out) => {
    expect("number", text);
    write(text, out);
  };
}

/** to_json writes numbers that JSON does not have as strings. */
function writeJsonDouble(text: string, out: AvroWriter): void {
  const named = text === '"NaN"' || text === '"Infinity"' || text === '"-Infinity"';
  if (!named) expect("number", text);
  writeDouble(named ? jsonString(text) : text, out);
}

/** A decimal may stand in JSON as a string, as those do who cannot rely on numbers being read exactly. */
function orString(write: TextWriter): TextWriter {
  return (text, out) => {
    if (jsonKind(text) === "string") return write(jsonString(text), out);
    expect("number", text);
    write(text, out);
  };
}

function stringOnly(write: TextWriter): TextWriter {
  return (text, out) => {
    expect("string", text);
    const value = jsonString(text);
    if (!value.isWellFormed()) throw new Unfit("it has half of a surrogate pair, which UTF-8 cannot carry");
    write(value, out);
  };
}

function writeBase64(text: string, out: AvroWriter): void {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64").replace(/=+$/, "") !== text.replace(/=+$/, ""))
    throw new Unfit("it is no base64");
  out.bytes(bytes);
}

function recordWriter(record: AvroRecord, strictness: Strictness): TextWriter {
  const fields = record.fields.map((field) => ({ name: field.name, slot: jsonSlot(field.type) }));
  const names = new Set(record.fields.map((field) => field.name));
  return (text, out) => {
    expect("object", text);
    const members = jsonMembers(text);
    if (strictness === "strict") {
      for (const name of members.keys()) if (!names.has(name)) throw new Unfit(`it has a member "${name}"`);
    }
    for (const { name, slot } of fields) {
      try {
        const member = members.get(name);
        if (member === undefined) writeSlot(slot, null, out);
        else writeJsonSlot(slot, member, out);
      } catch (error) {
        throw Unfit.at(name, error);
      }
    }
  };
}

function mapWriter(values: Slot): TextWriter {
  return (text, out) => {
    expect("object", text);
    const members = jsonMembers(text);
    if (members.size > 0) out.long(members.size);
    for (const [name, member] of members) {
      try {
        if (!name.isWellFormed()) throw new Unfit("its name has half of a surrogate pair");
        out.string(name);
        writeJsonSlot(values, member, out);
      } catch (error) {
        throw Unfit.at(name, error);
      }
    }
    out.byte(0);
  };
}

function arrayWriter(items: Slot): TextWriter {
  return (text, out) => {
    expect("array", text);
    const elements = jsonElements(text);
    if (elements.length > 0) out.long(elements.length);
    for (let i = 0; i < elements.length; i++) {
      try {
        writeJsonSlot(items, elements[i] as string, out);
      } catch (error) {
        throw Unfit.at(i, error);
      }
    }
    out.byte(0);
  };
}

/**
 * The writer of a union of several types, told apart by the kind of JSON value; of several records the first that has
 * a field for every member, else the first that fits without.
 */
function alternativesWriter(union: readonly AvroType[]): TextWriter {
  const byKind = new Map<JsonKind, TextWriter>();
  for (const kind of ["boolean", "number", "string", "array", "object"] as const) {
    const branches = union
      .map((type, index) => ({ type, byte: branchByteOf(index) }))
      .filter(({ type }) => jsonKindOf(type) === kind);
    const modes: Strictness[] = kind === "object" ? ["strict", "lenient"] : ["lenient"];
    const candidates = modes.flatMap((mode) =>
      branches.map(({ type, byte }) => ({ byte, write: jsonWriter(type, mode) })),
    );
    if (candidates.length > 0) byKind.set(kind, firstThatFits(candidates));
  }
  return (text, out) => {
    const kind = jsonKind(text);
    const write = byKind.get(kind);
    if (write === undefined) throw new Unfit(`no alternative is a JSON ${kind}`);
    write(text, out);
  };
}
