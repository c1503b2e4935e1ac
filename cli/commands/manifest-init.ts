import { dirname, join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import { MANIFEST_SCHEMA_FILE } from "../../shared/manifest/json-schema.ts";
import { displayPath, MANIFEST_FILE } from "../../shared/manifest/load.ts";
import { manifestSchema } from "../../shared/manifest/schema.ts";
import type { CliContext } from "../context.ts";
import { PROGRAM, withExamples } from "../help.ts";
import { exists, writeManifest } from "../manifest-file.ts";
import { addJsonOption, type JsonFlag, printResult } from "../output.ts";

interface InitFlags extends JsonFlag {
  slug: string;
  manifest: string;
}

/** `manifest init`: a new manifest; an existing file is refused. */
export function addManifestInit(parent: Command, context: CliContext): void {
  const command = addJsonOption(parent.command("init"))
    .description("make a new manifest; an existing file is not touched")
    .requiredOption(
      "--slug <slug>",
      "unique name of the manifest: lower-case letters, digits, hyphens, or @org/name",
    )
    .option("--manifest <file>", "file to make", `./${MANIFEST_FILE}`)
    .action(async (flags: InitFlags) => {
      const slug = manifestSlug(flags.slug);
      if (await exists(flags.manifest)) {
        throw new RejotError("MANIFEST_EXISTS", { detail: displayPath(flags.manifest) });
      }
      const $schema = await installedSchema(flags.manifest);
      await writeManifest(flags.manifest, {
        slug,
        manifestVersion: 0,
        ...($schema === undefined ? {} : { $schema }),
        connections: [],
        dataStores: [],
        eventStores: [],
        publicSchemas: [],
        consumerSchemas: [],
      });
      const manifest = displayPath(flags.manifest);
      printResult(context, flags, { manifest, slug }, `made ${manifest} with slug ${slug}`);
      if (!flags.json) context.warn(`next: ${PROGRAM} manifest connection add --help`);
    });
  withExamples(
    command,
    "manifest init --slug accounts",
    "manifest init --slug @shop/accounts --manifest services/accounts/rejot-manifest.json",
  );
}

/** Checks a slug given on the command line. Throws USAGE. */
export function manifestSlug(text: string): string {
  const result = manifestSchema.shape.slug.safeParse(text);
  if (result.success) return result.data;
  throw new RejotError("USAGE", { detail: `--slug "${text}": ${result.error.issues[0]?.message}` });
}

/**
 * The JSON Schema of the package that is installed above the manifest, as a path from it; undefined when there is
 * none: an editor has no use for a path into another machine's global packages.
 */
async function installedSchema(manifestFile: string): Promise<string | undefined> {
  const folder = dirname(resolve(manifestFile));
  for (let above = folder; ; above = dirname(above)) {
    const file = join(above, "node_modules", PROGRAM, MANIFEST_SCHEMA_FILE);
    if (await exists(file)) {
      const path = relative(folder, file).replaceAll("\\", "/");
      return path.startsWith(".") ? path : `./${path}`;
    }
    if (above === dirname(above)) return undefined;
  }
}
