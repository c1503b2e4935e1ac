import { OID, type PgType } from "../postgres/type-catalog.ts";
import type { AvroShape } from "./avro-types.ts";
import { canonicalNumber, exactDouble } from "./decimal-text.ts";
import { Unfit } from "./unfit.ts";

/** Throws Unfit for a text that Postgres would take for the parameter, and change without a word. */
export type ParameterGuard = (text: string) => void;

const MONEY = 790;
const INTERVAL = 1186;
const TIMETZ = 1266;
const NAME = 19;
const NAME_BYTES = 63;

/** What Postgres rounds, cuts or leaves out when it reads a field's text as a type; undefined where it does not. */
export function guardOf(kind: AvroShape["kind"], pg: PgType): ParameterGuard | undefined {
  switch (pg.oid) {
    case OID.float8:
      return kind === "double" || kind === "float" ? undefined : exactAsDouble;
    case OID.float4:
      return kind === "float" ? undefined : exactAsReal;
    case MONEY:
      return exactAsMoney;
    case OID.oid:
      return refusing(/^\s*-/, "an oid has no sign");
    case OID.char:
      return oneByte;
    case NAME:
      return shortName;
    default:
      return timeGuard(kind, pg);
  }
}

function refusing(pattern: RegExp, why: string): ParameterGuard {
  return (text) => {
    if (pattern.test(text)) throw new Unfit(why);
  };
}

const SEVENTH_DIGIT = /\.\d{6}\d*[1-9]/;
const OTHER_OFFSET = /:\d\d(?:\.\d+)?\s*[+-](?!00(?::?00)*(?!\d))\d\d/;
const TIME_OF_DAY = /(?:^|\D)(?!00:00(?::00(?:\.0+)?)?(?:[^.:\d]|$))\d\d:\d\d/;
const DATE = /\d{4}-\d\d-\d\d|T/;

const microseconds = refusing(SEVENTH_DIGIT, "Postgres keeps microseconds only");
const noOffset = refusing(OTHER_OFFSET, "a timestamp without time zone would leave out its offset");
const midnight = refusing(TIME_OF_DAY, "a date would leave out its time of day");
const noDate = refusing(DATE, "a time of day would leave out its date");

function timeGuard(kind: AvroShape["kind"], pg: PgType): ParameterGuard | undefined {
  const instant = kind === "timestamp-micros" || kind === "timestamp-millis";
  if (kind !== "string" && !instant) return undefined;
  switch (pg.oid) {
    case OID.date:
      return midnight;
    case OID.time:
    case TIMETZ:
      return both(noDate, microseconds);
    case OID.timestamp:
      return instant ? undefined : both(noOffset, microseconds);
    case OID.timestamptz:
    case INTERVAL:
      return instant ? undefined : microseconds;
    default:
      return undefined;
  }
}

function both(first: ParameterGuard, second: ParameterGuard): ParameterGuard {
  return (text) => {
    first(text);
    second(text);
  };
}

/** A double is told apart by 17 digits at most. */
const DOUBLE_DIGITS = 17;

/**
 * Texts that are no number are left to the server, which refuses them or knows them (`NaN`). Of some doubles Postgres
 * writes another shortest text than JavaScript does: 9.999999999999999e+22 for 1e+23.
 */
function exactAsDouble(text: string): void {
  if (exactDouble(text) !== undefined) return;
  const canonical = canonicalNumber(text);
  if (canonical === undefined) return;
  const digits = canonical.replace("-", "").indexOf("e");
  const value = Number(text);
  if (digits <= DOUBLE_DIGITS && canonicalNumber(value.toPrecision(digits)) === canonical) return;
  throw new Unfit("double precision would round it");
}

/** The text has to be the real's, rounded at its own last digit: Postgres writes 1.3853392e+06 for 1385339.25. */
function exactAsReal(text: string): void {
  const canonical = canonicalNumber(text);
  if (canonical === undefined) return;
  exactAsDouble(text);
  const value = Number(text);
  // A little more than a half: the numbers here are doubles themselves.
  const half = Number(`0.50001e${canonical.split("e")[1]}`);
  if (Math.abs(value - Math.fround(value)) > half) throw new Unfit("real would round it");
}

function exactAsMoney(text: string): void {
  const canonical = canonicalNumber(text);
  if (canonical !== undefined && Number(canonical.split("e")[1]) < -2) {
    throw new Unfit("money would round it to cents");
  }
}

function oneByte(text: string): void {
  if (Buffer.byteLength(text) > 1 && !/^\\[0-7]{3}$/.test(text)) throw new Unfit('"char" keeps one byte');
}

function shortName(text: string): void {
  if (Buffer.byteLength(text) > NAME_BYTES) throw new Unfit(`a name keeps ${NAME_BYTES} bytes`);
}
