import { RejotError } from "../errors/error.ts";
import type { ErrorCode } from "../errors/table.ts";

/** What a route answers: a body in one piece, or one that is written while it is made. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | AsyncIterable<string>;
  readonly headers?: Readonly<Record<string, string>>;
}

const JSON_TYPE = "application/json; charset=utf-8";

/** An answer with a JSON body. */
export function json(status: number, value: unknown): Answer {
  return { status, contentType: JSON_TYPE, body: JSON.stringify(value) };
}

/** An answer whose JSON text is written as it comes. */
export function jsonStream(body: AsyncIterable<string>): Answer {
  return { status: 200, contentType: JSON_TYPE, body };
}

const STATUS_OF_CODE: Partial<Record<ErrorCode, number>> = {
  HTTP_ROUTE_NOT_FOUND: 404,
  HTTP_METHOD_NOT_ALLOWED: 405,
  HTTP_UNAUTHORIZED: 401,
  READ_REQUEST_INVALID: 400,
  READ_SCHEMA_UNKNOWN: 404,
};

/**
 * The answer for an error: `{error: {code, message, hint}}`, and 503 when trying again may help. What is not a
 * RejotError shows no message: it may hold what a client is not to see.
 */
export function errorAnswer(error: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  const known = error instanceof RejotError ? error : new RejotError("INTERNAL_ERROR");
  const status = STATUS_OF_CODE[known.code] ?? (known.retryable ? 503 : 500);
  const { code, message, hint } = known;
  return { ...json(status, { error: { code, message, hint } }), headers };
}
