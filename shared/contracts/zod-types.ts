import { z } from "zod";
import { RejotError } from "../errors/error.ts";

/** JSON Schema (draft 7), as it stands in a manifest. */
export type JsonSchema = Record<string, unknown>;

/**
 * A number of at most `precision` digits, `scale` of them after the point, carried exactly: Avro `decimal`,
 * Postgres `numeric`, a string in TypeScript. Throws SCHEMA_NOT_MAPPABLE unless 0 ≤ scale ≤ precision and precision ≥ 1.
 */
export function decimal(precision: number, scale = 0): z.ZodString {
  const valid = Number.isInteger(precision) && Number.isInteger(scale) && scale >= 0 && precision >= scale;
  if (!valid || precision < 1) {
    throw new RejotError("SCHEMA_NOT_MAPPABLE", {
      detail: `decimal(${precision}, ${scale}) needs 0 ≤ scale ≤ precision and precision ≥ 1`,
    });
  }
  return z.string().meta({ format: "decimal", precision, scale });
}

/** Any JSON value, carried as its exact text: json and jsonb columns whose inside is nobody's contract. */
export function json(): z.ZodUnknown {
  return z.unknown().meta({ "x-rejot-type": "json" });
}

/** Bytes: Postgres `bytea`, Avro `bytes`; base64 in JSON. */
export function bytes(): z.ZodString {
  return z.string().meta({ contentEncoding: "base64" });
}

/** A point in time to the microsecond: Postgres `timestamptz`, Avro `timestamp-micros`; ISO 8601 in JSON. */
export function timestamp(): z.ZodString {
  return z.string().meta({ format: "date-time" });
}

/** A calendar date: Postgres `date`, Avro `date`; `2024-02-29` in JSON. */
export function date(): z.ZodString {
  return z.string().meta({ format: "date" });
}

/** A time of day to the microsecond: Postgres `time`, Avro `time-micros`; `23:59:59.999999` in JSON. */
export function time(): z.ZodString {
  return z.string().meta({ format: "time" });
}

/** A whole number of 64 bits, exact beyond what a JavaScript number holds: Postgres `bigint`, Avro `long`. */
export function int64(): z.ZodBigInt {
  return z.bigint();
}

const LEAVE_OUT = "Leave the field out of the schema: no column has such a value.";

/** zod types that say nothing about a value that JSON or Avro could carry, and what to write instead. */
const WITHOUT_FORM: Readonly<Record<string, string>> = {
  transform:
    "The source runs no transforms: declare what the SELECT gives, or add .pipe(z.…) with the type that comes out.",
  map: "Use z.record(z.string(), …) for an object with any members.",
  nan: "Use z.number(), which carries NaN of real and double precision.",
  file: "Use bytes().",
  symbol: LEAVE_OUT,
  undefined: LEAVE_OUT,
  void: LEAVE_OUT,
  function: LEAVE_OUT,
  promise: "Declare what the promise resolves to.",
  never: LEAVE_OUT,
};

/** What z.toJSONSchema leaves empty though it has a form here. */
const FORMS: Record<string, JsonSchema> = {
  bigint: { type: "integer", format: "int64" },
  date: { type: "string", format: "date-time" },
};

/**
 * The JSON Schema of a published object, from a zod 4 object; JSON Schema is handed through.
 * Throws SCHEMA_NOT_MAPPABLE for a zod type without counterpart (functions, symbols, transforms, maps).
 */
export function outputSchemaOf(schema: z.ZodType | JsonSchema): JsonSchema {
  if (!("_zod" in schema)) return schema as JsonSchema;
  const result = z.toJSONSchema(schema as z.ZodType, {
    target: "draft-7",
    io: "output",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema, path }) => {
      const { def } = zodSchema._zod;
      refuseWithoutForm(def, path);
      if (hasTimeFormat(def)) jsonSchema.format = "time";
      if (def.type === "set") Object.assign(jsonSchema, setForm(def));
      if (FORMS[def.type] !== undefined) Object.assign(jsonSchema, FORMS[def.type]);
    },
  });
  return result as JsonSchema;
}

/** z.iso.time(), and z.string().time(), which has it as a check. */
function hasTimeFormat(def: object): boolean {
  if ("format" in def) return def.format === "time";
  const checks = "checks" in def && Array.isArray(def.checks) ? (def.checks as z.core.$ZodCheck[]) : [];
  return checks.some(({ _zod }) => "format" in _zod.def && _zod.def.format === "time");
}

function refuseWithoutForm(def: { type: string }, path: readonly (string | number)[]): void {
  const hint = WITHOUT_FORM[def.type];
  const literals = def.type === "literal" && "values" in def ? (def.values as unknown[]) : [];
  const wrong = literals.filter((value) => !isJsonScalar(value));
  if (hint === undefined && wrong.length === 0) return;
  const what = wrong.length === 0 ? `a zod ${def.type}` : `the literal ${wrong.map(String).join(", ")}`;
  throw new RejotError("SCHEMA_NOT_MAPPABLE", {
    detail: `${path.filter((part) => part !== "properties").join(".")} is ${what}`,
    hint:
      hint ??
      "Literals are strings, booleans, null and numbers that JSON holds exactly; use int64() for larger ones.",
  });
}

/** JSON Schema has no undefined and no NaN, and zod makes a double of a bigint. */
function isJsonScalar(value: unknown): boolean {
  if (typeof value === "bigint") return BigInt.asIntN(53, value) === value;
  if (typeof value === "number") return Number.isFinite(value);
  return value === null || typeof value === "string" || typeof value === "boolean";
}

function setForm(def: object): JsonSchema {
  const items = "valueType" in def ? outputSchemaOf(def.valueType as z.ZodType) : {};
  const { $schema: _dialect, ...rest } = items;
  return { type: "array", uniqueItems: true, items: rest };
}
