import { isAvroName, NameGiver, requireFieldName } from "./avro-names.ts";
import { ATTRIBUTES, type AvroField, type AvroRecord, type AvroType, shapeOf } from "./avro-types.ts";
import { JSON_TYPE, joinAlternatives } from "./avro-union.ts";
import { allowsAnything, notMappable, References, schemaList } from "./json-schema.ts";
import type { JsonSchema } from "./zod-types.ts";

type Path = readonly string[];

const USE_JSON = "Publish the field as json(), which carries any JSON value as its exact text.";

/**
 * The Avro record of a JSON Schema object, as in the table of docs/types.md.
 * Throws SCHEMA_NOT_MAPPABLE or FIELD_NAME_INVALID naming the field.
 */
export function avroRecordOf(schema: JsonSchema, name: string, namespace: string): AvroRecord {
  return new Mapper(schema, name).top(namespace);
}

class Mapper {
  private readonly references: References;
  private readonly names = new NameGiver();
  private readonly root: JsonSchema;
  private readonly name: string;

  constructor(root: JsonSchema, name: string) {
    this.root = root;
    this.name = name;
    this.references = new References(root);
  }

  top(namespace: string): AvroRecord {
    const schema = this.merged(this.references.resolve(this.root, []), []);
    if (typeof schema.properties !== "object" || Object.keys(schema.properties ?? {}).length === 0) {
      throw notMappable(
        [],
        "is not an object with properties",
        "A public schema's output is z.object({ ... }).",
      );
    }
    const { type, name, fields } = this.record(schema, []);
    return { type, name, namespace, fields };
  }

  private record(schema: JsonSchema, path: Path): AvroRecord {
    const name = this.names.nameAt([this.name, ...path]);
    const required = new Set((schema.required as string[] | undefined) ?? []);
    const fields = Object.entries(schema.properties as Record<string, unknown>).map(([field, inner]) =>
      this.field(field, inner, required.has(field), [...path, field]),
    );
    return { type: "record", name, fields };
  }

  private field(name: string, schema: unknown, required: boolean, path: Path): AvroField {
    requireFieldName(name, path.length > 1 ? path.slice(0, -1).join(".") : "the output schema");
    const mapped = this.type(schema, path);
    const type = required ? mapped : this.join([mapped, "null"], path);
    const annotations = this.references.resolve(schema, path);
    const field: AvroField = { name, type };
    if (typeof annotations.description === "string") field.doc = annotations.description;
    if (Array.isArray(type) && type[0] === "null") field.default = null;
    else if (isDefaultOf(type, annotations.default)) field.default = annotations.default;
    if (!required) field[ATTRIBUTES.optional] = true;
    return field;
  }

  private type(schema: unknown, path: Path): AvroType {
    const reference = (schema as { $ref?: unknown } | null | undefined)?.$ref;
    // A recursive type (z.json(), a tree) has no end to be written out; its text is exact.
    if (typeof reference === "string" && this.references.isRecursive(reference, path))
      return ["null", JSON_TYPE];
    const resolved = this.merged(this.references.resolve(schema, path), path);
    const type = this.typeWithoutNullable(resolved, path);
    return resolved.nullable === true ? this.join([type, "null"], path) : type;
  }

  private typeWithoutNullable(schema: JsonSchema, path: Path): AvroType {
    if (schema["x-rejot-type"] === "json") return JSON_TYPE;
    if ("const" in schema) return this.literals([schema.const], path);
    if (Array.isArray(schema.enum)) return this.literals(schema.enum, path);
    const alternatives = "anyOf" in schema ? "anyOf" : "oneOf" in schema ? "oneOf" : undefined;
    if (alternatives !== undefined) return this.alternatives(schemaList(schema, alternatives, path), path);
    if (Array.isArray(schema.type)) {
      const types = schema.type.map((type: unknown) => this.typeWithoutNullable({ ...schema, type }, path));
      return this.join(types, path);
    }
    switch (schema.type ?? impliedType(schema)) {
      case "null":
        return "null";
      case "boolean":
        return "boolean";
      case "integer":
        return "long";
      case "number":
        return "double";
      case "string":
        return stringType(schema, path);
      case "array":
        return this.array(schema, path);
      case "object":
        return this.object(schema, path);
      default:
        if (schema.type === undefined && allowsAnything(schema)) return ["null", JSON_TYPE];
        throw notMappable(
          path,
          `has a form that is not known here: ${Object.keys(schema).join(", ")}`,
          USE_JSON,
        );
    }
  }

  private object(schema: JsonSchema, path: Path): AvroType {
    if ("patternProperties" in schema) throw notMappable(path, "has patternProperties", USE_JSON);
    const properties = Object.keys((schema.properties as object | undefined) ?? {});
    const additional = schema.additionalProperties;
    if (properties.length === 0) {
      if (additional === undefined || additional === true) return JSON_TYPE;
      if (additional === false) return this.record({ ...schema, properties: {} }, path);
      return { type: "map", values: this.type(additional, [...path, "value"]) };
    }
    if (additional !== undefined && additional !== false) {
      throw notMappable(path, "has fields with names and others without", USE_JSON);
    }
    return this.record(schema, path);
  }

  private array(schema: JsonSchema, path: Path): AvroType {
    if (Array.isArray(schema.items) || "prefixItems" in schema)
      throw notMappable(path, "is a tuple", USE_JSON);
    return { type: "array", items: this.type(schema.items, [...path, "item"]) };
  }

  private alternatives(schemas: readonly unknown[], path: Path): AvroType {
    const resolved = schemas.map((schema) => this.references.resolve(schema, path));
    const real = resolved.filter((schema) => schema.type !== "null" && schema.const !== null);
    const types = resolved.map((schema, index) => {
      const alone = real.length < 2 || schema.type !== "object";
      return this.type(schemas[index], alone ? path : [...path, branchName(schema, index)]);
    });
    return this.join(types, path);
  }

  private literals(values: readonly unknown[], path: Path): AvroType {
    const strings = values.filter((value) => typeof value === "string");
    const numbers = values.filter((value) => typeof value === "number");
    const booleans = values.filter((value) => typeof value === "boolean");
    const known = strings.length + numbers.length + booleans.length;
    const nulls = values.filter((value) => value === null).length;
    if (known + nulls < values.length) throw notMappable(path, "has a literal that is no scalar", USE_JSON);
    const types: AvroType[] = nulls > 0 ? ["null"] : [];
    if (strings.length > 0) types.push(this.stringLiterals([...new Set(strings)], path));
    if (numbers.length > 0) {
      const type = numbers.every(Number.isSafeInteger) ? "long" : "double";
      types.push({ type, [ATTRIBUTES.values]: [...new Set(numbers)] });
    }
    if (booleans.length > 0) {
      const both = new Set(booleans).size === 2;
      types.push(both ? "boolean" : { type: "boolean", [ATTRIBUTES.values]: [booleans[0] as boolean] });
    }
    return this.join(types, path);
  }

  private stringLiterals(values: string[], path: Path): AvroType {
    return values.every(isAvroName)
      ? { type: "enum", name: this.names.nameAt([this.name, ...path]), symbols: values }
      : { type: "string", [ATTRIBUTES.values]: values };
  }

  private join(types: readonly AvroType[], path: Path): AvroType {
    const joined = joinAlternatives(types);
    if (typeof joined === "object" && "conflict" in joined)
      throw notMappable(path, joined.conflict, USE_JSON);
    return joined;
  }

  /** allOf of objects, an intersection, is one object. */
  private merged(schema: JsonSchema, path: Path): JsonSchema {
    if (!("allOf" in schema)) return schema;
    const { allOf: _parts, ...own } = schema;
    const parts = [own, ...schemaList(schema, "allOf", path)].map((part) =>
      this.merged(this.references.resolve(part, path), path),
    );
    const real = parts.filter((part) => !allowsAnything(part));
    if (real.length === 1) return { ...own, ...real[0] };
    if (!real.every((part) => typeof part.properties === "object")) {
      throw notMappable(path, "is an intersection of what are not objects", USE_JSON);
    }
    const names = real.flatMap((part) => Object.keys(part.properties as object));
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) throw notMappable([...path, twice], "is in two parts of an intersection");
    return {
      ...own,
      type: "object",
      properties: Object.assign({}, ...real.map((part) => part.properties)),
      required: real.flatMap((part) => (part.required as string[] | undefined) ?? []),
    };
  }
}

function impliedType(schema: JsonSchema): string | undefined {
  if ("properties" in schema || "additionalProperties" in schema) return "object";
  return "items" in schema || "prefixItems" in schema ? "array" : undefined;
}

const LOGICAL: Record<string, AvroType> = {
  "date-time": { type: "long", logicalType: "timestamp-micros" },
  date: { type: "int", logicalType: "date" },
  time: { type: "long", logicalType: "time-micros" },
  uuid: { type: "string", logicalType: "uuid" },
};

function stringType(schema: JsonSchema, path: Path): AvroType {
  if (schema.contentEncoding === "base64") return "bytes";
  if (schema.format === "decimal") {
    const { precision, scale = 0 } = schema;
    const valid = Number.isInteger(precision) && Number.isInteger(scale);
    if (!valid || Number(precision) < 1 || Number(scale) < 0 || Number(scale) > Number(precision)) {
      throw notMappable(path, "is a decimal without a precision of at least 1 and a scale between 0 and it");
    }
    return { type: "bytes", logicalType: "decimal", precision: Number(precision), scale: Number(scale) };
  }
  return LOGICAL[String(schema.format)] ?? "string";
}

/** What tells an alternative apart for good: its discriminator, its title, or, failing these, its place. */
function branchName(schema: JsonSchema, index: number): string {
  for (const property of Object.values((schema.properties as Record<string, JsonSchema> | undefined) ?? {})) {
    const literal = property?.const ?? (Array.isArray(property?.enum) ? property.enum[0] : undefined);
    if (typeof literal === "string" && literal !== "") return literal;
  }
  return typeof schema.title === "string" && schema.title !== "" ? schema.title : `option${index + 1}`;
}

function isDefaultOf(type: AvroType, value: unknown): boolean {
  const shape = shapeOf(type);
  switch (shape.kind) {
    case "string":
      return typeof value === "string";
    case "enum":
      return typeof value === "string" && shape.symbols.includes(value);
    case "boolean":
      return typeof value === "boolean";
    case "long":
      return Number.isSafeInteger(value);
    case "double":
      return typeof value === "number" && Number.isFinite(value);
    default:
      return false;
  }
}
