import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { get as httpsGet } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { RejotError } from "../errors/error.ts";
import { setLogLevel } from "../observability/logger.ts";
import { createMetrics } from "../observability/metrics.ts";
import type { ReadEvent, ReadPort } from "./read/port.ts";
import { createHttpService, type HttpOptions, type HttpService } from "./server.ts";
import type { ConnectorStatus, UnitRole } from "./status.ts";

setLogLevel("silent");

/** For 127.0.0.1, valid until 2126, used nowhere but here. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUFVFXrLcFZ7vrooyUJVMXlarKHPowCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzIzMjMzOFoYDzIxMjYxMDMw
MjMyMzM4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQOzRC1V51mIIkhOUuFSc9nZOqOzW2swnSHH+JyNXsVTn7h0pt71dhV
tsPTQ30fq8At+xpcP4voDNl30wFEZGmao28wbTAdBgNVHQ4EFgQUQkaNOJkh02f8
1hu4NhkuK3rwuLgwHwYDVR0jBBgwFoAUQkaNOJkh02f81hu4NhkuK3rwuLgwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARhwR/AAABgglsb2NhbGhvc3QwCgYIKoZI
zj0EAwIDSQAwRgIhAPJUm3WQd9kwO8FljivQZZCx+cNBJZoL2P/pv9H8RxMDAiEA
tsAWYtmrKbmexYBFrklNBHENJuvl3cIChp5a9tCyqeE=
-----END CERTIFICATE-----`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+yl7Qou2AJkf4fdR
1rwqIE8ATZ+IfZsczqmnOTb0SiShRANCAAQOzRC1V51mIIkhOUuFSc9nZOqOzW2s
wnSHH+JyNXsVTn7h0pt71dhVtsPTQ30fq8At+xpcP4voDNl30wFEZGma
-----END PRIVATE KEY-----`;

const started: HttpService[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((service) => service.stop()));
});

function statusWith(...roles: UnitRole[]): ConnectorStatus {
  return {
    connector: "source",
    state: "started",
    units: roles.map((role, i) => ({
      manifestSlug: "accounts",
      dataStore: `store-${i}`,
      role,
      position: "0/16B3748",
      lagMs: 12,
      lagBytes: 100,
      lastError: null,
    })),
  };
}

function readingNothing(): ReadPort {
  return {
    async *read() {},
    close: async () => {},
    cursors: async () => [
      { schema: { manifestSlug: "accounts", name: "account", major: 1 }, transactionId: "0/16B3748" },
    ],
  };
}

async function serve(options: Partial<HttpOptions> = {}): Promise<HttpService> {
  const service = createHttpService({
    port: 0,
    status: () => statusWith("active"),
    metrics: [createMetrics("rejot_source")],
    publicSchemas: () => [],
    read: readingNothing(),
    ...options,
  });
  await service.start(new AbortController().signal);
  started.push(service);
  return service;
}

async function get(service: HttpService, path: string, init: RequestInit = {}) {
  const response = await fetch(`${service.url}${path}`, init);
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: parse(text) };
}

// biome-ignore lint/suspicious/noExplicitAny: answers of any shape are looked into
function parse(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

describe("routes", () => {
  test("GET / lists health and routes", async () => {
    const { status, body } = await get(await serve(), "/");
    expect(status).toBe(200);
    expect(body.health).toBe("ok");
    expect(body.routes).toContainEqual({ method: "GET", path: "/read" });
    expect(body.routes).toHaveLength(8);
  });

  test.each<[UnitRole[], number, number]>([
    [["active"], 200, 200],
    [["active", "standby"], 200, 200],
    [["starting"], 200, 503],
    [["active", "retrying"], 200, 503],
    [["active", "failed"], 503, 503],
  ])("roles %j: /healthz %i, /readyz %i", async (roles, healthz, readyz) => {
    const service = await serve({ status: () => statusWith(...roles) });
    expect((await get(service, "/healthz")).status).toBe(healthz);
    const ready = await get(service, "/readyz");
    expect(ready.status).toBe(readyz);
    expect(ready.body.units[0]).toEqual({
      connector: "source",
      manifestSlug: "accounts",
      dataStore: "store-0",
      role: roles[0],
      position: "0/16B3748",
      lagMs: 12,
      lagBytes: 100,
      lastError: null,
    });
  });

  test("a connector that has not started is not ready", async () => {
    const service = await serve({ status: () => ({ connector: "sink", state: "prepared", units: [] }) });
    expect((await get(service, "/readyz")).status).toBe(503);
  });

  test("/status of two connectors in one process is as far as the slower", async () => {
    const sink: ConnectorStatus = { connector: "sink", state: "prepared", units: [] };
    const service = await serve({ status: () => [statusWith("active"), sink] });
    const { body } = await get(service, "/status");
    expect(body.state).toBe("prepared");
    expect(body.units).toHaveLength(1);
  });

  test("/metrics holds the connector's, the server's and the process's metrics", async () => {
    const metrics = createMetrics("rejot_source");
    metrics.counter("events_total", "Events published", ["schema"]).inc({ schema: "account" }, 3);
    const service = await serve({ metrics: [metrics] });
    await get(service, "/nowhere");
    const { text, headers } = await get(service, "/metrics");
    expect(headers.get("content-type")).toContain("version=0.0.4");
    expect(text).toContain('rejot_source_events_total{schema="account"} 3');
    expect(text).toContain('rejot_http_request_seconds_count{route="none",status="404"} 1');
    expect(text).toContain("process_resident_memory_bytes");
  });

  test("/data-store/cursors has ReJot's form", async () => {
    const { body } = await get(await serve(), "/data-store/cursors");
    expect(body).toEqual([
      {
        schema: { manifest: { slug: "accounts" }, schema: { name: "account", version: { major: 1 } } },
        transactionId: "0/16B3748",
      },
    ]);
  });

  test("errors are JSON with a code and a hint", async () => {
    const service = await serve();
    const missing = await get(service, "/nowhere");
    expect(missing.status).toBe(404);
    expect(missing.body.error).toMatchObject({
      code: "HTTP_ROUTE_NOT_FOUND",
      hint: expect.stringMatching(/./),
    });
    const posted = await get(service, "/status", { method: "POST", body: "x".repeat(100_000) });
    expect(posted.status).toBe(405);
    expect(posted.headers.get("allow")).toBe("GET, HEAD");
    expect(posted.body.error.code).toBe("HTTP_METHOD_NOT_ALLOWED");
    const head = await get(service, "/read", { method: "HEAD" });
    expect([head.status, head.text]).toEqual([200, ""]);
  });

  test("a target that is no URL is not found", async () => {
    const { port, hostname } = new URL((await serve()).url);
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), hostname, () =>
        socket.write("GET // HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
      );
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString();
      });
      socket.on("end", () => resolve(text)).on("error", reject);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
  });

  test("an unexpected error shows nothing of itself", async () => {
    const service = await serve({
      status: () => {
        throw new Error("password=secret");
      },
    });
    const { status, text } = await get(service, "/status");
    expect(status).toBe(500);
    expect(text).toContain("INTERNAL_ERROR");
    expect(text).not.toContain("secret");
  });
});

describe("token", () => {
  test("is asked of every route but /healthz", async () => {
    const service = await serve({ token: "s3cret" });
    expect((await get(service, "/healthz")).status).toBe(200);
    for (const path of ["/", "/readyz", "/metrics", "/status", "/read", "/nowhere"]) {
      const refused = await get(service, path);
      expect([path, refused.status]).toEqual([path, 401]);
      expect(refused.headers.get("www-authenticate")).toBe("Bearer");
    }
    for (const authorization of ["Bearer wrong", "Bearer ", "s3cret", "Basic s3cret", "Bearer s3cret2"]) {
      expect((await get(service, "/status", { headers: { authorization } })).status).toBe(401);
    }
    const allowed = await get(service, "/status", { headers: { authorization: "Bearer s3cret" } });
    expect(allowed.status).toBe(200);
  });
});

describe("/read", () => {
  const operation = {
    type: "insert" as const,
    sourceManifestSlug: "accounts",
    sourcePublicSchema: { name: "account", version: { major: 1, minor: 0 } },
    object: { id: 1 },
  };

  test("groups events into transactions", async () => {
    const read: ReadPort = {
      ...readingNothing(),
      async *read() {
        yield { transactionId: "0/1", begins: true, operation };
        yield { transactionId: "0/1", begins: false, operation };
        yield { transactionId: "0/2", begins: true, operation };
      },
    };
    const { status, body } = await get(await serve({ read }), "/read");
    expect(status).toBe(200);
    expect(body).toEqual([
      { transactionId: "0/1", operations: [operation, operation] },
      { transactionId: "0/2", operations: [operation] },
    ]);
    expect((await get(await serve(), "/read")).body).toEqual([]);
  });

  test("an error before the first event has a status of its own", async () => {
    const failing = (code: "READ_UNAVAILABLE" | "READ_SCHEMA_UNKNOWN"): ReadPort => ({
      ...readingNothing(),
      // biome-ignore lint/correctness/useYield: fails before it yields
      async *read(): AsyncGenerator<ReadEvent> {
        throw new RejotError(code);
      },
    });
    expect((await get(await serve({ read: failing("READ_UNAVAILABLE") }), "/read")).status).toBe(503);
    expect((await get(await serve({ read: failing("READ_SCHEMA_UNKNOWN") }), "/read")).status).toBe(404);
    expect((await get(await serve(), "/read?limit=0")).body.error.code).toBe("READ_REQUEST_INVALID");
  });

  test("an error in the middle breaks the connection: half an answer never looks whole", async () => {
    const read: ReadPort = {
      ...readingNothing(),
      async *read() {
        for (let i = 0; i < 5000; i++) yield { transactionId: "0/1", begins: i === 0, operation };
        throw new RejotError("READ_UNAVAILABLE");
      },
    };
    await expect(get(await serve({ read }), "/read")).rejects.toThrow();
  });

  test("a client that goes away ends the reading", async () => {
    const ended = Promise.withResolvers<void>();
    const read: ReadPort = {
      ...readingNothing(),
      async *read(_request, signal) {
        signal.addEventListener("abort", () => ended.resolve());
        while (!signal.aborted) {
          yield { transactionId: "0/1", begins: false, operation };
        }
      },
    };
    const service = await serve({ read });
    const abort = new AbortController();
    const response = await fetch(`${service.url}/read`, { signal: abort.signal });
    expect(response.status).toBe(200);
    abort.abort();
    await ended.promise;
  });
});

describe("listening", () => {
  test("is on loopback unless told otherwise", async () => {
    const service = await serve();
    expect(new URL(service.url).hostname).toBe("127.0.0.1");
  });

  test("a taken port is a coded error", async () => {
    const { port } = new URL((await serve()).url);
    await expect(serve({ port: Number(port) })).rejects.toMatchObject({ code: "HTTP_LISTEN_FAILED" });
  });

  test("missing certificate files are a coded error", async () => {
    await expect(serve({ tls: { certPath: "/nowhere", keyPath: "/nowhere" } })).rejects.toMatchObject({
      code: "HTTP_TLS_INVALID",
    });
  });

  test("with certificate and key it speaks HTTPS, and nothing else", async () => {
    const directory = await mkdtemp(join(tmpdir(), "rejot-http-"));
    const [certPath, keyPath] = [join(directory, "cert.pem"), join(directory, "key.pem")];
    await Promise.all([writeFile(certPath, CERTIFICATE), writeFile(keyPath, KEY)]);
    try {
      const service = await serve({ tls: { certPath, keyPath } });
      expect(service.url).toMatch(/^https:/);
      const status = await new Promise((resolve, reject) => {
        httpsGet(`${service.url}/healthz`, { ca: CERTIFICATE, agent: false }, (response) => {
          response.resume();
          resolve(response.statusCode);
        }).on("error", reject);
      });
      expect(status).toBe(200);
      await expect(fetch(service.url.replace("https:", "http:"))).rejects.toThrow();
      const swapped = serve({ tls: { certPath: keyPath, keyPath: certPath } });
      await expect(swapped).rejects.toMatchObject({ code: "HTTP_TLS_INVALID" });
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test("stop finishes the answer in progress and refuses new connections", async () => {
    const gate = Promise.withResolvers<void>();
    const read: ReadPort = {
      ...readingNothing(),
      // biome-ignore lint/correctness/useYield: answers an empty list
      async *read(): AsyncGenerator<ReadEvent> {
        await gate.promise;
      },
    };
    const service = await serve({ read });
    const answer = get(service, "/read");
    await get(service, "/healthz");
    const stopped = service.stop();
    gate.resolve();
    expect((await answer).status).toBe(200);
    await stopped;
    const { port, hostname } = new URL(service.url);
    const refused = await new Promise<boolean>((resolve) => {
      const socket = connect(Number(port), hostname);
      socket.on("connect", () => resolve(false));
      socket.on("error", () => resolve(true));
    });
    expect(refused).toBe(true);
  });
});
