import { ERRORS, type ErrorCode, type ErrorEntry } from "./table.ts";

/** A place in a team's SQL as it was written. Line and column count from one, in characters. */
export interface SqlPlace {
  readonly line: number;
  readonly column: number;
  /** The line of the statement. */
  readonly text: string;
}

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
  /** Where in a team's SQL it is, when the parser or the server says so. */
  sql?: SqlPlace | undefined;
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
  readonly sql: SqlPlace | undefined;

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
    this.sql = details.sql;
  }
}

/** Whether trying the same thing again may help; errors that are not ours are not retryable. */
export function isRetryable(error: unknown): boolean {
  return error instanceof RejotError && error.retryable;
}

/** Whether what has worked before may work again unchanged: credentials and rights that were changed come back. */
export function isRetryableOnceWorked(error: unknown): error is RejotError {
  if (!(error instanceof RejotError)) return false;
  const entry: ErrorEntry = ERRORS[error.code];
  return error.retryable || entry.retriedOnceWorked === true;
}

/** The lines a person sees for an error: code and message, cause, hint. Never a stack trace. */
export function describeError(error: unknown): string {
  const lines: string[] = [];
  if (error instanceof RejotError) {
    lines.push(`${error.code}: ${error.message}`);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause)
      lines.push(`  cause: ${oneLine(cause)}`);
    for (const [key, value] of Object.entries(error.context)) lines.push(`  ${key}: ${value}`);
    if (error.sql !== undefined) lines.push(...describeSqlPlace(error.sql));
    lines.push(`  hint: ${error.hint}`);
    return lines.join("\n");
  }
  return `INTERNAL_ERROR: ${error instanceof Error ? oneLine(error) : String(error)}\n  hint: ${ERRORS.INTERNAL_ERROR.hint}`;
}

/** A place in SQL for a person: its numbers, the line and a mark under the character. */
export function describeSqlPlace({ line, column, text }: SqlPlace): string[] {
  const from = Math.max(0, column - 1 - SHOWN_BEFORE);
  const shown = text.slice(from, from + SHOWN_BEFORE + SHOWN_AFTER);
  // Tabs stay tabs, so that the mark stands under its character however wide a terminal draws them.
  const indent = shown.slice(0, column - 1 - from).replaceAll(/[^\t]/g, " ");
  return [`  sql: line ${line}, column ${column}`, `    ${shown}`, `    ${indent}^`];
}

const SHOWN_BEFORE = 60;
const SHOWN_AFTER = 60;

function oneLine(error: Error): string {
  if (error instanceof AggregateError && error.message === "")
    return error.errors.map((e: unknown) => String(e)).join("; ");
  return error instanceof RejotError ? `${error.code}: ${error.message}` : error.message || error.name;
}
