import { RejotError } from "../errors/error.ts";
import { ERRORS, type ErrorCode } from "../errors/table.ts";

/** One finding of a check. Checks return all of them; they never stop at the first. */
export interface Diagnostic {
  readonly code: ErrorCode;
  readonly severity: "error" | "warning" | "info";
  /** The code's title and what exactly was found. */
  readonly message: string;
  /** The file, and the place in it: `rejot-manifest.json: publicSchemas[0] "customer"`. */
  readonly location: string;
  readonly hint: string;
}

/** Makes a diagnostic; title and hint come from the error table unless given. */
export function diagnostic(
  code: ErrorCode,
  severity: Diagnostic["severity"],
  location: string,
  detail: string,
  hint: string = ERRORS[code].hint,
): Diagnostic {
  return { code, severity, message: `${ERRORS[code].title}: ${detail}`, location, hint };
}

/** An error met while checking, as a diagnostic. Errors without a code are thrown on: they are defects. */
export function diagnosticOfError(error: unknown, location: string): Diagnostic {
  if (!(error instanceof RejotError)) throw error;
  return { code: error.code, severity: "error", message: error.message, location, hint: error.hint };
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
