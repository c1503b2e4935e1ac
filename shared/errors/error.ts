import { ERRORS, type ErrorCode } from "./table.ts";

/** What an error may carry beside its code: values for the message, the cause, and where it happened. */
export interface ErrorDetails {
  /** What exactly happened, in one sentence; it follows the code's title in the message. */
  detail?: string;
  /** What to do about it; defaults to the hint of the error table. */
  hint?: string;
  /** The error that led to this one. */
  cause?: unknown;
  /** Named values for logs and status pages: topic, offset, key, table, sql state. */
  context?: Record<string, string | number | boolean | null>;
}

/**
 * The one error type of the product. The code says what went wrong (docs/errors.md lists all of them),
 * `retryable` whether trying again without a human can help.
 */
export class RejotError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retryable: boolean;
  readonly context: Record<string, string | number | boolean | null>;
  /** The message without the code's title, for a message around it. */
  readonly detail: string;

  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    const entry = ERRORS[code];
    super(
      details.detail === undefined ? entry.title : `${entry.title}: ${details.detail}`,
      details.cause === undefined ? {} : { cause: details.cause },
    );
    this.name = "RejotError";
    this.code = code;
    this.hint = details.hint ?? entry.hint;
    this.retryable = entry.retryable;
    this.context = details.context ?? {};
    this.detail = details.detail ?? entry.title;
  }
}

/** Whether trying the same thing again may help; errors that are not ours are not retryable. */
export function isRetryable(error: unknown): boolean {
  return error instanceof RejotError && error.retryable;
}

/** The lines a person sees for an error: code and message, cause, hint. Never a stack trace. */
export function describeError(error: unknown): string {
  const lines: string[] = [];
  if (error instanceof RejotError) {
    lines.push(`${error.code}: ${error.message}`);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause)
      lines.push(`  cause: ${oneLine(cause)}`);
    for (const [key, value] of Object.entries(error.context)) lines.push(`  ${key}: ${value}`);
    lines.push(`  hint: ${error.hint}`);
    return lines.join("\n");
  }
  return `INTERNAL_ERROR: ${error instanceof Error ? oneLine(error) : String(error)}\n  hint: ${ERRORS.INTERNAL_ERROR.hint}`;
}

function oneLine(error: Error): string {
  if (error instanceof AggregateError && error.message === "")
    return error.errors.map((e: unknown) => String(e)).join("; ");
  return error instanceof RejotError ? `${error.code}: ${error.message}` : error.message || error.name;
}
