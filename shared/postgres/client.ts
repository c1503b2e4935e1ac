import pg from "pg";
import { isCertificateRefused } from "../errors/certificate.ts";
import { RejotError } from "../errors/error.ts";
import type { ErrorCode } from "../errors/table.ts";
import type { PostgresConnection } from "../manifest/schema.ts";
import { serverName, serversOf } from "./servers.ts";

/**
 * Session settings under which every value has one text form, whatever the server's configuration says:
 * the replication stream, the transformations and the sink must all read and write the same text.
 */
const SESSION = [
  "-c datestyle=ISO,YMD",
  "-c intervalstyle=postgres",
  "-c timezone=UTC",
  "-c extra_float_digits=3",
  "-c bytea_output=hex",
  "-c lc_monetary=C",
  "-c xmloption=content",
  "-c array_nulls=on",
].join(" ");

/** A connection to a server. */
export type PostgresClient = pg.Client;

/** Options of one connection. */
export interface ConnectOptions {
  applicationName: string;
  /** Further `-c name=value` settings for the session. */
  settings?: Record<string, string>;
  /** Default 10,000. */
  connectTimeoutMs?: number;
  /** For the answer to any one query: a connection may be dead without a word. Default: no limit. */
  queryTimeoutMs?: number;
}

/** Values come back as the server's text, never parsed: node-pg's parsers round numbers and cut microseconds. */
const TEXT_ONLY = { getTypeParser: () => (value: unknown) => value } as unknown as pg.CustomTypesConfig;

/** The node-pg configuration of a manifest's connection to one server, whose secrets are resolved. */
export function clientConfig(connection: PostgresConnection, options: ConnectOptions): pg.ClientConfig {
  const extra = Object.entries(options.settings ?? {}).map(
    ([name, value]) => `-c ${name}=${value.replaceAll(" ", "\\ ")}`,
  );
  const ssl = connection.ssl;
  return {
    host: connection.host,
    port: Number(connection.port ?? 5432),
    user: connection.user,
    ...(connection.password === undefined ? {} : { password: connection.password }),
    database: connection.database,
    ...(ssl === undefined ? {} : { ssl: ssl as boolean }),
    application_name: options.applicationName,
    options: [SESSION, ...extra].join(" "),
    connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
    ...(options.queryTimeoutMs === undefined ? {} : { query_timeout: options.queryTimeoutMs }),
    keepAlive: true,
    types: TEXT_ONLY,
  };
}

/**
 * Connects; to the first that takes writes where the connection names several servers, as libpq does with
 * target_session_attrs=read-write. Throws POSTGRES_UNREACHABLE, CERTIFICATE_REFUSED, POSTGRES_IS_STANDBY (retryable) or
 * POSTGRES_REFUSED (wrong password, unknown database).
 * The caller owns the client and ends it; an `error` listener is attached so that a connection lost while idle
 * does not end the process: the next query fails instead.
 */
export async function connectPostgres(
  connection: PostgresConnection,
  options: ConnectOptions,
): Promise<pg.Client> {
  return (await connectToWritable(connection, options)).client;
}

/**
 * The connection to the one server that takes writes now, for those who open several sessions that must be on the same
 * server. One that names a single server is given back as it is, unasked. Throws as connectPostgres.
 */
export async function writableServer(
  connection: PostgresConnection,
  options: ConnectOptions,
): Promise<PostgresConnection> {
  if (serversOf(connection).length === 1) return connection;
  const { client, server } = await connectToWritable(connection, options);
  await endPostgres(client);
  return server;
}

async function connectToWritable(
  connection: PostgresConnection,
  options: ConnectOptions,
): Promise<{ client: pg.Client; server: PostgresConnection }> {
  const servers = serversOf(connection);
  const errors: RejotError[] = [];
  for (const server of servers) {
    try {
      const client = await connectToOne(server, options);
      if (servers.length === 1 || !(await isStandby(client))) return { client, server };
      await endPostgres(client);
      errors.push(new RejotError("POSTGRES_IS_STANDBY", { detail: serverName(server) }));
    } catch (error) {
      errors.push(error as RejotError);
    }
  }
  throw worthTrying(errors);
}

/** While a standby is being promoted, the other servers' answers are not the last word. */
function worthTrying(errors: readonly RejotError[]): RejotError {
  const [first, ...rest] = [...errors].sort((a, b) => Number(b.retryable) - Number(a.retryable));
  if (first === undefined)
    return new RejotError("INTERNAL_ERROR", { detail: "a connection without servers" });
  if (rest.length === 0) return first;
  const detail = errors.map((error) => error.detail).join("; ");
  return new RejotError(first.code, { detail, cause: first.cause, context: first.context });
}

async function isStandby(client: pg.Client): Promise<boolean> {
  try {
    const result = await client.query<{ standby: string }>("SELECT pg_is_in_recovery() AS standby");
    return result.rows[0]?.standby === "t";
  } catch (cause) {
    await endPostgres(client);
    throw postgresError(cause, "asking whether it takes writes");
  }
}

async function connectToOne(server: PostgresConnection, options: ConnectOptions): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(server, options));
  client.on("error", () => {});
  try {
    await client.connect();
    return client;
  } catch (cause) {
    await endPostgres(client);
    throw postgresError(cause, serverName(server));
  }
}

/** node-pg's connection has the socket, its types do not say so. */
type WithSocket = { readonly connection?: { readonly stream?: { destroy(): void } } };
const END_TIMEOUT_MS = 2_000;

/** Closes a connection. One whose server has gone silent does not end by itself and is broken off. Never throws. */
export async function endPostgres(client: pg.Client): Promise<void> {
  const timer = setTimeout(
    () => (client as unknown as WithSocket).connection?.stream?.destroy(),
    END_TIMEOUT_MS,
  );
  await client.end().catch(() => {});
  clearTimeout(timer);
}

/** The five characters of an SQLSTATE, if the error came from a Postgres server. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** Whether a query's answer did not come within `queryTimeoutMs`: node-pg has neither a class nor a code for it. */
export function isOverdue(error: unknown): boolean {
  return error instanceof Error && error.message === "Query read timeout";
}

/**
 * SQLSTATEs that go away by themselves, beside whole classes (connection, resources, operator): deadlock, serialization,
 * locks, read-only, statement_timeout; and, which end the session, transaction_timeout and
 * idle_in_transaction_session_timeout.
 */
const RETRYABLE_STATES = new Set(["40001", "40P01", "55P03", "25006", "57014", "55006", "25P04", "25P03"]);

/** Whether a failed statement or connection is worth trying again unchanged. */
export function isTransientPostgresError(error: unknown): boolean {
  const state = sqlState(error);
  if (state === undefined) return error instanceof Error && !(error instanceof RejotError);
  return RETRYABLE_STATES.has(state) || /^(08|53|57P|58)/.test(state);
}

/** Wraps an error of a connection attempt or of a lost connection into one with a code. */
export function postgresError(cause: unknown, server: string): RejotError {
  const state = sqlState(cause);
  const refused = state !== undefined && /^(28|3D|42501)/.test(state);
  const unreachable = isCertificateRefused(cause) ? "CERTIFICATE_REFUSED" : "POSTGRES_UNREACHABLE";
  const code: ErrorCode = refused ? "POSTGRES_REFUSED" : unreachable;
  const message =
    cause instanceof Error
      ? cause.message || (cause as NodeJS.ErrnoException).code || cause.name
      : String(cause);
  return new RejotError(code, {
    detail: `${server}: ${message}`,
    cause,
    ...(state ? { context: { sqlState: state } } : {}),
  });
}
