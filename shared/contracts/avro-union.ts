import { isDeepStrictEqual } from "node:util";
import { ATTRIBUTES, type AvroPrimitive, type AvroType, shapeOf } from "./avro-types.ts";
import type { JsonKind } from "./json-text.ts";

/** The kind of JSON value that stands for a value of the type; "any" for json itself. */
export function jsonKindOf(type: AvroType): JsonKind | "any" {
  switch (shapeOf(type).kind) {
    case "null":
      return "null";
    case "boolean":
      return "boolean";
    case "int":
    case "long":
    case "float":
    case "double":
      return "number";
    case "array":
      return "array";
    case "map":
    case "record":
      return "object";
    case "json":
      return "any";
    default:
      return "string";
  }
}

/** JSON as text, with null as a value of its own. */
export const JSON_TYPE: AvroPrimitive = { type: "string", [ATTRIBUTES.json]: true };

/**
 * Joins alternatives to one type: null first, equal ones once, narrower ones left out where a wider one takes their
 * values. Returns an explanation instead when values of two alternatives could not be told apart.
 */
export function joinAlternatives(types: readonly AvroType[]): AvroType | { conflict: string } {
  const distinct: AvroType[] = [];
  for (const type of types.flatMap((each) => (Array.isArray(each) ? each : [each]))) {
    if (!distinct.some((other) => isDeepStrictEqual(other, type))) distinct.push(type);
  }
  const nullable = distinct.some((type) => jsonKindOf(type) === "null");
  let branches = distinct.filter((type) => jsonKindOf(type) !== "null");
  if (branches.some((type) => jsonKindOf(type) === "any")) branches = [JSON_TYPE];

  for (const kind of ["boolean", "number", "string"] as const) {
    const group = branches.filter((type) => jsonKindOf(type) === kind);
    if (group.length < 2) continue;
    const joined = joinScalars(kind, group);
    if (joined === undefined) return { conflict: `has alternatives that are all ${kind}s in JSON` };
    const rest = branches.filter((type) => !group.includes(type));
    rest.splice(branches.indexOf(group[0] as AvroType), 0, joined);
    branches = rest;
  }
  const conflict = unionConflict(branches);
  if (conflict !== undefined) return { conflict };
  if (branches.length === 0) return "null";
  if (branches.length === 1 && !nullable) return branches[0] as AvroType;
  return nullable ? ["null", ...branches] : branches;
}

type Values = readonly (string | number | boolean)[];

/** The values a scalar is limited to; undefined when it is not. */
function valuesOf(type: AvroType): Values | undefined {
  const shape = shapeOf(type);
  if (shape.kind === "enum") return shape.symbols;
  return "values" in shape ? shape.values : undefined;
}

function joinScalars(
  kind: "boolean" | "number" | "string",
  group: readonly AvroType[],
): AvroType | undefined {
  if (kind === "boolean") return "boolean";
  const kinds = group.map((type) => shapeOf(type).kind);
  const values = group.map(valuesOf);
  const all: Values = [...new Set(values.flatMap((each) => each ?? []))];
  const limited = values.every((each) => each !== undefined);
  if (kind === "number") {
    const wide = kinds.includes("double") ? "double" : "long";
    return limited ? { type: wide, [ATTRIBUTES.values]: all } : wide;
  }
  if (limited) {
    // Literals of one field share its name: together they are what z.enum is.
    const [first] = group;
    const named = typeof first === "object" && "symbols" in first && kinds.every((each) => each === "enum");
    return named ? { ...first, symbols: all as string[] } : { type: "string", [ATTRIBUTES.values]: all };
  }
  const plain = kinds.some((each, index) => each === "string" && values[index] === undefined);
  return plain && !kinds.includes("bytes") ? "string" : undefined;
}

/** Avro tells the branches of a union apart by their type on the wire, and only records and enums by name. */
function unionConflict(branches: readonly AvroType[]): string | undefined {
  const arrays = branches.filter((type) => jsonKindOf(type) === "array");
  if (arrays.length > 1) return "has several arrays as alternatives";
  const maps = branches.filter((type) => shapeOf(type).kind === "map");
  if (maps.length > 0 && branches.filter((type) => jsonKindOf(type) === "object").length > 1) {
    return "has a map and another object as alternatives";
  }
  const wire = branches
    .map((type) => (typeof type === "string" ? type : Array.isArray(type) ? "union" : type.type))
    .filter((type) => type !== "record");
  const twice = wire.find((type, index) => wire.indexOf(type) !== index);
  return twice === undefined ? undefined : `has alternatives that are all ${twice} in Avro`;
}
