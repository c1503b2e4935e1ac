import { RejotError } from "../../shared/errors/error.ts";
import type { Relation } from "../ports.ts";

/** A delete transformation: what the loss of a table's rows means to a public schema. */
export interface DeleteUse {
  /** Index into the source's public schemas. */
  readonly schema: number;
  readonly schemaName: string;
  /** Oid of the table. */
  readonly table: number;
  readonly emit: "upsert" | "tombstone";
}

/**
 * The public schemas that a TRUNCATE leaves without any object: those whose delete transformations emit tombstones for
 * tables that were all truncated. A schema without delete transformation for the tables has no tombstones of theirs in
 * any case. Throws TRUNCATE_STOPS where some objects of a schema would remain, or would have to be published anew: the
 * WAL does not say which.
 */
export function clearedSchemas(truncated: readonly Relation[], uses: readonly DeleteUse[]): number[] {
  const gone = new Set(truncated.map(({ oid }) => oid));
  const schemas = new Set(uses.filter(({ table }) => gone.has(table)).map(({ schema }) => schema));
  for (const schema of schemas) {
    const roots = uses.filter((use) => use.schema === schema && use.emit === "tombstone");
    if (roots.length > 0 && roots.every(({ table }) => gone.has(table))) continue;
    const tables = truncated.map((relation) => `${relation.schema}.${relation.name}`).join(", ");
    const name = uses.find((use) => use.schema === schema)?.schemaName;
    const why =
      roots.length === 0 || roots.every(({ table }) => !gone.has(table))
        ? "holds only parts of its objects there"
        : "has objects of other tables too";
    throw new RejotError("TRUNCATE_STOPS", {
      detail: `${tables}; the public schema "${name}" ${why}, and which of them changed is not known`,
    });
  }
  return [...schemas];
}
