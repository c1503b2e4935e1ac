import { destination, type Level, type Logger, pino, stdSerializers } from "pino";

export type { Logger } from "pino";

/** The levels a log may be set to, most talkative first. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** A level of the log. */
export type LogLevel = Level | "silent";

const SECRET_KEYS = ["password", "token", "authorization", "sasl"];

const root = pino(
  {
    level: "info",
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: stdSerializers.err, error: stdSerializers.err },
    redact: {
      paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
      censor: "[redacted]",
    },
  },
  // Synchronous, so that the last lines before an exit are not lost.
  destination({ dest: 2, sync: true }),
);

const loggers = new Map<string, Logger>();

/**
 * A logger that writes JSON lines to stderr, with `name` on each line. The same name gives the same logger.
 * Log an error as `logger.error({ err }, "message")`.
 */
export function createLogger(name: string): Logger {
  let logger = loggers.get(name);
  if (logger === undefined) {
    logger = root.child({ name });
    loggers.set(name, logger);
  }
  return logger;
}

/** Sets the level of all loggers, those made before included. The default is `info`. */
export function setLogLevel(level: LogLevel): void {
  root.level = level;
  for (const logger of loggers.values()) logger.level = level;
}
