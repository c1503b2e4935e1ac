import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { RejotError } from "../errors/error.ts";
import type { Service } from "../lifecycle/service.ts";
import { createLogger } from "../observability/logger.ts";
import { createMetrics, createProcessMetrics } from "../observability/metrics.ts";
import { type Answer, errorAnswer } from "./answer.ts";
import { carriesToken } from "./bearer-token.ts";
import { connectorRoutes, type Route, type RouteSources } from "./routes.ts";

/** Where the server listens and whom it answers. */
export interface HttpOptions extends RouteSources {
  /** Address to listen on. Default 127.0.0.1: reachable from this machine only. */
  readonly host?: string;
  /** Default 3000; 0 takes a free one. */
  readonly port?: number;
  /** Asked of every request but GET /healthz, as `Authorization: Bearer <token>`. */
  readonly token?: string;
  /** Paths of PEM files; with them the server speaks HTTPS only. */
  readonly tls?: { readonly certPath: string; readonly keyPath: string };
}

/** The HTTP server of a connector. */
export interface HttpService extends Service {
  /** Base URL, once started: with the port that was taken when 0 was asked for. */
  readonly url: string;
}

const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_PORT = 3000;
/** Cursors of /read stand in the request line; node's 16 KiB hold about a hundred. */
const MAX_HEADER_BYTES = 64 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 10_000;
/** A client that takes none of the answer for this long is cut off. */
const STALLED_SOCKET_MS = 60_000;
/** Answers in progress may take this long once the server stops. */
const DRAIN_MS = 5_000;
const LATENCY_BUCKETS_S = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10];

const logger = createLogger("http");

/** Makes the HTTP server; it closes `read` when it stops. Starting throws HTTP_LISTEN_FAILED or HTTP_TLS_INVALID. */
export function createHttpService(options: HttpOptions): HttpService {
  return new HttpServer(options);
}

class HttpServer implements HttpService {
  readonly name = "http";
  /** Never settles: the server ends only when it is stopped. */
  readonly done = new Promise<void>(() => {});
  readonly #options: HttpOptions;
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #requestMetrics = createMetrics("rejot_http");
  #server: Server | undefined;
  #url = "";
  #stopping = false;

  constructor(options: HttpOptions) {
    this.#options = options;
    const metrics = [...options.metrics, this.#requestMetrics, createProcessMetrics("rejot")];
    const routes = connectorRoutes({ ...options, metrics });
    this.#routes = new Map(routes.map((route) => [route.path, route]));
  }

  get url(): string {
    return this.#url;
  }

  async start(signal: AbortSignal): Promise<void> {
    const { host = DEFAULT_HOST, port = DEFAULT_PORT, tls, token } = this.#options;
    const server = await this.#createServer();
    this.#server = server;
    signal.addEventListener("abort", () => server.closeAllConnections(), { once: true });
    await listen(server, host, port);
    const address = server.address() as AddressInfo;
    const shown = host.includes(":") ? `[${host}]` : host;
    this.#url = `${tls === undefined ? "http" : "https"}://${shown}:${address.port}`;
    logger.info({ url: this.#url }, "listening");
    if (token === undefined && !isLoopback(address.address)) {
      logger.warn({ url: this.#url }, "every host that reaches this port can read all events: set a token");
    }
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server?.listening === true) {
      this.#stopping = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const cutOff = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
      await closed;
      clearTimeout(cutOff);
    }
    await this.#options.read.close();
  }

  async #createServer(): Promise<Server> {
    const settings = {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    };
    const listener = (request: IncomingMessage, response: ServerResponse) => {
      this.#serve(request, response).catch((error: unknown) => {
        logger.error({ err: error }, "answering failed");
        response.destroy();
      });
    };
    const { tls } = this.#options;
    if (tls === undefined) return this.#limit(createServer(settings, listener));
    try {
      const [cert, key] = await Promise.all([readFile(tls.certPath), readFile(tls.keyPath)]);
      return this.#limit(createTlsServer({ ...settings, cert, key, minVersion: "TLSv1.2" }, listener));
    } catch (cause) {
      throw new RejotError("HTTP_TLS_INVALID", { detail: `${tls.certPath}, ${tls.keyPath}`, cause });
    }
  }

  #limit(server: Server): Server {
    server.timeout = STALLED_SOCKET_MS;
    return server;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAt = performance.now();
    const gone = new AbortController();
    response.on("close", () => gone.abort(new DOMException("the client is gone", "AbortError")));
    // The routes take no body; one that is sent is read and dropped so that the connection stays usable.
    request.resume();
    const { path, query } = target(request.url ?? "/");
    const route = this.#routes.get(path);
    try {
      const answer = await this.#answer(request, route, query, gone.signal);
      await send(request, response, answer);
    } catch (error) {
      if (gone.signal.aborted) return;
      logFailure(error, path);
      if (response.headersSent) response.destroy();
      else await send(request, response, errorAnswer(error, errorHeaders(error)));
    } finally {
      this.#observe(route, response.statusCode, performance.now() - startedAt);
      // A connection that is kept alive after the last answer would hold up stopping until it times out.
      if (this.#stopping) setImmediate(() => this.#server?.closeIdleConnections());
    }
  }

  async #answer(
    request: IncomingMessage,
    route: Route | undefined,
    query: URLSearchParams,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { token } = this.#options;
    if (token !== undefined && route?.open !== true && !carriesToken(request.headers.authorization, token)) {
      throw new RejotError("HTTP_UNAUTHORIZED");
    }
    if (route === undefined) throw new RejotError("HTTP_ROUTE_NOT_FOUND");
    if (request.method !== "GET" && request.method !== "HEAD")
      throw new RejotError("HTTP_METHOD_NOT_ALLOWED");
    return route.answer(query, signal);
  }

  #observe(route: Route | undefined, status: number, durationMs: number): void {
    // Paths that are no routes are one label: a scanner must not grow the set of series.
    const labels = { route: route?.path ?? "none", status: String(status) };
    this.#requestMetrics
      .histogram("request_seconds", "Time to answer a request", ["route", "status"], LATENCY_BUCKETS_S)
      .observe(labels, durationMs / 1000);
  }
}

async function send(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  const headers = {
    "content-type": answer.contentType,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...answer.headers,
  };
  if (typeof answer.body === "string") {
    response.writeHead(answer.status, { ...headers, "content-length": Buffer.byteLength(answer.body) });
    response.end(answer.body);
    return;
  }
  const pieces = answer.body[Symbol.asyncIterator]();
  // The status is sent with the first piece: until then, an error still gets a status of its own.
  const first = await pieces.next();
  response.writeHead(answer.status, headers);
  if (request.method === "HEAD") {
    await pieces.return?.();
    response.end();
    return;
  }
  await pipeline(Readable.from(withFirst(first, pieces)), response);
}

async function* withFirst(
  first: IteratorResult<string>,
  rest: AsyncIterator<string>,
): AsyncGenerator<string> {
  try {
    for (let next = first; next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

/** Path and query of a request; a target that is no URL is a path that no route has. */
function target(url: string): { path: string; query: URLSearchParams } {
  const parsed = URL.parse(url, "http://localhost");
  return { path: parsed?.pathname ?? url, query: parsed?.searchParams ?? new URLSearchParams() };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) =>
      reject(new RejotError("HTTP_LISTEN_FAILED", { detail: `${host}:${port}: ${cause.message}`, cause })),
    );
    server.listen(port, host, () => resolve());
  });
}

function isLoopback(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}

function errorHeaders(error: unknown): Record<string, string> {
  if (!(error instanceof RejotError)) return {};
  if (error.code === "HTTP_METHOD_NOT_ALLOWED") return { allow: "GET, HEAD" };
  return error.code === "HTTP_UNAUTHORIZED" ? { "www-authenticate": "Bearer" } : {};
}

function logFailure(error: unknown, path: string): void {
  if (error instanceof RejotError && !error.retryable) logger.debug({ path, code: error.code }, "refused");
  else logger.error({ err: error, path }, "a request failed");
}
