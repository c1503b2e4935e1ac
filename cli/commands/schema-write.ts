import type { Command } from "commander";
import { displayPath } from "../../shared/manifest/load.ts";
import { type CliContext, Exit } from "../context.ts";
import { addManifestOption, findManifest } from "../manifest-file.ts";
import { formatDiagnostic, plural } from "../report.ts";
import { addSchemasOption } from "../schema/against-options.ts";
import { schemasFolder } from "../schema/history.ts";
import { loadSchemaManifests, ownSchemas } from "../schema/own-schemas.ts";
import { writeSchemaFiles } from "../schema/schema-files.ts";

interface WriteFlags {
  manifest?: string;
  schemas?: string;
  overwrite?: boolean;
}

/** `schema write`: puts the Avro and JSON Schema of the public schemas into files. */
export function addSchemaWrite(parent: Command, context: CliContext): void {
  addSchemasOption(addManifestOption(parent.command("write")))
    .description("write Avro and JSON Schema of the public schemas, to be committed; older versions stay")
    .option("--overwrite", "write a version anew that changed and was never published or merged")
    .action(async (flags: WriteFlags) => {
      const manifestFile = await findManifest(flags.manifest);
      const { schemas, diagnostics } = await ownSchemas(await loadSchemaManifests(manifestFile));
      for (const each of diagnostics) context.warn(formatDiagnostic(each));
      if (diagnostics.length > 0) throw new Exit(1);
      const folder = schemasFolder({ folder: flags.schemas, manifestFile });
      const written = await writeSchemaFiles(folder, schemas, { overwrite: flags.overwrite === true });
      for (const path of written) context.print(`wrote ${displayPath(folder)}/${path}`);
      if (written.length === 0) {
        context.print(`${displayPath(folder)} is up to date (${plural(schemas.length, "public schema")})`);
      }
    });
}
