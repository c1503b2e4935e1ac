import type { AvroField, AvroPrimitiveName, AvroRecord, AvroType } from "../avro-types.ts";
import { ATTRIBUTES } from "../avro-types.ts";

/** What a value means beyond how it is written; Avro's resolution ignores it, consumers do not. */
export interface Meaning {
  /** The logical type with its parameters, `json` for text that is JSON, or "" for none. */
  readonly logical: string;
  /** The values it may have, when they are listed beside the type. */
  readonly values: readonly (string | number | boolean)[] | undefined;
}

interface NamedType {
  readonly name: string;
  readonly fullName: string;
  /** Full names of writers' types that this one reads, too. */
  readonly aliases: readonly string[];
}

export interface ResolvedRecord extends NamedType {
  readonly kind: "record";
  readonly doc: string | undefined;
  readonly fields: readonly ResolvedField[];
}

export interface ResolvedField {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly type: ResolvedType;
  readonly hasDefault: boolean;
  readonly defaultValue: unknown;
  readonly doc: string | undefined;
  /** Whether the SQL may leave the column out. */
  readonly optional: boolean;
}

export interface ResolvedEnum extends NamedType {
  readonly kind: "enum";
  readonly symbols: readonly string[];
  /** What a symbol that a reader does not know is read as. */
  readonly defaultSymbol: string | undefined;
}

export interface ResolvedFixed extends NamedType {
  readonly kind: "fixed";
  readonly size: number;
  readonly meaning: Meaning;
}

/** An Avro type as its resolution rules see it: names complete, spelling variants gone, annotations apart. */
export type ResolvedType =
  | { readonly kind: "primitive"; readonly primitive: AvroPrimitiveName; readonly meaning: Meaning }
  | ResolvedEnum
  | ResolvedFixed
  | ResolvedRecord
  | { readonly kind: "array"; readonly items: ResolvedType }
  | { readonly kind: "map"; readonly values: ResolvedType }
  | { readonly kind: "union"; readonly branches: readonly ResolvedType[] };

const NO_MEANING: Meaning = { logical: "", values: undefined };

/** Makes names complete and attributes explicit. */
export function resolveType(type: AvroType, namespace = ""): ResolvedType {
  if (typeof type === "string") return { kind: "primitive", primitive: type, meaning: NO_MEANING };
  if (Array.isArray(type)) {
    return { kind: "union", branches: type.map((branch) => resolveType(branch, namespace)) };
  }
  switch (type.type) {
    case "record":
      return resolveRecord(type, namespace);
    case "enum":
      return {
        kind: "enum",
        ...namesOf(type, namespace),
        symbols: type.symbols,
        defaultSymbol: type.default,
      };
    case "fixed":
      return { kind: "fixed", ...namesOf(type, namespace), size: type.size, meaning: meaningOf(type) };
    case "array":
      return { kind: "array", items: resolveType(type.items, namespace) };
    case "map":
      return { kind: "map", values: resolveType(type.values, namespace) };
    default:
      return { kind: "primitive", primitive: type.type, meaning: meaningOf(type) };
  }
}

/** The same for a record, the top of every schema. */
export function resolveRecord(record: AvroRecord, namespace = ""): ResolvedRecord {
  const names = namesOf(record, namespace);
  const inner = names.fullName.slice(0, Math.max(0, names.fullName.length - names.name.length - 1));
  const fields = record.fields.map((field: AvroField & { aliases?: readonly string[] }) => ({
    name: field.name,
    aliases: field.aliases ?? [],
    type: resolveType(field.type, inner),
    hasDefault: field.default !== undefined,
    defaultValue: field.default,
    doc: field.doc,
    optional: field[ATTRIBUTES.optional] === true,
  }));
  return { kind: "record", ...names, doc: record.doc, fields };
}

function namesOf(
  type: { name: string; namespace?: string; aliases?: readonly string[] },
  outer: string,
): NamedType {
  const own = type.name.slice(type.name.lastIndexOf(".") + 1);
  const space = type.name.includes(".")
    ? type.name.slice(0, type.name.lastIndexOf("."))
    : (type.namespace ?? outer);
  const complete = (name: string) => (name.includes(".") || space === "" ? name : `${space}.${name}`);
  return { name: own, fullName: complete(own), aliases: (type.aliases ?? []).map(complete) };
}

function meaningOf(type: {
  logicalType?: string;
  precision?: number;
  scale?: number;
  "rejot.json"?: true;
  "rejot.values"?: readonly (string | number | boolean)[];
}): Meaning {
  const decimal = type.logicalType === "decimal" ? `(${type.precision ?? 0}, ${type.scale ?? 0})` : "";
  const logical = type[ATTRIBUTES.json] === true ? "json" : `${type.logicalType ?? ""}${decimal}`;
  return { logical, values: type[ATTRIBUTES.values] };
}

/** A type in words: `nullable string`, `decimal(10, 2)`, `list of long`. */
export function describeType(type: ResolvedType): string {
  switch (type.kind) {
    case "primitive":
      return type.meaning.logical || type.primitive;
    case "enum":
      return `enum of ${type.symbols.join(", ")}`;
    case "fixed":
      return type.meaning.logical || `fixed(${type.size})`;
    case "record":
      return "object";
    case "array":
      return `list of ${describeType(type.items)}`;
    case "map":
      return `map of ${describeType(type.values)}`;
    case "union": {
      const real = type.branches.filter((branch) => !isNull(branch)).map(describeType);
      const words = real.length > 1 ? `one of ${real.join(" or ")}` : (real[0] ?? "null");
      return real.length < type.branches.length ? `nullable ${words}` : words;
    }
  }
}

export function isNull(type: ResolvedType): boolean {
  return type.kind === "primitive" && type.primitive === "null";
}
