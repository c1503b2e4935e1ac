import type { Command } from "commander";
import type { Diagnostic } from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import type { CliContext } from "../context.ts";
import { addManifestOption } from "../manifest-file.ts";
import { type History, openHistory } from "./history.ts";
import { loadSchemaManifests, type OwnSchema, ownSchemas } from "./own-schemas.ts";

/** Flags of the commands that compare. */
export interface AgainstFlags {
  manifest?: string;
  schemas?: string;
  against?: string[];
}

/** Adds `--schemas` to a command. */
export function addSchemasOption(command: Command): Command {
  return command.option(
    "--schemas <folder>",
    "the folder of schema files (default: schemas beside the manifest)",
  );
}

/** Adds `--manifest`, `--schemas` and `--against` to a command. */
export function addAgainstOptions(command: Command): Command {
  return addSchemasOption(addManifestOption(command)).option(
    "--against <what>",
    "what to compare with: schemas (the files), git:<ref>, registry; repeatable (default: schemas)",
    (what: string, earlier: string[] = []) => [...earlier, ...what.split(",").map((each) => each.trim())],
  );
}

/** What is compared, and with what. */
export interface Opened {
  readonly manifestFile: string;
  readonly manifests: readonly LoadedManifest[];
  readonly schemas: OwnSchema[];
  readonly histories: History[];
  readonly diagnostics: Diagnostic[];
}

/** The public schemas of the manifests, and what `--against` names. Throws as loadManifests and openHistory. */
export async function openAgainst(
  manifestFile: string,
  flags: AgainstFlags,
  context: CliContext,
): Promise<Opened> {
  const manifests = await loadSchemaManifests(manifestFile);
  const { schemas, diagnostics } = await ownSchemas(manifests);
  const histories: History[] = [];
  for (const name of new Set(flags.against ?? ["schemas"])) {
    const options = { manifestFile, manifests, folder: flags.schemas, env: context.env };
    histories.push(await openHistory(name, options));
  }
  return { manifestFile, manifests, schemas, histories, diagnostics };
}
