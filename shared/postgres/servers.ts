import { RejotError } from "../errors/error.ts";
import type { PostgresConnection } from "../manifest/schema.ts";

const DEFAULT_PORT = 5432;

/**
 * The servers that a connection names, in their order: host and port may be lists as in libpq, `a,b` with one port for
 * all or one for each. Throws CONNECTION_STRING_INVALID when the lists do not match.
 */
export function serversOf(connection: PostgresConnection): PostgresConnection[] {
  const hosts = listOf(connection.host);
  const ports = connection.port === undefined ? [DEFAULT_PORT] : listOf(String(connection.port)).map(Number);
  if (ports.length !== 1 && ports.length !== hosts.length) {
    throw new RejotError("CONNECTION_STRING_INVALID", {
      detail: `it names ${hosts.length} hosts and ${ports.length} ports`,
      hint: "Give one port for all hosts, or one for each in the same order.",
    });
  }
  return hosts.map((host, i) => ({
    ...connection,
    host,
    port: ports[ports.length === 1 ? 0 : i] ?? DEFAULT_PORT,
  }));
}

/** What messages call a connection: `host:port/database`, or `host:port,host:port/database`. */
export function serverName(connection: PostgresConnection): string {
  const servers = serversOf(connection).map(({ host, port }) => `${host}:${port}`);
  return `${servers.join(",")}/${connection.database}`;
}

/** Whether two connections lead to one database, as far as their names tell. */
export function isSameDatabase(a: PostgresConnection, b: PostgresConnection): boolean {
  const others = serversOf(b);
  return (
    a.database === b.database &&
    serversOf(a).some(({ host, port }) => others.some((other) => other.host === host && other.port === port))
  );
}

function listOf(text: string): string[] {
  return text.split(",").map((part) => part.trim());
}
