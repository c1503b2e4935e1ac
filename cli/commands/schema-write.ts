import type { Command } from "commander";
import { throwOnErrors } from "../../shared/manifest/diagnostic.ts";
import { displayPath } from "../../shared/manifest/load.ts";
import type { CliContext } from "../context.ts";
import { withExamples } from "../help.ts";
import { addManifestOption, findManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";
import { plural } from "../report.ts";
import { addSchemasOption } from "../schema/against-options.ts";
import { schemasFolder } from "../schema/history.ts";
import { loadSchemaManifests, ownSchemas } from "../schema/own-schemas.ts";
import { writeSchemaFiles } from "../schema/schema-files.ts";

interface WriteFlags extends JsonFlag {
  manifest?: string;
  schemas?: string;
  overwrite?: boolean;
}

/** `schema write`: puts the Avro and JSON Schema of the public schemas into files. */
export function addSchemaWrite(parent: Command, context: CliContext): void {
  const command = addJsonOption(addSchemasOption(addManifestOption(parent.command("write"))))
    .description("write Avro and JSON Schema of the public schemas, to be committed; older versions stay")
    .option("--overwrite", "write a version anew that changed and was never published or merged")
    .action(async (flags: WriteFlags) => {
      const manifestFile = await findManifest(flags.manifest);
      const { schemas, diagnostics } = await ownSchemas(await loadSchemaManifests(manifestFile));
      throwOnErrors(diagnostics);
      const folder = schemasFolder({ folder: flags.schemas, manifestFile });
      const written = await writeSchemaFiles(folder, schemas, { overwrite: flags.overwrite === true });
      const text =
        written.length === 0
          ? `${displayPath(folder)} is up to date (${plural(schemas.length, "public schema")})`
          : written.map((path) => `wrote ${displayPath(folder)}/${path}`).join("\n");
      printResult(context, flags, { folder: displayPath(folder), written }, text);
    });
  withExamples(command, "schema write", "schema write --manifest rejot-workspace.json --schemas schemas");
}
