import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { RejotError } from "../errors/error.ts";
import type { PgType } from "../postgres/type-catalog.ts";
import { ATTRIBUTES, type AvroField } from "./avro-types.ts";
import { avroRecordOf } from "./json-schema-to-avro.ts";
import { compileParameter, compileRowDecoder } from "./row-decoder.ts";
import { compileRowEncoder } from "./row-encoder.ts";
import {
  FIELD_KINDS,
  type FieldKind,
  PARAMETER_REFUSALS,
  POSTGRES_TYPES,
  REFUSALS,
  type Refusal,
} from "./type-table.ts";
import { outputSchemaOf } from "./zod-types.ts";

const BEGIN = (name: string) => `<!-- ${name}: written by \`npm run docs\` -->`;
const END = "<!-- end -->";

/** The page with its tables made anew by the functions that the connectors run; what is around them stays. */
export function withTables(page: string): string {
  const tables = [
    ["mapping", mappingTable()],
    ["refused values", refusalTable()],
    ["refused parameters", parameterRefusalTable()],
  ] as const;
  return tables.reduce((text, [name, rows]) => replaced(text, name, rows), page);
}

function replaced(page: string, name: string, table: string): string {
  const from = page.indexOf(BEGIN(name));
  const to = page.indexOf(END, from);
  if (from < 0 || to < 0) throw new Error(`docs/types.md has no place for the table "${name}"`);
  return `${page.slice(0, from)}${BEGIN(name)}\n\n${table}\n\n${page.slice(to)}`;
}

/** A row for each kind of field. */
export function mappingTable(): string {
  const rows = FIELD_KINDS.map((kind) => {
    const field = fieldOf(kind);
    return [
      kind.forms.map(([written]) => code(written)).join(", "),
      code(jsonSchemaText(kind.forms[0]?.[1] as z.ZodType)),
      code(avroText(field)),
      columnsOf(field),
      ...parameterTexts(kind, field),
    ];
  });
  const head = ["zod", "JSON Schema", "Avro", "Postgres columns", "parameter", "`jsonb` parameter"];
  return table(head, rows);
}

/** A row for each example of a value that its field does not carry, with the error that it makes. */
export function refusalTable(): string {
  return table(
    ["value", "field", "error", "instead"],
    REFUSALS.map((refusal) => [
      `${refusal.type} ${code(refusal.text)}`,
      code(refusal.field[0]),
      refusalText(refusal),
      refusal.instead,
    ]),
  );
}

/** A row for each example of a value that a parameter would change, with the error that it makes. */
export function parameterRefusalTable(): string {
  return table(
    ["value", "field", "parameter", "error"],
    PARAMETER_REFUSALS.map(({ field: [written, type], sample, parameter }) => {
      const field = propertyOf(type).avro;
      const toText = compileParameter(field.type, typeNamed(parameter));
      const error = errorOf(() => toText(decoded(field, sample)), `${written} as ${parameter}`);
      return [`${sample[0]} ${code(sample[1])}`, code(written), code(parameter), error];
    }),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function code(text: string): string {
  return `\`${text.replaceAll("|", "\\|")}\``;
}

function propertyOf(field: z.ZodType): { property: Record<string, unknown>; avro: AvroField } {
  const schema = outputSchemaOf(z.object({ v: field }));
  const property = (schema.properties as { v: Record<string, unknown> }).v;
  return { property, avro: avroRecordOf(schema, "object", "types").fields[0] as AvroField };
}

/** The Avro field that every form of the kind becomes. */
function fieldOf({ forms }: FieldKind): AvroField {
  const [first, ...rest] = forms.map(([written, field]) => ({ written, avro: propertyOf(field).avro }));
  for (const { written, avro } of rest) {
    if (!isDeepStrictEqual(avro, first?.avro))
      throw new Error(`${written} is another Avro type than ${first?.written}`);
  }
  return first?.avro as AvroField;
}

/** Keywords that only describe values to readers: the mapping does not look at them. */
const CONSTRAINTS = new Set(["minimum", "maximum", "pattern", "propertyNames"]);

function jsonSchemaText(field: z.ZodType): string {
  return JSON.stringify(propertyOf(field).property, (key, value) =>
    CONSTRAINTS.has(key) ? undefined : value,
  );
}

function avroText({ type, ...field }: AvroField): string {
  const text = JSON.stringify(type).replace(/^"(\w+)"$/, "$1");
  return field[ATTRIBUTES.optional] === true ? `${text}, "rejot.optional": true` : text;
}

/** Types that always go together, in a word. */
const GROUPS: readonly (readonly [word: string, types: readonly string[]])[] = [
  ["text types", ["text", "varchar", "bpchar", "name", "citext"]],
  ["numbers", ["smallint", "integer", "bigint", "oid", "numeric", "real", "double precision"]],
];

/** The types whose values the field takes: those that the encoder compiles for. */
function columnsOf(field: AvroField): string {
  const taken = POSTGRES_TYPES.filter((type) => takes(field, type)).map((type) => type.name);
  if (taken.length === POSTGRES_TYPES.length) return "every type";
  const groups = GROUPS.filter(([, types]) => types.every((type) => taken.includes(type)));
  const grouped = new Set(groups.flatMap(([, types]) => types));
  const single = taken
    .filter((type) => !grouped.has(type))
    .map((type) => (/^an? |'s /.test(type) ? type : code(type)));
  return [...groups.map(([word]) => word), ...single].join(", ");
}

function takes(field: AvroField, type: PgType): boolean {
  try {
    encoderOf(field, type);
    return true;
  } catch (error) {
    if (error instanceof RejotError && error.code === "OUTPUT_COLUMN_TYPE") return false;
    throw error;
  }
}

function encoderOf(field: AvroField, type: PgType): (text: string) => Buffer {
  const schema = { type: "record" as const, name: "object", fields: [field] };
  const encode = compileRowEncoder(schema, [{ name: field.name, typeOid: type.oid }], { get: () => type });
  return (text) => encode([text]);
}

function typeNamed(name: string): PgType {
  const found = POSTGRES_TYPES.find((type) => type.name === name);
  if (found === undefined) throw new Error(`there is no type ${name} in the table`);
  return found;
}

/** The sample's text as a parameter of its own type, and of jsonb. */
function parameterTexts({ sample }: FieldKind, field: AvroField): [string, string] {
  const value = decoded(field, sample);
  const written = (pgType: PgType) => code(compileParameter(field.type, pgType)(value) ?? "NULL");
  return [written(typeNamed(sample[0])), written(typeNamed("jsonb"))];
}

/** A value as it comes out of Avro. */
function decoded(field: AvroField, [typeName, text]: readonly [string, string]): unknown {
  const bytes = encoderOf(field, typeNamed(typeName))(text);
  return compileRowDecoder({ type: "record", name: "object", fields: [field] })(bytes)[field.name];
}

function refusalText({ type, text, field: [written, field] }: Refusal): string {
  return errorOf(() => encoderOf(propertyOf(field).avro, typeNamed(type))(text), `${written} of ${text}`);
}

function errorOf(attempt: () => unknown, what: string): string {
  try {
    attempt();
  } catch (error) {
    if (!(error instanceof RejotError)) throw error;
    return `${error.code}: ${error.detail.replace(/^.*': /s, "")}`;
  }
  throw new Error(`${what} is not refused`);
}
