import type { AvroRecord, AvroType } from "../contracts/avro-types.ts";
import { RejotError } from "../errors/error.ts";

type Json = Record<string, unknown>;

const PRIMITIVES = new Set(["null", "boolean", "int", "long", "float", "double", "bytes", "string"]);

/**
 * Reads an Avro schema's text and writes named types out wherever they are referred to, so that every part stands for
 * itself. Throws SCHEMA_NOT_MAPPABLE when it is no record, or recursive.
 */
export function parseAvroSchema(text: string): AvroRecord {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new RejotError("SCHEMA_NOT_MAPPABLE", { detail: "a schema from the registry is no JSON", cause });
  }
  const type = writeOut(parsed, "", new Map(), []);
  if (typeof type !== "object" || Array.isArray(type) || type.type !== "record") {
    throw new RejotError("SCHEMA_NOT_MAPPABLE", {
      detail: "a schema from the registry is not an Avro record",
    });
  }
  return type;
}

function writeOut(type: unknown, namespace: string, known: Map<string, AvroType>, open: string[]): AvroType {
  if (Array.isArray(type)) return type.map((branch) => writeOut(branch, namespace, known, open));
  if (typeof type === "string")
    return PRIMITIVES.has(type) ? (type as AvroType) : lookUp(type, namespace, known, open);
  if (typeof type !== "object" || type === null) throw unknownType(type);
  const schema = type as Json;
  switch (schema.type) {
    case "array":
      return { ...schema, items: writeOut(schema.items, namespace, known, open) } as AvroType;
    case "map":
      return { ...schema, values: writeOut(schema.values, namespace, known, open) } as AvroType;
    case "record":
    case "error":
    case "enum":
    case "fixed":
      return named(schema, namespace, known, open);
    default:
      if (typeof schema.type === "string" && PRIMITIVES.has(schema.type))
        return schema as unknown as AvroType;
      return writeOut(schema.type, namespace, known, open);
  }
}

function named(schema: Json, outer: string, known: Map<string, AvroType>, open: string[]): AvroType {
  const name = String(schema.name);
  const dot = name.lastIndexOf(".");
  const namespace = dot >= 0 ? name.slice(0, dot) : String(schema.namespace ?? outer);
  const fullName = fullNameOf(name, namespace);
  let result = schema as unknown as AvroType;
  if (schema.type === "record" || schema.type === "error") {
    const fields = (schema.fields as Json[]).map((field) => ({
      ...field,
      type: writeOut(field.type, namespace, known, [...open, fullName]),
    }));
    result = { ...schema, type: "record", fields } as unknown as AvroType;
  }
  known.set(fullName, result);
  return result;
}

function lookUp(name: string, namespace: string, known: Map<string, AvroType>, open: string[]): AvroType {
  const fullName = fullNameOf(name, namespace);
  const type = known.get(fullName) ?? known.get(name);
  if (type !== undefined) return type;
  if (open.includes(fullName))
    throw new RejotError("SCHEMA_NOT_MAPPABLE", { detail: `${fullName} is recursive` });
  throw unknownType(name);
}

function fullNameOf(name: string, namespace: string): string {
  return name.includes(".") || namespace === "" ? name : `${namespace}.${name}`;
}

function unknownType(type: unknown): RejotError {
  return new RejotError("SCHEMA_NOT_MAPPABLE", { detail: `Avro has no type ${JSON.stringify(type)}` });
}
