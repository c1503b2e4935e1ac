import type pg from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import { isTransientPostgresError, sqlState } from "../../shared/postgres/client.ts";
import type { RenderedSql } from "../../shared/postgres/sql/template.ts";
import {
  loadTypeCatalog,
  type PgType,
  type TypeCatalog,
  withoutDomains,
} from "../../shared/postgres/type-catalog.ts";
import { byName, byUse, type ParameterShape, type SinkStatement } from "./statements.ts";

/** The parameters of one statement and the types that the destination gives them. */
export interface StatementParameters {
  readonly shape: ParameterShape;
  readonly types: readonly PgType[];
  /** The same types, spelled so that a cast to them never cuts a value. */
  readonly castTypes: readonly string[];
  /** The same, without domains. */
  readonly variableTypes: readonly string[];
}

/** "inconsistent types deduced for parameter": one placeholder stands where two types are wanted. */
const INCONSISTENT_TYPES = "42P08";

/** What the destination says of one statement. */
export interface DescribedStatement {
  readonly parameters: StatementParameters;
  /** Why it does not take the statement now; the parameters are then those of the last time that it did. */
  readonly rejection: RejotError | undefined;
}

/** What a destination said of each statement when it last took it. */
export type AcceptedStatements = Map<number, StatementParameters>;

/**
 * Lets the server type every statement's parameters, as it would when an application prepares it.
 * Throws SINK_SQL_REJECTED for a statement that the server does not accept.
 */
export async function describeStatements(
  client: pg.ClientBase,
  statements: readonly SinkStatement[],
): Promise<StatementParameters[]> {
  return (await describeAgain(client, statements, new Map())).map(({ parameters }) => parameters);
}

/**
 * The same where a statement may have been accepted before: its table is being replaced, and the others go on. Brings
 * `accepted` up to date.
 */
export async function describeAgain(
  client: pg.ClientBase,
  statements: readonly SinkStatement[],
  accepted: AcceptedStatements,
): Promise<DescribedStatement[]> {
  const catalog = await loadTypeCatalog(client);
  const described: DescribedStatement[] = [];
  for (const [index, statement] of statements.entries()) {
    try {
      const parameters = await describeStatement(client, statement, catalog);
      accepted.set(index, parameters);
      described.push({ parameters, rejection: undefined });
    } catch (error) {
      const parameters = accepted.get(index);
      if (parameters === undefined || !isSqlRejected(error)) throw error;
      described.push({ parameters, rejection: error });
    }
  }
  return described;
}

/** Whether an error says that the destination does not take a statement. */
export function isSqlRejected(error: unknown): error is RejotError {
  return error instanceof RejotError && error.code === "SINK_SQL_REJECTED";
}

async function describeStatement(
  client: pg.ClientBase,
  statement: SinkStatement,
  catalog: TypeCatalog,
): Promise<StatementParameters> {
  const { shape, oids } = await parameters(client, statement);
  await catalog.require(oids);
  const types = oids.map((oid) => catalog.get(oid));
  return {
    shape,
    types,
    castTypes: await castTypes(client, oids),
    variableTypes: await castTypes(
      client,
      types.map((type) => withoutDomains(type).oid),
    ),
  };
}

async function parameters(
  client: pg.ClientBase,
  statement: SinkStatement,
): Promise<{ shape: ParameterShape; oids: number[] }> {
  const shape = byName(statement.template);
  try {
    return { shape, oids: await parameterOids(client, shape) };
  } catch (cause) {
    if (sqlState(cause) !== INCONSISTENT_TYPES) throw rejected(statement, shape, cause);
  }
  const wider = byUse(statement.template);
  try {
    return { shape: wider, oids: await parameterOids(client, wider) };
  } catch (cause) {
    throw rejected(statement, wider, cause);
  }
}

function rejected(
  { purpose, consumerName, template }: SinkStatement,
  shape: ParameterShape,
  cause: unknown,
): unknown {
  if (isTransientPostgresError(cause)) return cause;
  const state = sqlState(cause);
  const position = Number((cause as { position?: string }).position);
  const sql = position > PREPARE.length ? prepared(shape).placeOf(position - PREPARE.length) : undefined;
  return new RejotError("SINK_SQL_REJECTED", {
    detail: `${purpose} of ${consumerName}: ${(cause as Error).message}`,
    cause,
    sql,
    context: {
      ...(sql === undefined ? { sql: template.sql } : {}),
      ...(state === undefined ? {} : { sqlState: state }),
    },
  });
}

const PREPARE = "PREPARE _rejot_describe AS ";

function prepared(shape: ParameterShape): RenderedSql {
  return shape.renderMapped((index) => `$${index + 1}`);
}

async function parameterOids(client: pg.ClientBase, shape: ParameterShape): Promise<number[]> {
  await client.query(`${PREPARE}${prepared(shape).text}`);
  const { rows } = await client.query<{ oid: string }>(
    `SELECT t::oid::text AS oid FROM pg_catalog.pg_prepared_statements,
       unnest(parameter_types) WITH ORDINALITY AS p(t, n) WHERE name = '_rejot_describe' ORDER BY n`,
  );
  await client.query("DEALLOCATE _rejot_describe");
  return rows.map((row) => Number(row.oid));
}

/** With a type modifier of -1 char and bit are spelled bpchar and "bit": a cast to "character" keeps one letter. */
async function castTypes(client: pg.ClientBase, oids: readonly number[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT format_type(o, -1) AS name FROM unnest($1::oid[]) WITH ORDINALITY AS x(o, n) ORDER BY n`,
    [`{${oids.join(",")}}`],
  );
  return rows.map((row) => row.name);
}
