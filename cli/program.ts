import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { describeError, RejotError } from "../shared/errors/error.ts";
import { ERRORS } from "../shared/errors/table.ts";
import { addCollect } from "./commands/collect.ts";
import { addManifestConnection } from "./commands/manifest-connection.ts";
import { addManifestDataStore } from "./commands/manifest-datastore.ts";
import { addManifestEventStore } from "./commands/manifest-eventstore.ts";
import { addManifestInfo } from "./commands/manifest-info.ts";
import { addManifestInit } from "./commands/manifest-init.ts";
import { addManifestSync } from "./commands/manifest-sync.ts";
import { addSchemaCheck } from "./commands/schema-check.ts";
import { addSchemaDiff } from "./commands/schema-diff.ts";
import { addSchemaList } from "./commands/schema-list.ts";
import { addSchemaRegister } from "./commands/schema-register.ts";
import { addSchemaWrite } from "./commands/schema-write.ts";
import { addWorkspace } from "./commands/workspace.ts";
import { type CliContext, Exit } from "./context.ts";
import { packageFile } from "./package-files.ts";

/**
 * Runs one command line (without node and script). Resolves with the exit code: 0 done, 1 a check failed or the
 * command could not do its work, 2 used wrongly, 3 a server was not reached. Never rejects, never prints a stack.
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  try {
    await buildProgram(context).parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof Exit) return error.exitCode;
    if (error instanceof CommanderError) return reportUsage(error, context);
    context.warn(describeError(error));
    return error instanceof RejotError ? ERRORS[error.code].exitCode : ERRORS.INTERNAL_ERROR.exitCode;
  }
}

/** All commands with their flags. */
export function buildProgram(context: CliContext): Command {
  const program = new Command("rejot-kafka")
    .description("Share data between services through SQL contracts: Postgres to Kafka to Postgres.")
    .version(packageVersion())
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => context.print(text.trimEnd()),
      writeErr: (text) => context.print(text.trimEnd()),
      // Reported below with a code and a hint, as all other errors are.
      outputError: () => {},
    });
  const manifest = program.command("manifest").description("make, change and run a manifest");
  addManifestInit(manifest, context);
  addManifestInfo(manifest, context);
  addManifestConnection(manifest, context);
  addManifestDataStore(manifest, context);
  addManifestEventStore(manifest, context);
  addManifestSync(manifest, context);
  addCollect(program, context);
  const schema = program
    .command("schema")
    .description("check, compare and register versions of public schemas");
  addSchemaCheck(schema, context);
  addSchemaDiff(schema, context);
  addSchemaWrite(schema, context);
  addSchemaRegister(schema, context);
  addSchemaList(schema, context);
  addWorkspace(program, context);
  return program;
}

/** Help that was asked for ends well; a group named without a command shows its help and is a mistake. */
function reportUsage(error: CommanderError, context: CliContext): number {
  if (error.exitCode === 0) return 0;
  if (error.code !== "commander.help") {
    const detail = error.message.replace(/^error: /, "").replaceAll("\n", " ");
    context.warn(describeError(new RejotError("USAGE", { detail })));
  }
  return ERRORS.USAGE.exitCode;
}

function packageVersion(): string {
  return (JSON.parse(readFileSync(packageFile("package.json"), "utf8")) as { version: string }).version;
}
