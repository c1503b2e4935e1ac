import { outputColumns, pinnedColumns, selectShape } from "../postgres/sql/select-shape.ts";
import { type Node, parseTemplate, type SqlTemplate } from "../postgres/sql/template.ts";
import { type Diagnostic, diagnostic, diagnosticOfError, type Place } from "./diagnostic.ts";
import type { PublicSchema, Transformation } from "./schema.ts";

/** The key of a public schema, or what keeps it from being known. */
export interface KeyResolution {
  /** Names of output fields, in the order of the record key; empty when the key could not be found out. */
  readonly keyFields: readonly string[];
  /** Where the key comes from. */
  readonly origin: "key" | "delete" | "where" | "none";
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Finds the key of a public schema: its own `key`; else what its delete transformations select; else the columns
 * that pin the changed row in WHERE, where they are selected. `places` are for the diagnostics.
 */
export async function resolveKey(schema: PublicSchema, places: KeyPlaces): Promise<KeyResolution> {
  const parsed: ParsedTransformation[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const transformation of schema.config.transformations) {
    try {
      parsed.push({ transformation, template: await parseTemplate(transformation.sql) });
    } catch (error) {
      diagnostics.push(diagnosticOfError(error, places.transformation(transformation, error)));
    }
  }
  if (diagnostics.length > 0) return { keyFields: [], origin: "none", diagnostics };
  const found = findKey(schema, parsed, places);
  return { ...found, diagnostics: [...found.diagnostics, ...checkFields(schema, found.keyFields, places)] };
}

/** Where the parts of the schema stand; asked only where there is something to report. */
export interface KeyPlaces {
  schema(): Place;
  /** With the error of its SQL, which may know a position. */
  transformation(transformation: Transformation, error?: unknown): Place;
}

/** Whether a transformation takes an object away: the delete of a row without `emit: "upsert"`. */
export function emitsTombstone(transformation: Transformation): boolean {
  return transformation.operation === "delete" && transformation.emit !== "upsert";
}

interface ParsedTransformation {
  readonly transformation: Transformation;
  readonly template: SqlTemplate;
}

function findKey(schema: PublicSchema, parsed: ParsedTransformation[], places: KeyPlaces): KeyResolution {
  const deletes = parsed.filter((p) => emitsTombstone(p.transformation));
  if (schema.key !== undefined) {
    return { keyFields: schema.key, origin: "key", diagnostics: checkDeletes(deletes, schema.key, places) };
  }
  const deleted = deletes.map((p) => outputColumns(p.template));
  const first = deleted[0];
  if (first !== undefined && first.length > 0 && !first.includes(undefined)) {
    const keyFields = first.filter((column) => column !== undefined);
    return { keyFields, origin: "delete", diagnostics: checkDeletes(deletes.slice(1), keyFields, places) };
  }
  return keyFromPins(parsed, places);
}

/** Every delete transformation has to say which object goes: the fields of the key. */
function checkDeletes(
  deletes: ParsedTransformation[],
  keyFields: readonly string[],
  places: KeyPlaces,
): Diagnostic[] {
  return deletes.flatMap(({ transformation, template }) => {
    const columns = outputColumns(template);
    const missing = columns.includes(undefined) ? [] : keyFields.filter((field) => !columns.includes(field));
    if (missing.length === 0) return [];
    const detail = `it does not select ${quoted(missing)} of the key (${keyFields.join(", ")})`;
    return [diagnostic("DELETE_WITHOUT_KEY", "error", places.transformation(transformation), detail)];
  });
}

function keyFromPins(parsed: ParsedTransformation[], places: KeyPlaces): KeyResolution {
  const candidates = new Map<string, string[]>();
  for (const { transformation, template } of parsed) {
    if (emitsTombstone(transformation)) continue;
    const fields = selectedPins(template, transformation.table);
    if (fields.length > 0) candidates.set(fields.join(), fields);
  }
  const [keyFields, other] = [...candidates.values()];
  if (keyFields !== undefined && other === undefined) return { keyFields, origin: "where", diagnostics: [] };
  const detail =
    keyFields === undefined || other === undefined
      ? "no transformation pins the changed row with columns that it selects"
      : `its transformations pin different columns, ${quoted(keyFields)} and ${quoted(other)}`;
  return {
    keyFields: [],
    origin: "none",
    diagnostics: [diagnostic("KEY_NOT_FOUND", "error", places.schema(), detail)],
  };
}

/** The output fields that stand for the pinned columns; none when one of the pinned columns is not selected. */
function selectedPins(template: SqlTemplate, changedTable: string): string[] {
  const name = bareTableName(changedTable);
  const table = selectShape(template).tables.find((t) => t.topLevel && t.name === name);
  if (table === undefined) return [];
  const pins = pinnedColumns(template, table);
  const names = outputColumns(template);
  const targets = (template.statement.targetList as Node[] | undefined) ?? [];
  const fields = pins.map((pin) => {
    const at = targets.findIndex((target) => selects(target, pin.column, table.alias ?? table.name));
    return at < 0 ? undefined : names[at];
  });
  return fields.includes(undefined) ? [] : [...new Set(fields.filter((field) => field !== undefined))];
}

/** `public.things` is things, `"Order"` is Order, Things is things: as Postgres reads it. */
function bareTableName(table: string): string {
  const last = /(?:"(?<quoted>(?:[^"]|"")*)"|(?<plain>[^".]*))$/.exec(table.trim())?.groups;
  return last?.quoted?.replaceAll('""', '"') ?? (last?.plain ?? "").toLowerCase();
}

/** Whether an output column is the given column of the table itself, a cast left aside. */
function selects(target: Node, column: string, qualifier: string): boolean {
  let value = (target.ResTarget as Node | undefined)?.val as Node | undefined;
  while (value?.TypeCast !== undefined) value = (value.TypeCast as Node).arg as Node;
  const fields = ((value?.ColumnRef as Node | undefined)?.fields as Node[] | undefined) ?? [];
  const names = fields.map((field) => (field.String as Node | undefined)?.sval);
  return names.at(-1) === column && (names.length === 1 || names.at(-2) === qualifier);
}

function checkFields(schema: PublicSchema, keyFields: readonly string[], places: KeyPlaces): Diagnostic[] {
  const properties = schema.outputSchema.properties as Record<string, unknown> | undefined;
  if (properties === undefined) return [];
  const required = (schema.outputSchema.required as string[] | undefined) ?? [];
  const unknown = keyFields.filter((field) => !Object.hasOwn(properties, field));
  const optional = keyFields.filter((field) => Object.hasOwn(properties, field) && !required.includes(field));
  const known = Object.keys(properties).join(", ");
  return [
    ...(unknown.length === 0
      ? []
      : [
          diagnostic(
            "KEY_FIELD_UNKNOWN",
            "error",
            places.schema(),
            `${quoted(unknown)}; its fields are ${known}`,
          ),
        ]),
    ...(optional.length === 0
      ? []
      : [diagnostic("KEY_FIELD_NULLABLE", "warning", places.schema(), quoted(optional))]),
  ];
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}
