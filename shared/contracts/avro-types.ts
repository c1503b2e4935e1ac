/** Attributes of ours that stand in an Avro schema; readers that do not know them ignore them. */
export const ATTRIBUTES = {
  /** On a string: its text is one JSON value. */
  json: "rejot.json",
  /** On a primitive: the list of values it may have. */
  values: "rejot.values",
  /** On a field: the SQL may leave its column out. */
  optional: "rejot.optional",
} as const;

export type AvroPrimitiveName = "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string";

/** A primitive with attributes: a logical type, the values allowed, or the mark that it holds JSON. */
export interface AvroPrimitive {
  type: AvroPrimitiveName;
  logicalType?: string;
  precision?: number;
  scale?: number;
  "rejot.json"?: true;
  "rejot.values"?: readonly (string | number | boolean)[];
}

export interface AvroEnum {
  type: "enum";
  name: string;
  namespace?: string;
  symbols: string[];
  default?: string;
}

export interface AvroFixed {
  type: "fixed";
  name: string;
  namespace?: string;
  size: number;
  logicalType?: string;
  precision?: number;
  scale?: number;
}

export interface AvroArray {
  type: "array";
  items: AvroType;
}

export interface AvroMap {
  type: "map";
  values: AvroType;
}

export interface AvroField {
  name: string;
  type: AvroType;
  doc?: string;
  default?: unknown;
  "rejot.optional"?: true;
}

/** A record; the top of every key and value schema. */
export interface AvroRecord {
  type: "record";
  name: string;
  namespace?: string;
  doc?: string;
  fields: AvroField[];
}

/** A parsed Avro schema, named types written out where they are used (never referred to by name). */
export type AvroType =
  | AvroPrimitiveName
  | AvroPrimitive
  | AvroEnum
  | AvroFixed
  | AvroArray
  | AvroMap
  | AvroRecord
  | AvroType[];

/** What a type is on the wire, with its attributes at hand: the one place that looks at the schema's spelling. */
export type AvroShape =
  | { kind: "null" | "boolean" | "int" | "float"; values?: readonly (string | number | boolean)[] }
  | { kind: "long" | "double" | "string"; values?: readonly (string | number | boolean)[] }
  | { kind: "bytes" | "uuid" | "json" | "timestamp-micros" | "timestamp-millis" | "date" }
  | { kind: "time-micros" | "time-millis" }
  | { kind: "decimal"; precision: number; scale: number; fixedSize?: number }
  | { kind: "fixed"; size: number }
  | { kind: "enum"; symbols: readonly string[] }
  | { kind: "array"; items: AvroType }
  | { kind: "map"; valueType: AvroType }
  | { kind: "record"; record: AvroRecord }
  | { kind: "union"; branches: readonly AvroType[] };

/** Reads the spelling of a type. Logical types that are not of the mapping are what they stand on. */
export function shapeOf(type: AvroType): AvroShape {
  if (typeof type === "string") return { kind: type };
  if (Array.isArray(type)) return { kind: "union", branches: type };
  switch (type.type) {
    case "record":
      return { kind: "record", record: type };
    case "enum":
      return { kind: "enum", symbols: type.symbols };
    case "array":
      return { kind: "array", items: type.items };
    case "map":
      return { kind: "map", valueType: type.values };
    case "fixed":
      return type.logicalType === "decimal"
        ? { kind: "decimal", precision: type.precision ?? 0, scale: type.scale ?? 0, fixedSize: type.size }
        : { kind: "fixed", size: type.size };
    default:
      return shapeOfPrimitive(type);
  }
}

function shapeOfPrimitive(type: AvroPrimitive): AvroShape {
  const logical = type.logicalType;
  if (type.type === "bytes") {
    return logical === "decimal"
      ? { kind: "decimal", precision: type.precision ?? 0, scale: type.scale ?? 0 }
      : { kind: "bytes" };
  }
  if (type.type === "string") {
    if (type[ATTRIBUTES.json] === true) return { kind: "json" };
    if (logical === "uuid") return { kind: "uuid" };
  }
  if (type.type === "long") {
    if (logical === "timestamp-micros" || logical === "local-timestamp-micros")
      return { kind: "timestamp-micros" };
    if (logical === "timestamp-millis" || logical === "local-timestamp-millis")
      return { kind: "timestamp-millis" };
    if (logical === "time-micros") return { kind: "time-micros" };
  }
  if (type.type === "int") {
    if (logical === "date") return { kind: "date" };
    if (logical === "time-millis") return { kind: "time-millis" };
  }
  const values = type[ATTRIBUTES.values];
  return values === undefined ? { kind: type.type } : { kind: type.type, values };
}

/** The branches of a union without null, and whether null is one of them; any other type is its own branch. */
export function nullability(type: AvroType): { nullable: boolean; branches: readonly AvroType[] } {
  if (!Array.isArray(type)) return { nullable: shapeOf(type).kind === "null", branches: [type] };
  const branches = type.filter((branch) => shapeOf(branch).kind !== "null");
  return { nullable: branches.length < type.length, branches };
}
