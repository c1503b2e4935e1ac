import { RejotError } from "../errors/error.ts";
import type { PostgresConnection } from "./schema.ts";

/** A connection string taken apart, and the parameters in it that are not used. */
export interface ParsedConnectionString {
  connection: PostgresConnection;
  ignoredParameters: string[];
}

const SCHEME = /^postgres(?:ql)?:\/\//;
const HOST = String.raw`(?:\[[^\]]*\]|[^:/?,]*)(?::(?:\$\{[^}]+\}|[0-9]+))?`;
const FORM = new RegExp(
  String.raw`^postgres(?:ql)?://(?:(?<user>[^:@/?]*)(?::(?<password>.*))?@)?(?<hosts>${HOST}(?:,${HOST})*)(?:/(?<database>[^?]*))?(?:\?(?<parameters>.*))?$`,
);
const HOST_PARTS = /^(?<host>\[[^\]]*\]|[^:]*)(?::(?<port>.+))?$/;

/**
 * Reads `postgres://user[:password]@host[:port][,host[:port]…]/database[?sslmode=…]` without touching references such as
 * `${PGPASSWORD}` in it. The password may be absent (peer, trust, .pgpass, IAM); the database defaults to the
 * user's name. Throws CONNECTION_STRING_INVALID, without repeating the string: it may hold a password.
 */
export function parseConnectionString(text: string): ParsedConnectionString {
  const parts = FORM.exec(text)?.groups;
  if (parts === undefined) throw invalid(text);
  const parameters = new Map(
    [...new URLSearchParams(parts.parameters ?? "")].filter(([, value]) => value !== ""),
  );
  const take = (name: string): string | undefined => {
    const value = parameters.get(name);
    parameters.delete(name);
    return value;
  };
  const user = decode(parts.user) || take("user");
  if (!user) throw new RejotError("CONNECTION_STRING_INVALID", { detail: "it names no user" });
  const password = decode(parts.password) ?? take("password");
  const { hosts, ports } = serversIn(parts.hosts ?? "");
  const port = ports ?? take("port");
  const ssl = sslOfMode(take("sslmode"));
  // What is done anyway where there are several hosts.
  if (/^(read-write|primary)$/.test(parameters.get("target_session_attrs") ?? ""))
    take("target_session_attrs");
  const host = hosts || take("host") || "localhost";
  const connection: PostgresConnection = {
    connectionType: "postgres",
    host,
    ...(port === undefined ? {} : { port: /^[0-9]+$/.test(port) ? Number(port) : port }),
    user,
    ...(password ? { password } : {}),
    database: decode(parts.database) || take("dbname") || user,
    ...(ssl === undefined ? {} : { ssl }),
  };
  return { connection, ignoredParameters: [...parameters.keys()] };
}

/** Several servers become two lists, as libpq writes them: `a,b` and, where they differ, `5432,5433`. */
function serversIn(text: string): { hosts: string; ports: string | undefined } {
  const servers = text.split(",").map((server) => HOST_PARTS.exec(server)?.groups ?? {});
  const hosts = servers.map(({ host }) => decode(host)?.replace(/^\[|\]$/g, "") ?? "").join(",");
  const ports = servers.map(({ port }) => port);
  if (ports.every((port) => port === ports[0])) return { hosts, ports: ports[0] };
  return { hosts, ports: ports.map((port) => port ?? "5432").join(",") };
}

function decode(part: string | undefined): string | undefined {
  if (part === undefined) return undefined;
  try {
    return part.replace(/\$\{[^}]+\}|[^$]+|\$/g, (piece) =>
      piece.startsWith("${") ? piece : decodeURIComponent(piece),
    );
  } catch {
    throw new RejotError("CONNECTION_STRING_INVALID", {
      detail: "a % in it is not followed by two hex digits",
    });
  }
}

/** libpq's modes: `require` encrypts without checking the certificate, `verify-*` checks it. */
function sslOfMode(mode: string | undefined): PostgresConnection["ssl"] | undefined {
  if (mode === undefined || mode === "disable" || mode === "allow" || mode === "prefer") return undefined;
  if (mode === "require" || mode === "no-verify") return { rejectUnauthorized: false };
  if (mode === "verify-ca" || mode === "verify-full") return true;
  throw new RejotError("CONNECTION_STRING_INVALID", { detail: `sslmode=${mode} is not known` });
}

function invalid(text: string): RejotError {
  return new RejotError("CONNECTION_STRING_INVALID", {
    detail: SCHEME.test(text) ? "host, port or database are malformed" : "it does not begin with postgres://",
  });
}
