import { type Command, Option } from "commander";
import { describeError, RejotError } from "../shared/errors/error.ts";
import { ERRORS } from "../shared/errors/table.ts";
import type { CliContext } from "./context.ts";

/** What `--json` sets. */
export interface JsonFlag {
  readonly json?: boolean;
}

/** Adds `--json` to a command that prints a result. */
export function addJsonOption(command: Command): Command {
  return command.addOption(
    new Option("--json", "print the result, and an error too, as one JSON document on stdout"),
  );
}

/** Prints a result: the value as JSON when that was asked for, else the text. */
export function printResult(
  context: CliContext,
  { json }: JsonFlag,
  value: object,
  text: string | (() => string),
): void {
  if (json) context.print(JSON.stringify(value, null, 2));
  else context.print(typeof text === "string" ? text : text());
}

/** Whether a command line asks for JSON, also one that was used so wrongly that it could not be read. */
export function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const flags = end < 0 ? args : args.slice(0, end);
  return flags.some(
    (flag, i) =>
      flag === "--json" || flag === "--format=json" || (flag === "--format" && flags[i + 1] === "json"),
  );
}

/**
 * Says why a command could not do its work: to people on stderr and, when JSON was asked for, as
 * `{"error": {code, message, hint, …}}` on stdout. Returns the exit code of the error.
 */
export function reportError(error: unknown, asJson: boolean, context: CliContext): number {
  if (asJson) context.print(JSON.stringify({ error: errorJson(error) }, null, 2));
  context.warn(describeError(error));
  return ERRORS[error instanceof RejotError ? error.code : "INTERNAL_ERROR"].exitCode;
}

function errorJson(error: unknown): object {
  if (!(error instanceof RejotError)) {
    const message = error instanceof Error ? error.message : String(error);
    return { code: "INTERNAL_ERROR", message, hint: ERRORS.INTERNAL_ERROR.hint };
  }
  const { code, message, hint, context } = error;
  const causes: string[] = [];
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) causes.push(cause.message);
  return {
    code,
    message,
    hint,
    ...(causes.length === 0 ? {} : { causes }),
    ...(Object.keys(context).length === 0 ? {} : { context }),
  };
}
