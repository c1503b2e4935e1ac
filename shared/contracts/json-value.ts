import { UnionValue } from "./avro-reader.ts";
import { ATTRIBUTES, type AvroType, nullability, shapeOf } from "./avro-types.ts";
import { exactDouble } from "./decimal-text.ts";
import { jsonValue } from "./json-text.ts";
import { formatDate, formatTime, formatTimestamp } from "./time-text.ts";
import { Unfit } from "./unfit.ts";

/** Compiles the way of a decoded value to JSON text; numbers keep all their digits. Throws Unfit for what JSON lacks. */
export function jsonTextWriter(type: AvroType): (value: unknown) => string {
  const shape = shapeOf(type);
  switch (shape.kind) {
    case "union":
      return unionText(shape.branches);
    case "json":
    case "decimal":
      return (value) => value as string;
    case "null":
    case "boolean":
    case "int":
    case "long":
      return (value) => String(value);
    case "float":
    case "double":
      return (value) => doubleJson(value as number);
    case "array": {
      const item = jsonTextWriter(shape.items);
      return (value) => `[${(value as unknown[]).map(item).join(",")}]`;
    }
    case "map": {
      const item = jsonTextWriter(shape.valueType);
      return (value) =>
        `{${[...(value as Map<string, unknown>)].map(([name, each]) => `${JSON.stringify(name)}:${item(each)}`).join(",")}}`;
    }
    case "record": {
      const fields = shape.record.fields.map((field) => ({
        name: field.name,
        prefix: `${JSON.stringify(field.name)}:`,
        omitted: field[ATTRIBUTES.optional] === true,
        text: jsonTextWriter(field.type),
      }));
      return (value) => {
        const record = value as Record<string, unknown>;
        const parts = fields.flatMap(({ name, prefix, omitted, text }) =>
          omitted && record[name] === null ? [] : [prefix + text(record[name])],
        );
        return `{${parts.join(",")}}`;
      };
    }
    default: {
      const text = scalarText(type);
      return (value) => JSON.stringify(text(value));
    }
  }
}

/** The json type keeps -0, which JSON.stringify does not. */
function doubleJson(value: number): string {
  return Object.is(value, -0) ? "-0" : JSON.stringify(Number.isFinite(value) ? value : String(value));
}

function unionText(union: readonly AvroType[]): (value: unknown) => string {
  const { branches } = nullability([...union]);
  const only = branches.length === 1 ? jsonTextWriter(branches[0] as AvroType) : undefined;
  if (only !== undefined) return (value) => (value === null ? "null" : only(value));
  const writers = new Map(branches.map((branch) => [branch, jsonTextWriter(branch)]));
  return (value) => {
    if (value === null) return "null";
    if (!(value instanceof UnionValue)) throw new Unfit("its type in the union is not known");
    return writers.get(value.branch)?.(value.value) ?? "null";
  };
}

/** The text of values that are strings in JSON. */
export function scalarText(type: AvroType): (value: unknown) => string {
  switch (shapeOf(type).kind) {
    case "timestamp-micros":
      return (value) => formatTimestamp(value as number | bigint);
    case "timestamp-millis":
      return (value) => formatTimestamp(BigInt(value as number | bigint) * 1000n);
    case "date":
      return (value) => formatDate(value as number);
    case "time-micros":
      return (value) => formatTime(value as number);
    case "time-millis":
      return (value) => formatTime((value as number) * 1000);
    case "bytes":
    case "fixed":
      return (value) => (value as Buffer).toString("base64");
    default:
      return (value) => value as string;
  }
}

/**
 * A field's, or a whole record's, decoded value as something that JSON.stringify writes: dates and times in ISO 8601,
 * bytes in base64. Numbers that a double does not hold exactly (longs, decimals, inside json too), and NaN and infinite
 * ones, are strings; all others are numbers.
 */
export function toJsonValue(type: AvroType, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  const shape = shapeOf(type);
  switch (shape.kind) {
    case "union":
      return value instanceof UnionValue
        ? toJsonValue(value.branch, value.value)
        : toJsonValue(nullability(type).branches[0] as AvroType, value);
    case "boolean":
      return value;
    case "int":
    case "long":
      return typeof value === "bigint" ? value.toString() : value;
    case "float":
    case "double":
      return Number.isFinite(value) ? value : String(value);
    case "decimal":
      return exactDouble(value as string) ?? value;
    case "json":
      return jsonValue((value as string).trim(), (text) => exactDouble(text) ?? text);
    case "array":
      return (value as unknown[]).map((each) => toJsonValue(shape.items, each));
    case "map": {
      const entries = [...(value as Map<string, unknown>)];
      return Object.fromEntries(entries.map(([name, each]) => [name, toJsonValue(shape.valueType, each)]));
    }
    case "record": {
      const record = value as Record<string, unknown>;
      return Object.fromEntries(
        shape.record.fields.map((field) => [field.name, toJsonValue(field.type, record[field.name])]),
      );
    }
    default:
      return scalarText(type)(value);
  }
}
