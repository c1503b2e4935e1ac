import type { AvroWriter } from "./avro-writer.ts";
import {
  decimalBytes,
  exactDouble,
  exactInteger,
  smallUnscaledDecimal,
  unscaledDecimal,
} from "./decimal-text.ts";
import { parseDate, parseTime, parseTimestamp } from "./time-text.ts";
import { Unfit } from "./unfit.ts";

/** Writes the Avro value that a text stands for; throws Unfit when there is none that is exactly it. */
export type TextWriter = (text: string, out: AvroWriter) => void;

const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);
/** An integer of so many characters is a safe one, sign included. */
const SAFE_CHARACTERS = 15;
const INT32_MAX = 0x7fffffff;
const MINUS = 45;

export function writeText(text: string, out: AvroWriter): void {
  out.string(text);
}

export function writeSmallInteger(text: string, out: AvroWriter): void {
  out.long(Number(text));
}

/** What Postgres writes for int8. */
export function writeBigInteger(text: string, out: AvroWriter): void {
  if (text.length <= SAFE_CHARACTERS) out.long(Number(text));
  else out.bigLong(BigInt(text));
}

/** Any spelling of a whole number. */
export function writeInteger(text: string, out: AvroWriter): void {
  const value = exactInteger(text);
  if (value === 0) refuseNegativeZero(text);
  writeLong(value, out);
}

/** Floating point and the type json have it; integers and decimals would make it a plain zero. */
function refuseNegativeZero(text: string): void {
  if (text.charCodeAt(0) === MINUS) throw new Unfit("it is negative zero");
}

/** Any spelling of a whole number of 32 bits. */
export function writeInt32(text: string, out: AvroWriter): void {
  const value = exactInteger(text);
  if (typeof value !== "number" || Math.abs(value) > INT32_MAX)
    throw new Unfit("it is no integer of 32 bits");
  out.long(value);
}

function writeLong(value: number | bigint | undefined, out: AvroWriter): void {
  if (value === undefined) throw new Unfit("it is no whole number");
  if (typeof value === "number") out.long(value);
  else if (value > MAX_INT64 || value < MIN_INT64) throw new Unfit("it is beyond 64 bits");
  else out.bigLong(value);
}

/** What Postgres writes for float4, float8 and small integers: all of them are doubles, NaN and Infinity too. */
export function writeFloat(text: string, out: AvroWriter): void {
  out.double(Number(text));
}

/** What Postgres writes for numeric and int8. */
export function writeNumericAsDouble(text: string, out: AvroWriter): void {
  if (text.length <= SAFE_CHARACTERS) out.double(Number(text));
  else writeDouble(text, out);
}

/** Any spelling of a number. */
export function writeDouble(text: string, out: AvroWriter): void {
  const value = exactDouble(text);
  if (value === undefined) {
    if (text !== "NaN" && text !== "Infinity" && text !== "-Infinity") {
      throw new Unfit("no double is exactly that number");
    }
    out.double(Number(text));
  } else out.double(value);
}

/** Any spelling of a decimal. */
export function decimalWriter(precision: number, scale: number, fixedSize?: number): TextWriter {
  return (text, out) => {
    if (fixedSize === undefined) {
      const small = smallUnscaledDecimal(text, precision, scale);
      if (small === 0) refuseNegativeZero(text);
      if (small !== undefined) return out.smallDecimal(small);
    }
    const unscaled = unscaledDecimal(text, precision, scale);
    if (unscaled === 0n) refuseNegativeZero(text);
    if (unscaled === undefined) throw new Unfit(`it does not fit decimal(${precision}, ${scale})`);
    const bytes = decimalBytes(unscaled);
    if (fixedSize === undefined) out.bytes(bytes);
    else out.raw(signExtended(bytes, fixedSize));
  };
}

function signExtended(bytes: Buffer, size: number): Buffer {
  const fill = ((bytes[0] as number) & 0x80) === 0 ? 0 : 0xff;
  return Buffer.concat([Buffer.alloc(size - bytes.length, fill), bytes]);
}

export function writePgBoolean(text: string, out: AvroWriter): void {
  out.byte(text === "t" ? 1 : 0);
}

export function writeTimestamp(text: string, out: AvroWriter): void {
  const micros = parseTimestamp(text);
  if (micros === undefined) throw new Unfit("it is no timestamp from year 1 to 294246");
  if (typeof micros === "number") out.long(micros);
  else out.bigLong(micros);
}

/** A Postgres date is its midnight in UTC. */
export function writeDateAsTimestamp(text: string, out: AvroWriter): void {
  writeTimestamp(`${text} 00:00:00`, out);
}

export function writeDate(text: string, out: AvroWriter): void {
  const days = parseDate(text);
  if (days === undefined) throw new Unfit("it is no date from year 1 on");
  out.long(days);
}

export function writeTime(text: string, out: AvroWriter): void {
  const micros = parseTime(text);
  if (micros === undefined) throw new Unfit("it is no time of day before 24:00");
  out.long(micros);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function writeUuid(text: string, out: AvroWriter): void {
  if (!UUID.test(text)) throw new Unfit("it is no uuid");
  out.string(text);
}

/** What Postgres writes for bytea with bytea_output = hex. */
export function writeHexBytes(text: string, out: AvroWriter): void {
  if (!text.startsWith("\\x") || text.length % 2 !== 0) throw new Unfit("it is no bytea in hex");
  out.hexBytes(text, 2);
}

export function enumWriter(symbols: readonly string[]): TextWriter {
  const indexes = new Map(symbols.map((symbol, index) => [symbol, index]));
  return (text, out) => {
    const index = indexes.get(text);
    if (index === undefined) throw new Unfit(`it is none of ${symbols.join(", ")}`);
    out.long(index);
  };
}

/** The writer, for values of a list only; numbers are compared as numbers, all else as text. */
export function limitedWriter(values: readonly (string | number | boolean)[], write: TextWriter): TextWriter {
  const texts = new Set(values.filter((value) => typeof value !== "number").map(String));
  const numbers = new Set<unknown>(values.filter((value) => typeof value === "number"));
  return (text, out) => {
    if (!texts.has(text) && !numbers.has(exactDouble(text)))
      throw new Unfit(`it is none of ${values.join(", ")}`);
    write(text, out);
  };
}
