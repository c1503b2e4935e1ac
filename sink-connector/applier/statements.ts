import { RejotError } from "../../shared/errors/error.ts";
import type { Node, SqlTemplate } from "../../shared/postgres/sql/template.ts";

/** One statement of a consumer schema. */
export interface SinkStatement {
  /** `manifest/consumer-schema`, for messages. */
  readonly consumerName: string;
  /** Which of the two: `sql` for events, `deleteSql` for tombstones. */
  readonly purpose: "sql" | "deleteSql";
  readonly template: SqlTemplate;
}

/** Statement kinds that PREPARE, and with it the server's typing of parameters, accepts. */
const SUPPORTED = new Set(["SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"]);

/** Throws SINK_SQL_NOT_SUPPORTED for anything but SELECT, INSERT, UPDATE, DELETE and MERGE. */
export function checkStatementKind(statement: SinkStatement): void {
  const { template, consumerName, purpose } = statement;
  const intoTable = template.kind === "SelectStmt" && template.statement.intoClause !== undefined;
  if (SUPPORTED.has(template.kind) && !intoTable) return;
  throw new RejotError("SINK_SQL_NOT_SUPPORTED", {
    detail: `${purpose} of ${consumerName} is ${intoTable ? "SELECT INTO" : template.kind.replace(/Stmt$/, "")}`,
  });
}

/** Whether the statement gives rows, which plpgsql does not let pass without a place to put them. */
export function returnsRows(template: SqlTemplate): boolean {
  if (template.kind === "SelectStmt") return true;
  const { returningList, returningClause } = template.statement as Node;
  return (Array.isArray(returningList) && returningList.length > 0) || returningClause !== undefined;
}

/** The number (from 1) of a placeholder among the server's parameters. */
export function parameterNumber(template: SqlTemplate, name: string): number {
  return template.style === "positional" ? Number(name) : template.names.indexOf(name) + 1;
}
