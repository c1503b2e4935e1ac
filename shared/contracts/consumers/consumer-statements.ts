import { RejotError } from "../../errors/error.ts";
import { emitsTombstone } from "../../manifest/key.ts";
import type { ConsumerSchema, PublicSchema } from "../../manifest/schema.ts";
import { placeOfPlaceholder, type SqlTemplate } from "../../postgres/sql/template.ts";

/**
 * SQL_PLACEHOLDER_UNKNOWN for each placeholder that none of the fields fills: those of the public schema in `sql`, of
 * its key in `deleteSql`, in the schema's order, which is what `$1` counts.
 */
export function unknownPlaceholders(template: SqlTemplate, fields: readonly string[]): RejotError[] {
  const positional = template.style === "positional";
  const isKnown = (name: string) =>
    positional ? Number(name) >= 1 && Number(name) <= fields.length : fields.includes(name);
  const names = fields.map((name, i) => (positional ? `$${i + 1} ${name}` : `:${name}`)).join(", ");
  return template.names
    .filter((name) => !isKnown(name))
    .map(
      (name) =>
        new RejotError("SQL_PLACEHOLDER_UNKNOWN", {
          detail: `${positional ? "$" : ":"}${name}; there is ${names}`,
          sql: placeOfPlaceholder(template, name),
        }),
    );
}

/** DELETE_SQL_MISSING for a consumer schema that says nothing about the deletes its public schema publishes. */
export function unansweredDeletes(
  consumer: ConsumerSchema,
  publicSchema: PublicSchema,
): RejotError | undefined {
  const { deleteSql, deletes } = consumer.config;
  if (deleteSql !== undefined || deletes !== undefined) return undefined;
  if (!publicSchema.config.transformations.some(emitsTombstone)) return undefined;
  return new RejotError("DELETE_SQL_MISSING", { detail: `"${consumer.name}"` });
}
