import type { Command } from "commander";
import { manifestJsonSchemaText } from "../../shared/manifest/json-schema.ts";
import type { CliContext } from "../context.ts";
import { withExamples } from "../help.ts";
import { addJsonOption } from "../output.ts";

/** `manifest schema`: the JSON Schema of manifests, for editors that have no copy of this package. */
export function addManifestSchema(parent: Command, context: CliContext): void {
  const command = addJsonOption(parent.command("schema"))
    .description("print the JSON Schema of manifests, by which editors complete and check them")
    .action(() => context.print(manifestJsonSchemaText().trimEnd()));
  withExamples(command, "manifest schema > rejot-manifest.schema.json");
}
