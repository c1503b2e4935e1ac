import type { AvroRecord } from "../../shared/contracts/avro-types.ts";
import { fieldOf } from "../../shared/contracts/consumers/consumer-usage.ts";
import { compileParameter } from "../../shared/contracts/row-decoder.ts";
import { RejotError } from "../../shared/errors/error.ts";
import type { PgType } from "../../shared/postgres/type-catalog.ts";

/** A statement whose placeholders take their values from an event's fields. */
export interface BindableStatement {
  /** Index into the destination's statements. */
  readonly statement: number;
  /** The placeholder of each parameter: names, or "1", "2" for the fields by place. */
  readonly placeholders: readonly string[];
  /** The destination's type of each parameter. */
  readonly types: readonly PgType[];
}

/** The values of one event for one statement, as Postgres text. Throws when a value has no such text. */
export type Binder = (row: Record<string, unknown>) => (string | null)[];

/**
 * Compiles the way from an event of one schema to a statement's values. A field that the schema does not have is
 * null: it is optional, and the event was published by a version that did not know it yet.
 */
export function compileBinder(statement: BindableStatement, schema: AvroRecord): Binder {
  const parameters = statement.placeholders.map((placeholder, i) => {
    const field = fieldOf(schema, placeholder);
    const type = statement.types[i];
    if (type === undefined) throw new RejotError("INTERNAL_ERROR", { detail: `no type for :${placeholder}` });
    if (field === undefined) return undefined;
    return { name: field.name, toText: compileParameter(field.type, type, field.name) };
  });
  return (row) => {
    const values: (string | null)[] = new Array(parameters.length);
    for (let i = 0; i < parameters.length; i++) {
      const parameter = parameters[i];
      const value = parameter === undefined ? null : row[parameter.name];
      values[i] =
        parameter === undefined || value === null || value === undefined ? null : parameter.toText(value);
    }
    return values;
  };
}
