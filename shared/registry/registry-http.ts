import { isCertificateRefused } from "../errors/certificate.ts";
import { RejotError } from "../errors/error.ts";

/** An answer of the registry: its status and the JSON it sent, if it was JSON. */
export interface RegistryAnswer {
  status: number;
  body: unknown;
}

/**
 * Sends one request to a path of Confluent's API, or, where the path begins with `/apis/`, of Apicurio's server.
 * Throws REGISTRY_UNREACHABLE or REGISTRY_REFUSED, returns every answer that is about schemas.
 */
export type RegistryRequest = (
  method: "GET" | "POST" | "PUT" | "DELETE",
  path: string,
  body?: unknown,
) => Promise<RegistryAnswer>;

export interface RegistryHttpOptions {
  url: string;
  auth?: { username: string; password: string };
  timeoutMs: number;
}

/** Where Apicurio serves Confluent's API. */
const APICURIO_PATH = "/apis/ccompat/v7";
const MEDIA_TYPE = "application/vnd.schemaregistry.v1+json";

/**
 * A client of Confluent's REST API. The library's own client turns a refused connection into a status of 400 and can
 * wait for ever on a broken answer; this one tells the two apart and always ends.
 */
export function createRegistryRequest(options: RegistryHttpOptions): RegistryRequest {
  const { url, headers } = addressOf(options);
  let base = url.includes("/apis/") ? url : undefined;

  const send = async (method: string, address: string, body?: unknown): Promise<RegistryAnswer> => {
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(address, {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(options.timeoutMs),
      });
      text = await answer.text();
    } catch (cause) {
      const code = isCertificateRefused(cause) ? "CERTIFICATE_REFUSED" : "REGISTRY_UNREACHABLE";
      throw new RejotError(code, { detail: `${address}: ${reason(cause)}` });
    }
    return accept(answer.status, parse(text), address);
  };

  /** A bare address of Apicurio's server is completed; any other is left as it is. */
  const findBase = async (): Promise<string> => {
    if (base !== undefined) return base;
    const plain = await send("GET", `${url}/schemas/types`);
    if (plain.status !== 404) base = url;
    else {
      const apicurio = await send("GET", `${url}${APICURIO_PATH}/schemas/types`);
      if (apicurio.status === 200) base = `${url}${APICURIO_PATH}`;
    }
    return base ?? url;
  };

  return async (method, path, body) => {
    const found = await findBase();
    const root = path.startsWith("/apis/") ? found.replace(/\/apis\/.*$/s, "") : found;
    return send(method, `${root}${path}`, body);
  };
}

function addressOf(options: RegistryHttpOptions): { url: string; headers: Record<string, string> } {
  const headers: Record<string, string> = {
    accept: `${MEDIA_TYPE}, application/json`,
    "content-type": MEDIA_TYPE,
  };
  const { href, inUrl } = withoutCredentials(options.url);
  const { username, password } = options.auth ?? inUrl;
  if (username !== "") {
    headers.authorization = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  }
  return { url: href.replace(/\/+$/, ""), headers };
}

/**
 * fetch refuses addresses with credentials in them, and messages must not show them. So nothing is repeated of what
 * does not parse, nor taken for an address what has an "@" left: both may hold a password, and so may Node's error.
 */
function withoutCredentials(url: string): {
  href: string;
  inUrl: { username: string; password: string };
} {
  const parsed = URL.parse(url);
  if (parsed !== null && /^https?:$/.test(parsed.protocol)) {
    const username = decoded(parsed.username);
    const password = decoded(parsed.password);
    parsed.username = "";
    parsed.password = "";
    const { href } = parsed;
    if (username !== undefined && password !== undefined && !href.includes("@"))
      return { href, inUrl: { username, password } };
  }
  throw new RejotError("REGISTRY_REFUSED", {
    detail: "schemaRegistry.url of the connection is not a URL with http:// or https://",
    hint: "Correct schemaRegistry.url. Name and password go into schemaRegistry.auth; in the URL their /, @, :, ?, # and % are written as %2F, %40, %3A, %3F, %23 and %25.",
  });
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

function accept(status: number, body: unknown, address: string): RegistryAnswer {
  if (status >= 500 || status === 408 || status === 429) {
    throw new RejotError("REGISTRY_UNREACHABLE", {
      detail: `${address}: status ${status}, ${messageOf(body)}`,
    });
  }
  if (status === 401 || status === 403) {
    throw new RejotError("REGISTRY_REFUSED", { detail: `${address}: status ${status}, ${messageOf(body)}` });
  }
  return { status, body };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The registry's own words. */
export function messageOf(body: unknown): string {
  if (typeof body === "object" && body !== null && "message" in body) return String(body.message);
  return typeof body === "string" && body !== "" ? body.slice(0, 200) : "no message";
}

/** fetch hides what went wrong in the cause. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof AggregateError)
    return error.cause.errors.map((each) => String(each.message)).join("; ");
  return error.cause instanceof Error ? error.cause.message || error.cause.name : error.message;
}
