import type { Command } from "commander";
import { RejotError } from "../../shared/errors/error.ts";
import { displayPath, MANIFEST_FILE } from "../../shared/manifest/load.ts";
import { manifestSchema } from "../../shared/manifest/schema.ts";
import type { CliContext } from "../context.ts";
import { exists, writeManifest } from "../manifest-file.ts";

/** `manifest init`: a new manifest; an existing file is refused. */
export function addManifestInit(parent: Command, context: CliContext): void {
  parent
    .command("init")
    .description("make a new manifest; an existing file is not touched")
    .requiredOption(
      "--slug <slug>",
      "unique name of the manifest: lower-case letters, digits, hyphens, or @org/name",
    )
    .option("--manifest <file>", "file to make", `./${MANIFEST_FILE}`)
    .action(async (options: { slug: string; manifest: string }) => {
      const slug = manifestSlug(options.slug);
      if (await exists(options.manifest)) {
        throw new RejotError("MANIFEST_EXISTS", { detail: displayPath(options.manifest) });
      }
      await writeManifest(options.manifest, {
        slug,
        manifestVersion: 0,
        connections: [],
        dataStores: [],
        eventStores: [],
        publicSchemas: [],
        consumerSchemas: [],
      });
      context.print(`made ${displayPath(options.manifest)} with slug ${slug}`);
    });
}

/** Checks a slug given on the command line. Throws USAGE. */
export function manifestSlug(text: string): string {
  const result = manifestSchema.shape.slug.safeParse(text);
  if (result.success) return result.data;
  throw new RejotError("USAGE", { detail: `--slug "${text}": ${result.error.issues[0]?.message}` });
}
