import { Command, CommanderError } from "commander";
import { RejotError } from "../shared/errors/error.ts";
import { addBackfill } from "./commands/backfill.ts";
import { addCollect } from "./commands/collect.ts";
import { addCompletion } from "./commands/completion.ts";
import { addDeadLetters } from "./commands/dead-letters.ts";
import { addManifestConnection } from "./commands/manifest-connection.ts";
import { addManifestDataStore } from "./commands/manifest-datastore.ts";
import { addManifestEventStore } from "./commands/manifest-eventstore.ts";
import { addManifestInfo } from "./commands/manifest-info.ts";
import { addManifestInit } from "./commands/manifest-init.ts";
import { addManifestSchema } from "./commands/manifest-schema.ts";
import { addManifestSync } from "./commands/manifest-sync.ts";
import { addSchemaCheck } from "./commands/schema-check.ts";
import { addSchemaDeprecate } from "./commands/schema-deprecate.ts";
import { addSchemaDiff } from "./commands/schema-diff.ts";
import { addSchemaList } from "./commands/schema-list.ts";
import { addSchemaRegister } from "./commands/schema-register.ts";
import { addSchemaRegisterConsumers } from "./commands/schema-register-consumers.ts";
import { addSchemaRemove } from "./commands/schema-remove.ts";
import { addSchemaWrite } from "./commands/schema-write.ts";
import { addVerify } from "./commands/verify.ts";
import { addWorkspace } from "./commands/workspace.ts";
import { COMPLETE, printCandidates } from "./completion/print-candidates.ts";
import { type CliContext, Exit } from "./context.ts";
import { PROGRAM, withExamples } from "./help.ts";
import { asksForJson, reportError } from "./output.ts";
import { packageVersion } from "./package-files.ts";
import { rejotOnlyError, withoutColons } from "./rejot-only.ts";

/**
 * Runs one command line (without node and script). Resolves with the exit code: 0 done, 1 a check failed or the
 * command could not do its work, 2 used wrongly, 3 a server was not reached. Never rejects, never prints a stack.
 */
export async function runCli(given: readonly string[], context: CliContext): Promise<number> {
  const args = withoutColons(given);
  if (args[0] === COMPLETE) return printCandidates(buildProgram(context), args.slice(1), context);
  try {
    await buildProgram(context).parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof Exit) return error.exitCode;
    if (!(error instanceof CommanderError)) return reportError(error, asksForJson(args), context);
    if (error.exitCode === 0) return 0;
    return reportError(rejotOnlyError(args) ?? usageError(error, args), asksForJson(args), context);
  }
}

/** All commands with their flags. */
export function buildProgram(context: CliContext): Command {
  const program = new Command(PROGRAM)
    .description("Share data between services through SQL contracts: Postgres to Kafka to Postgres")
    .version(packageVersion())
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => context.print(text.trimEnd()),
      writeErr: (text) => context.warn(text.trimEnd()),
      // Reported below with a code and a hint, as all other errors are.
      outputError: () => {},
    });
  withExamples(
    program,
    "manifest init --slug accounts",
    "collect --check --write ./schemas.ts",
    "manifest sync .",
  );
  const manifest = program.command("manifest").description("make, change and run a manifest");
  withExamples(manifest, "manifest init --slug accounts", "manifest info");
  addManifestInit(manifest, context);
  addManifestInfo(manifest, context);
  addManifestConnection(manifest, context);
  addManifestDataStore(manifest, context);
  addManifestEventStore(manifest, context);
  addManifestSync(manifest, context);
  addManifestSchema(manifest, context);
  addCollect(program, context);
  const schema = program
    .command("schema")
    .description("check, compare and register versions of public schemas");
  withExamples(schema, "schema check --against git:origin/main", "schema write");
  addSchemaCheck(schema, context);
  addSchemaDiff(schema, context);
  addSchemaWrite(schema, context);
  addSchemaRegister(schema, context);
  addSchemaRegisterConsumers(schema, context);
  addSchemaList(schema, context);
  addSchemaDeprecate(schema, context);
  addSchemaRemove(schema, context);
  addBackfill(program, context);
  addDeadLetters(program, context);
  addVerify(program, context);
  addWorkspace(program, context);
  addCompletion(program, context);
  return program;
}

/** What commander finds wrong; a group that is named without a command has shown its help already. */
function usageError(error: CommanderError, args: readonly string[]): RejotError {
  if (error.code === "commander.help") {
    return new RejotError("USAGE", { detail: `${[PROGRAM, ...args].join(" ")}: a command is missing` });
  }
  return new RejotError("USAGE", { detail: error.message.replace(/^error: /, "").replaceAll("\n", " ") });
}
