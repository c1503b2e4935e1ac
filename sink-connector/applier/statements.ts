import { RejotError } from "../../shared/errors/error.ts";
import type { Node, RenderedSql, SqlTemplate } from "../../shared/postgres/sql/template.ts";

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

/** A statement's parameters, numbered by us: which placeholder each stands for, and the text with them filled in. */
export interface ParameterShape {
  /** Placeholders by parameter. */
  readonly names: readonly string[];
  render(parameter: (index: number) => string): string;
  /** The same, knowing where each of its characters comes from. */
  renderMapped(parameter: (index: number) => string): RenderedSql;
}

/** One parameter per placeholder, however often it is used. */
export function byName(template: SqlTemplate): ParameterShape {
  const { names } = template;
  return shape(names, (parameter) => template.renderMapped((name) => parameter(names.indexOf(name))));
}

/** One parameter per use: a placeholder may then be of another type where it is used again. */
export function byUse(template: SqlTemplate): ParameterShape {
  const names: string[] = [];
  template.render((name) => {
    names.push(name);
    return "NULL";
  });
  return shape(names, (parameter) => {
    let index = 0;
    return template.renderMapped(() => parameter(index++));
  });
}

function shape(names: readonly string[], renderMapped: ParameterShape["renderMapped"]): ParameterShape {
  return { names, renderMapped, render: (parameter) => renderMapped(parameter).text };
}
