import { z } from "zod";
import { RejotError } from "../errors/error.ts";
import type { HttpOptions } from "../http/server.ts";
import { LOG_LEVELS, type LogLevel } from "../observability/logger.ts";
import { integer, type Setting, type SettingValues } from "../settings/settings.ts";

/** Settings that every connector process has, whatever it connects. */
export const processSettings = {
  hostname: {
    schema: z.string(),
    default: "127.0.0.1",
    description:
      "Address the HTTP server listens on. Others than this machine's own should come with a token and TLS.",
  },
  apiPort: {
    schema: integer(0, 65_535),
    default: 3000,
    description: "TCP port of the HTTP server; 0 takes a free one.",
  },
  apiToken: {
    schema: z.string().min(8),
    default: undefined,
    description:
      "Bearer token that every route but /healthz asks for. Better given as a variable than as a flag.",
  } as Setting<string | undefined>,
  tlsCert: {
    schema: z.string(),
    default: undefined,
    description: "Path of a PEM certificate; with tls-key, the server speaks HTTPS only.",
  } as Setting<string | undefined>,
  tlsKey: {
    schema: z.string(),
    default: undefined,
    description: "Path of the certificate's PEM key.",
  } as Setting<string | undefined>,
  logLevel: {
    schema: z.enum(LOG_LEVELS),
    default: "info",
    description: "How much is logged to stderr, as JSON lines.",
  } as Setting<LogLevel>,
  stopDeadlineMs: {
    schema: integer(100, 600_000),
    default: 30_000,
    description: "Milliseconds a stop may take before the process gives up on it and exits 1.",
  },
} satisfies Record<string, Setting<unknown>>;

/** Values of `processSettings`. */
export type ProcessSettings = SettingValues<typeof processSettings>;

/** The part of them that the HTTP server takes. Throws CONFIG_INVALID when half of the TLS settings is missing. */
export function listenOptions(values: ProcessSettings): Pick<HttpOptions, "host" | "port" | "token" | "tls"> {
  const { hostname, apiPort, apiToken, tlsCert, tlsKey } = values;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new RejotError("CONFIG_INVALID", { detail: "of tls-cert and tls-key only one is set" });
  }
  return {
    host: hostname,
    port: apiPort,
    ...(apiToken === undefined ? {} : { token: apiToken }),
    ...(tlsCert === undefined || tlsKey === undefined ? {} : { tls: { certPath: tlsCert, keyPath: tlsKey } }),
  };
}
