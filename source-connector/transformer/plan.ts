import { RejotError } from "../../shared/errors/error.ts";
import type { PublicSchema, Transformation } from "../../shared/manifest/schema.ts";
import type { PostgresClient } from "../../shared/postgres/client.ts";
import { selectShape } from "../../shared/postgres/sql/select-shape.ts";
import { changesSettings } from "../../shared/postgres/sql/settings-call.ts";
import { parseTemplate, placeOfPlaceholder, type SqlTemplate } from "../../shared/postgres/sql/template.ts";
import { beforeColumns, quoteIdentifier, type TableInfo } from "../../shared/postgres/table-info.ts";
import type { ResultColumns } from "../ports.ts";
import { type BatchSql, batchSql, type TypedColumn } from "./batch-sql.ts";
import { columnOfPlaceholder, doesNotRead, type ReadMode, readModeOf } from "./read-mode.ts";

/** A statement that runs a transformation for many rows of a table. */
export interface BatchStatement {
  /** Unique in its session: the prepared statement's name. */
  readonly name: string;
  readonly text: string;
  /** Columns of the changed row, by name, whose values it takes. */
  readonly parameters: readonly string[];
  readonly result: ResultColumns;
  /** Whether it names a table that it reads; the changed row from the WAL is none. */
  readonly readsTables: boolean;
}

/** How one transformation runs. */
export interface TransformationPlan {
  readonly schemaName: string;
  readonly operation: Transformation["operation"];
  readonly emit: "upsert" | "tombstone";
  /** Reads the changed row from the WAL; null where that is not allowed, with the reason. */
  readonly rowImage: BatchStatement | null;
  /** The changed row from the WAL, the table, or no table at all: the placeholders say it all. */
  readonly reads: "row image" | "table" | "placeholders";
  /** Why the table is read instead. */
  readonly tableReason: string | null;
  /** Reads the table; also used where a TOAST value is missing from the row image. */
  readonly table: BatchStatement;
}

/** What is planned: one transformation of a public schema over a table as its changes describe it. */
export interface PlanInput {
  readonly client: PostgresClient;
  readonly publicSchema: PublicSchema;
  readonly transformation: Transformation;
  readonly table: TableInfo;
  /** The columns of the changed row as the stream carries them, with type names for casts. */
  readonly columns: readonly TypedColumn[];
}

let statements = 0;

const CHANGED = { insert: "an inserted", update: "an updated", delete: "a deleted" };

/**
 * Plans a transformation and proves the plan on the server: each statement is run over no rows, which gives the
 * result's columns too. Throws SQL_* and TRANSFORMATION_* errors that name the schema, table and operation.
 */
export async function planTransformation(input: PlanInput): Promise<TransformationPlan> {
  const { publicSchema, transformation, table } = input;
  const emit = transformation.emit ?? (transformation.operation === "delete" ? "tombstone" : "upsert");
  try {
    const template = await parseTemplate(transformation.sql);
    if (template.kind !== "SelectStmt")
      throw new RejotError("TRANSFORMATION_NOT_SELECT", { detail: transformation.sql });
    if (changesSettings(template))
      throw new RejotError("SQL_NOT_A_SELECT", {
        detail: "it calls set_config, which could change its role",
      });
    const available = availableColumns(input);
    checkPlaceholders(template, table, available, transformation.operation);
    const tableStatement = await statement(input, template, available, { kind: "table", reason: "" });
    const mode = await resolvedMode(input, template);
    const image = await imageStatement(input, template, mode, available, tableStatement.result);
    const reason = typeof image === "string" ? image : null;
    if (reason !== null && transformation.operation === "delete" && emit === "tombstone") {
      refuseGoneRow(template, table, mode, reason);
    }
    return {
      schemaName: publicSchema.name,
      operation: transformation.operation,
      emit,
      rowImage: typeof image === "string" ? null : image,
      reads: readsOf(template, reason),
      tableReason: reason,
      table: tableStatement,
    };
  } catch (error) {
    throw located(error, input);
  }
}

function readsOf(template: SqlTemplate, tableReason: string | null): TransformationPlan["reads"] {
  if (selectShape(template).tables.length === 0) return "placeholders";
  return tableReason === null ? "row image" : "table";
}

/** A delete knows of the row only what the replica identity keeps. */
function availableColumns({ transformation, table, columns }: PlanInput): readonly TypedColumn[] {
  if (transformation.operation !== "delete") return columns;
  const before = beforeColumns(table);
  return columns.filter((column) => before.includes(column.name));
}

function checkPlaceholders(
  template: SqlTemplate,
  table: TableInfo,
  available: readonly TypedColumn[],
  operation: Transformation["operation"],
): void {
  for (const name of template.names) {
    const column = columnOfPlaceholder(name, table);
    if (available.some((candidate) => candidate.name === column)) continue;
    const shown = /^\d+$/.test(name) ? `$${name}` : `:${name}`;
    const known = available.map((candidate) => candidate.name).join(", ");
    const detail =
      column === undefined
        ? `${shown} is not a column of ${table.name}, which has ${known}`
        : `${shown} is not known of ${CHANGED[operation]} row; the WAL has ${known || "no columns"} of it`;
    throw new RejotError("TRANSFORMATION_PLACEHOLDER_UNKNOWN", {
      detail,
      sql: placeOfPlaceholder(template, name),
      ...(column === undefined || operation !== "delete"
        ? {}
        : { hint: `Use the identity's columns, or: ALTER TABLE ${table.name} REPLICA IDENTITY FULL` }),
    });
  }
}

/** The row image's statement, or the reason why there is none. */
async function imageStatement(
  input: PlanInput,
  template: SqlTemplate,
  mode: ReadMode,
  available: readonly TypedColumn[],
  expected: ResultColumns,
): Promise<BatchStatement | string> {
  if (mode.kind === "table") return mode.reason;
  try {
    const image = await statement(input, template, available, mode);
    const same = JSON.stringify(image.result.list) === JSON.stringify(expected.list);
    return same ? image : `its columns differ when ${input.table.name} is replaced by the changed row`;
  } catch (error) {
    if (!(error instanceof RejotError) || error.code !== "TRANSFORMATION_REJECTED") throw error;
    return `it needs more of ${input.table.name} than the WAL holds (${(error.cause as Error).message})`;
  }
}

/** A name without schema is the changed table only where search_path, which the server knows, leads to it. */
async function resolvedMode({ client, table }: PlanInput, template: SqlTemplate): Promise<ReadMode> {
  const mode = readModeOf(template, table);
  if (mode.kind === "table" || mode.reference.schema !== undefined) return mode;
  const result = await client.query<{ oid: string | null }>("SELECT to_regclass($1)::oid AS oid", [
    quoteIdentifier(mode.reference.name),
  ]);
  return Number(result.rows[0]?.oid) === table.oid ? mode : { kind: "table", reason: doesNotRead(table) };
}

async function statement(
  input: PlanInput,
  template: SqlTemplate,
  available: readonly TypedColumn[],
  mode: Parameters<typeof batchSql>[3],
): Promise<BatchStatement> {
  const { text, columns, placeOf } = await batchSql(template, input.table, available, mode);
  try {
    const result = await input.client.query({ text, values: columns.map(() => "{}"), rowMode: "array" });
    const list = result.fields.slice(1).map((field) => ({ name: field.name, typeOid: field.dataTypeID }));
    const readsTables = selectShape(template).tables.length > (mode.kind === "table" ? 0 : 1);
    return { name: `rejot_${++statements}`, text, parameters: columns, result: { list }, readsTables };
  } catch (cause) {
    throw rejected(cause, placeOf);
  }
}

const RIGHTS_HINT =
  "Grant the role that runs transformations what its SQL reads. Where row-level security would hide rows from it: ALTER ROLE … BYPASSRLS, or start with row-security apply.";

function rejected(cause: unknown, placeOf: BatchSql["placeOf"]): unknown {
  const { code: state, position } = cause as { code?: unknown; position?: string };
  // Class 42 and 22: the statement itself is wrong. Everything else (connection, rights) keeps its own error.
  if (typeof state !== "string" || !/^(42|22|0A)/.test(state)) return cause;
  return new RejotError("TRANSFORMATION_REJECTED", {
    detail: (cause as Error).message,
    cause,
    ...(state === "42501" ? { hint: RIGHTS_HINT } : {}),
    sql: position === undefined ? undefined : placeOf(Number(position)),
  });
}

/** A tombstone's SELECT that reads the deleted row from its table would find nothing and lose the delete. */
function refuseGoneRow(template: SqlTemplate, table: TableInfo, mode: ReadMode, reason: string): void {
  if (mode.kind === "table" && mode.reason === doesNotRead(table)) return;
  throw new RejotError("TRANSFORMATION_READS_DELETED_ROW", { detail: `${reason}: ${template.sql}` });
}

function located(error: unknown, { publicSchema, transformation }: PlanInput): unknown {
  if (!(error instanceof RejotError)) return error;
  return new RejotError(error.code, {
    detail: `${publicSchema.name} v${publicSchema.version.major}, ${transformation.operation} on ${transformation.table}: ${error.detail}`,
    hint: error.hint,
    cause: error.cause,
    sql: error.sql,
  });
}
