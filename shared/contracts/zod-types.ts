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

/** zod types that say nothing about a value that JSON or Avro could carry. */
const WITHOUT_FORM = new Set([
  "transform",
  "symbol",
  "undefined",
  "void",
  "map",
  "function",
  "nan",
  "promise",
  "never",
]);

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
      if (WITHOUT_FORM.has(def.type)) {
        throw new RejotError("SCHEMA_NOT_MAPPABLE", {
          detail: `${path.filter((part) => part !== "properties").join(".")} is a zod ${def.type}`,
        });
      }
      if ("format" in def && def.format === "time") jsonSchema.format = "time";
      if (def.type === "set") Object.assign(jsonSchema, setForm(def));
      if (FORMS[def.type] !== undefined) Object.assign(jsonSchema, FORMS[def.type]);
    },
  });
  return result as JsonSchema;
}

function setForm(def: object): JsonSchema {
  const items = "valueType" in def ? outputSchemaOf(def.valueType as z.ZodType) : {};
  const { $schema: _dialect, ...rest } = items;
  return { type: "array", uniqueItems: true, items: rest };
}
