import { OID, type PgType, withoutDomains } from "../postgres/type-catalog.ts";
import { arrayElementText } from "./array-text.ts";
import { UnionValue } from "./avro-reader.ts";
import { type AvroType, nullability, shapeOf } from "./avro-types.ts";
import { jsonTextWriter, scalarText } from "./json-value.ts";
import { guardOf } from "./parameter-guard.ts";
import { explainUnfit, Unfit } from "./unfit.ts";

/** Postgres reads no `46.00` as an integer. */
const INTEGERS: ReadonlySet<number> = new Set([OID.int2, OID.int4, OID.int8, OID.oid]);

/** The Postgres text of a value; null for SQL's NULL. */
export type ParameterText = (value: unknown) => string | null;

/**
 * Compiles the way of a field's decoded value to the Postgres text of a parameter of that type: a string as it stands,
 * whatever the parameter's type is; for json and jsonb parameters the JSON text of anything else; array literals,
 * `\x` hex for bytea, ISO 8601 for dates and times. Whether the text suits the type is for the server to say, which
 * refuses what does not; what it would take and change, `guardOf` refuses. Throws VALUE_NOT_REPRESENTABLE for these,
 * and for NaN and infinite numbers in json. `name` is the field's, for messages.
 */
export function compileParameter(field: AvroType, pgType: PgType, name = "parameter"): ParameterText {
  const text = parameterText(field, withoutDomains(pgType));
  return (value) => {
    if (value === null || value === undefined) return null;
    try {
      return text(value);
    } catch (error) {
      throw explainUnfit(error, "the event", name, value);
    }
  };
}

const CUT_ON_PURPOSE =
  "Give the column a type that holds the value, or cut on purpose with a second cast, as in :at::timestamptz::date.";

function parameterText(type: AvroType, pg: PgType): (value: unknown) => string {
  const write = unguardedText(type, pg);
  const { kind } = shapeOf(type);
  const guard = kind === "union" || kind === "array" ? undefined : guardOf(kind, pg);
  if (guard === undefined) return write;
  return (value) => {
    const text = write(value);
    try {
      guard(text);
    } catch (error) {
      if (error instanceof Unfit) Object.assign(error, { shown: text, hint: CUT_ON_PURPOSE });
      throw error;
    }
    return text;
  };
}

function unguardedText(type: AvroType, pg: PgType): (value: unknown) => string {
  const shape = shapeOf(type);
  if (shape.kind === "union") return unionText(shape.branches, pg);
  const isJson = pg.oid === OID.json || pg.oid === OID.jsonb;
  if (shape.kind === "string" && isJson && shape.values !== undefined) return finiteJson(type);
  if (shape.kind === "string" || shape.kind === "json") return (value) => value as string;
  if (isJson) return finiteJson(type);
  switch (shape.kind) {
    case "null":
    case "boolean":
    case "int":
    case "long":
      return (value) => String(value);
    case "float":
    case "double":
      return (value) => (Object.is(value, -0) ? "-0" : String(value));
    case "bytes":
    case "fixed":
      return (value) => `\\x${(value as Buffer).toString("hex")}`;
    case "decimal":
      return INTEGERS.has(pg.oid) ? (value) => (value as string).replace(/\.0+$/, "") : scalarText(type);
    case "array":
      return pg.element === undefined ? jsonTextWriter(type) : arrayText(shape.items, pg, pg.element);
    case "map":
    case "record":
      return jsonTextWriter(type);
    default:
      return scalarText(type);
  }
}

function unionText(union: readonly AvroType[], pg: PgType): (value: unknown) => string {
  const { branches } = nullability([...union]);
  const only = branches.length === 1 ? parameterText(branches[0] as AvroType, pg) : undefined;
  if (only !== undefined) return only;
  const isJson = pg.oid === OID.json || pg.oid === OID.jsonb;
  // In JSON the value must show which of the types it is: a string in quotes.
  const texts = new Map(
    branches.map((branch) => [branch, isJson ? finiteJson(branch) : parameterText(branch, pg)]),
  );
  return (value) => {
    const text = value instanceof UnionValue ? texts.get(value.branch)?.(value.value) : undefined;
    if (text === undefined) throw new Unfit("its type in the union is not known");
    return text;
  };
}

/** json would take NaN only as a string, another value than the number that was sent. */
function finiteJson(type: AvroType): (value: unknown) => string {
  const text = jsonTextWriter(type);
  const { kind } = shapeOf(type);
  if (kind !== "double" && kind !== "float") return text;
  return (value) => {
    if (!Number.isFinite(value)) throw new Unfit("JSON has no such number");
    return text(value);
  };
}

function arrayText(items: AvroType, pg: PgType, element: PgType): (value: unknown) => string {
  const { branches } = nullability(items);
  const inner = branches.length === 1 ? shapeOf(branches[0] as AvroType) : undefined;
  const delimiter = pg.delimiter ?? ",";
  const base = withoutDomains(element);
  const nested =
    inner?.kind === "array" && base.element === undefined && base.oid !== OID.json && base.oid !== OID.jsonb
      ? arrayText(inner.items, pg, element)
      : undefined;
  const text = nested ?? parameterText(items, base);
  return (value) => {
    const parts = (value as unknown[]).map((each) => {
      if (each === null) return "NULL";
      return nested === undefined ? arrayElementText(text(each)) : text(each);
    });
    return `{${parts.join(delimiter)}}`;
  };
}
