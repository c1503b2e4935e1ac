import { RejotError, type SqlPlace } from "../errors/error.ts";
import { ERRORS, type ErrorCode } from "../errors/table.ts";
import { displayPath } from "./load.ts";

/** Where a finding stands: for a person, and for an editor or an annotation in a pull request. */
export interface Place {
  /** File, line if it is known, and the part: `schemas.ts:12: public schema "customer" v1`. */
  readonly location: string;
  /** Absolute path of the file that defines what is wrong. */
  readonly file?: string;
  /** Line and column in `file`, counted from one. */
  readonly line?: number;
  readonly column?: number;
}

/** One finding of a check. Checks return all of them; they never stop at the first. */
export interface Diagnostic extends Place {
  readonly code: ErrorCode;
  readonly severity: "error" | "warning" | "info";
  /** The code's title and what exactly was found. */
  readonly message: string;
  readonly hint: string;
  /** Slug of the manifest it concerns, where several are checked together. */
  readonly manifest?: string;
  /** Where in the schema's SQL, when the parser or the server says so. */
  readonly sql?: SqlPlace;
}

/** The place of a part of a file; `line` and `column` where they are known. */
export function placeIn(at: { file: string; line?: number; column?: number }, part: string): Place {
  const line = at.line === undefined ? "" : `:${at.line}`;
  return { location: `${displayPath(at.file)}${line}: ${part}`, ...at };
}

/** Makes a diagnostic; title and hint come from the error table unless given. */
export function diagnostic(
  code: ErrorCode,
  severity: Diagnostic["severity"],
  place: string | Place,
  detail: string,
  hint: string = ERRORS[code].hint,
): Diagnostic {
  return { code, severity, message: `${ERRORS[code].title}: ${detail}`, ...asPlace(place), hint };
}

/**
 * An error met while checking, as a diagnostic. Where the error knows the position in the SQL, the message says it.
 * Errors without a code are thrown on: they are defects.
 */
export function diagnosticOfError(error: unknown, place: string | Place): Diagnostic {
  if (!(error instanceof RejotError)) throw error;
  const { code, hint, sql } = error;
  const message =
    sql === undefined
      ? error.message
      : `${error.message} (line ${sql.line}, column ${sql.column} of the SQL)`;
  return {
    code,
    severity: "error",
    message,
    ...asPlace(place),
    hint,
    ...(sql === undefined ? {} : { sql }),
  };
}

function asPlace(place: string | Place): Place {
  return typeof place === "string" ? { location: place } : place;
}

/**
 * Throws when a check found errors: the error has the code of the first finding and names all of them.
 * Warnings pass.
 */
export function throwOnErrors(diagnostics: readonly Diagnostic[]): void {
  const errors = diagnostics.filter((d) => d.severity === "error");
  const first = errors[0];
  if (first === undefined) return;
  const others = errors.slice(1).map((d) => `\n  also ${d.code}: ${d.message} (${d.location})`);
  const title = `${ERRORS[first.code].title}: `;
  const detail = first.message.startsWith(title) ? first.message.slice(title.length) : first.message;
  throw new RejotError(first.code, {
    detail: `${detail} (${first.location})${others.join("")}`,
    hint: first.hint,
  });
}
