import { RejotError } from "../errors/error.ts";
import { isAvroName } from "./avro-names.ts";
import { type AvroRecord, type AvroType, nullability, shapeOf } from "./avro-types.ts";
import { decimalText, unscaledOfBytes } from "./decimal-text.ts";

const DOUBLE_BYTES = new Uint8Array(8);
const DOUBLE = new Float64Array(DOUBLE_BYTES.buffer);

/** A value of a union of several types, with the branch it is of. */
export class UnionValue {
  readonly branch: AvroType;
  readonly value: unknown;

  constructor(branch: AvroType, value: unknown) {
    this.branch = branch;
    this.value = value;
  }
}

/** Reads Avro's binary encoding from front to back. Throws RECORD_UNREADABLE when the bytes end too early. */
export class AvroReader {
  private buffer: Buffer = Buffer.alloc(0);
  private position = 0;

  begin(buffer: Buffer): void {
    this.buffer = buffer;
    this.position = 0;
  }

  /** Throws RECORD_UNREADABLE unless all bytes were read. */
  end(): void {
    if (this.position !== this.buffer.length) {
      throw unreadable(`${this.buffer.length} bytes, of which its schema describes ${this.position}`);
    }
  }

  private take(bytes: number): number {
    const start = this.position;
    if (bytes < 0 || start + bytes > this.buffer.length) throw unreadable("it ends too early");
    this.position = start + bytes;
    return start;
  }

  byte(): number {
    return this.buffer[this.take(1)] as number;
  }

  /** A long or an int: a number where that is exact, else a bigint. */
  long(): number | bigint {
    const buffer = this.buffer;
    const first = buffer[this.position];
    if (first !== undefined && first < 0x80) {
      this.position++;
      return (first >>> 1) ^ -(first & 1);
    }
    let bits = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte();
      bits |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (bits >>> 1) ^ -(bits & 1);
    }
    return this.wideLong(bits);
  }

  /** The rest of a long whose first four bytes, 28 bits, have been read: two more halves of up to 28 bits. */
  private wideLong(low: number): number | bigint {
    let middle = 0;
    let high = 0;
    let byte = 0x80;
    for (let shift = 0; shift < 28 && byte > 0x7f; shift += 7) {
      byte = this.byte();
      middle |= (byte & 0x7f) << shift;
    }
    for (let shift = 0; shift < 14 && byte > 0x7f; shift += 7) {
      byte = this.byte();
      high |= (byte & 0x7f) << shift;
    }
    if (byte > 0x7f) throw unreadable("a number is longer than 64 bits");
    if (high === 0 && middle < 0x1000000) {
      const zigzag = middle * 0x10000000 + low;
      return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    }
    const zigzag = (BigInt(high) << 56n) | (BigInt(middle) << 28n) | BigInt(low);
    const value = BigInt.asIntN(64, zigzag >> 1n) ^ -(zigzag & 1n);
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }

  /** A long that counts or measures something in this record. */
  size(): number {
    const value = this.long();
    if (typeof value !== "number" || Math.abs(value) > this.buffer.length)
      throw unreadable("a size is beyond its end");
    return value;
  }

  float(): number {
    return this.buffer.readFloatLE(this.take(4));
  }

  double(): number {
    const start = this.take(8);
    for (let i = 0; i < 8; i++) DOUBLE_BYTES[i] = this.buffer[start + i] as number;
    return DOUBLE[0] as number;
  }

  string(): string {
    const length = this.size();
    const start = this.take(length);
    return this.buffer.toString("utf8", start, start + length);
  }

  /** Shares the record's memory. */
  bytes(length = this.size()): Buffer {
    const start = this.take(length);
    return this.buffer.subarray(start, start + length);
  }

  /** Calls `item` for every item of an array or map. */
  blocks(item: () => void): void {
    for (let count = this.count(); count !== 0; count = this.count()) {
      for (let i = 0; i < count; i++) item();
    }
  }

  /** A negative count is followed by the block's size in bytes, for readers that skip it. */
  private count(): number {
    const count = this.long();
    if (typeof count !== "number") throw unreadable("a block's length is beyond its end");
    if (count >= 0) return count;
    this.long();
    return -count;
  }
}

function unreadable(detail: string): RejotError {
  return new RejotError("RECORD_UNREADABLE", { detail });
}

/** Reads one value. */
export type ValueReader = (input: AvroReader) => unknown;

/**
 * Compiles the reader of a type. Values: null, boolean, number (bigint for longs that are no safe integers), string for
 * strings, enums, uuid, json (its text) and decimals (with all digits of their scale), Buffer for bytes and fixed; dates
 * and times are the plain number they are on the wire; arrays, Map for maps, an object for records, UnionValue where a
 * union has several types beside null. Throws SCHEMA_NOT_MAPPABLE for a schema that refers to types by name.
 */
export function valueReader(type: AvroType): ValueReader {
  const shape = shapeOf(type);
  switch (shape.kind) {
    case "null":
      return () => null;
    case "boolean":
      return (input) => input.byte() !== 0;
    case "float":
      return (input) => input.float();
    case "double":
      return (input) => input.double();
    case "string":
    case "uuid":
    case "json":
      return (input) => input.string();
    case "bytes":
      return (input) => input.bytes();
    case "fixed": {
      const { size } = shape;
      return (input) => input.bytes(size);
    }
    case "decimal": {
      const { scale, fixedSize } = shape;
      return (input) => decimalText(unscaledOfBytes(input.bytes(fixedSize)), scale);
    }
    case "enum":
      return enumReader(shape.symbols);
    case "array":
      return arrayReader(valueReader(shape.items));
    case "map":
      return mapReader(valueReader(shape.valueType));
    case "record":
      return recordReader(shape.record);
    case "union":
      return unionReader(shape.branches);
    default:
      return numberReader(type, shape.kind);
  }
}

const ON_LONG = new Set([
  "int",
  "long",
  "timestamp-micros",
  "timestamp-millis",
  "date",
  "time-micros",
  "time-millis",
]);

function numberReader(type: AvroType, kind: string): ValueReader {
  if (ON_LONG.has(kind)) return (input) => input.long();
  throw new RejotError("SCHEMA_NOT_MAPPABLE", { detail: `Avro type ${JSON.stringify(type)} is not known` });
}

function enumReader(symbols: readonly string[]): ValueReader {
  return (input) => {
    const symbol = symbols[Number(input.long())];
    if (symbol === undefined) throw unreadable(`an enum's value is none of ${symbols.join(", ")}`);
    return symbol;
  };
}

function arrayReader(item: ValueReader): ValueReader {
  return (input) => {
    const items: unknown[] = [];
    input.blocks(() => items.push(item(input)));
    return items;
  };
}

function mapReader(value: ValueReader): ValueReader {
  return (input) => {
    const map = new Map<string, unknown>();
    input.blocks(() => map.set(input.string(), value(input)));
    return map;
  };
}

/** The reader of a record's fields, one after the other. */
export function recordReader(record: AvroRecord): (input: AvroReader) => Record<string, unknown> {
  const names = record.fields.map((field) => field.name);
  const illegal = names.find((name) => !isAvroName(name));
  if (illegal !== undefined)
    throw new RejotError("FIELD_NAME_INVALID", { detail: `"${illegal}" in ${record.name}` });
  const readers = record.fields.map((field) => valueReader(field.type));
  return (input) => {
    const object: Record<string, unknown> = {};
    for (let i = 0; i < names.length; i++) object[names[i] as string] = (readers[i] as ValueReader)(input);
    return object;
  };
}

function unionReader(union: readonly AvroType[]): ValueReader {
  const readers = union.map(valueReader);
  const several = nullability([...union]).branches.length > 1;
  const isNull = union.map((branch) => shapeOf(branch).kind === "null");
  return (input) => {
    const index = Number(input.long());
    const read = readers[index];
    if (read === undefined) throw unreadable("a union's value is of none of its types");
    const value = read(input);
    return several && isNull[index] !== true ? new UnionValue(union[index] as AvroType, value) : value;
  };
}
