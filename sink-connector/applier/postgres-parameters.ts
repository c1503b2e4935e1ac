import type pg from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import { isTransientPostgresError } from "../../shared/postgres/client.ts";
import { loadTypeCatalog, type PgType, type TypeCatalog } from "../../shared/postgres/type-catalog.ts";
import { parameterNumber, type SinkStatement } from "./statements.ts";

/** The types a destination gives to one statement's placeholders. */
export interface StatementTypes {
  /** By placeholder, in the order of `template.names`. */
  readonly types: ReadonlyMap<string, PgType>;
  /** The same types, spelled so that a cast to them never cuts a value. */
  readonly castTypes: ReadonlyMap<string, string>;
}

/**
 * Lets the server type every statement's parameters, as it would when an application prepares it.
 * Throws SINK_SQL_REJECTED for a statement that the server does not accept.
 */
export async function describeStatements(
  client: pg.ClientBase,
  statements: readonly SinkStatement[],
): Promise<StatementTypes[]> {
  const catalog = await loadTypeCatalog(client);
  const described: StatementTypes[] = [];
  for (const statement of statements) {
    const oids = await parameterOids(client, statement);
    await catalog.require(oids);
    described.push(await typesByPlaceholder(client, catalog, statement, oids));
  }
  return described;
}

async function parameterOids(client: pg.ClientBase, statement: SinkStatement): Promise<number[]> {
  try {
    await client.query(`PREPARE _rejot_describe AS ${statement.template.numbered}`);
  } catch (cause) {
    if (isTransientPostgresError(cause)) throw cause;
    throw new RejotError("SINK_SQL_REJECTED", {
      detail: `${statement.purpose} of ${statement.consumerName}: ${(cause as Error).message}`,
      cause,
      context: { sql: statement.template.sql },
    });
  }
  const { rows } = await client.query<{ oid: string }>(
    `SELECT t::oid::text AS oid FROM pg_catalog.pg_prepared_statements,
       unnest(parameter_types) WITH ORDINALITY AS p(t, n) WHERE name = '_rejot_describe' ORDER BY n`,
  );
  await client.query("DEALLOCATE _rejot_describe");
  return rows.map((row) => Number(row.oid));
}

async function typesByPlaceholder(
  client: pg.ClientBase,
  catalog: TypeCatalog,
  { template }: SinkStatement,
  oids: readonly number[],
): Promise<StatementTypes> {
  const types = new Map<string, PgType>();
  const castTypes = new Map<string, string>();
  // With a type modifier of -1 char and bit are spelled bpchar and "bit": a cast to "character" keeps one letter.
  const { rows } = await client.query<{ name: string }>(
    `SELECT format_type(o, -1) AS name FROM unnest($1::oid[]) WITH ORDINALITY AS x(o, n) ORDER BY n`,
    [`{${oids.join(",")}}`],
  );
  for (const name of template.names) {
    const index = parameterNumber(template, name) - 1;
    types.set(name, catalog.get(oids[index] ?? 0));
    castTypes.set(name, rows[index]?.name ?? "text");
  }
  return { types, castTypes };
}
