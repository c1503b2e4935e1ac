import { RejotError } from "../../shared/errors/error.ts";
import {
  type ConnectOptions,
  isOverdue,
  isTransientPostgresError,
  postgresError,
  sqlState,
} from "../../shared/postgres/client.ts";

/** A query may take this long however short the time is that locks are waited for. */
const LEAST_QUERY_MS = 10_000;
/** How much later than the server's own limit an answer may come. */
const ANSWER_MARGIN_MS = 5_000;

const OUT_OF_TIME = new Set(["55P03", "57014"]);

/** Limits of a session: neither a lock nor a server that has fallen silent may hold a comparison for ever. */
export function answerLimits(
  timeoutMs: number,
): Required<Pick<ConnectOptions, "settings" | "queryTimeoutMs">> {
  const queryMs = Math.max(timeoutMs, LEAST_QUERY_MS);
  return {
    settings: { lock_timeout: String(timeoutMs), statement_timeout: String(queryMs) },
    queryTimeoutMs: queryMs + ANSWER_MARGIN_MS,
  };
}

/**
 * What the server says against a value: a type, a domain or a function does not take it. Undefined when the failure
 * lies in the server, the connection (classes 08, 25, 28, 3D, 40, 53, 55, 57, 58) or the statement itself (42).
 */
export function unfitReason(error: unknown): string | undefined {
  const state = sqlState(error);
  if (state === undefined || /^(08|25|28|3D|40|42|53|55|57|58)/.test(state)) return undefined;
  return (error as Error).message;
}

/** An error of a session with a code: POSTGRES_UNREACHABLE only where the server gave no answer at all. */
export function answerError(error: unknown, what: string): RejotError {
  if (error instanceof RejotError) return error;
  const state = sqlState(error);
  const detail = `${what}: ${error instanceof Error ? error.message : String(error)}`;
  if (isOverdue(error) || OUT_OF_TIME.has(state ?? ""))
    return new RejotError("VERIFY_TIMEOUT", { detail, cause: error });
  if (state === undefined || /^(28|3D|42501)/.test(state)) return postgresError(error, what);
  const code = isTransientPostgresError(error) ? "VERIFY_INTERRUPTED" : "VERIFY_REFUSED";
  return new RejotError(code, { detail, cause: error, context: { sqlState: state } });
}
