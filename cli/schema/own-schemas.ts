import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import type { Contract } from "../../shared/contracts/evolution/schema-change.ts";
import { type Diagnostic, diagnostic, diagnosticOfError } from "../../shared/manifest/diagnostic.ts";
import { type LoadedManifest, loadManifests } from "../../shared/manifest/load.ts";
import { publicSchemaPlace } from "../../shared/manifest/schema-place.ts";
import { checkWorkspace, type ResolvedPublicSchema } from "../../shared/manifest/workspace.ts";

/** A public schema as its manifest has it now. */
export interface OwnSchema {
  readonly loaded: LoadedManifest;
  readonly resolved: ResolvedPublicSchema;
  readonly contract: Contract;
}

/**
 * The manifests that a schema command works on: the one named, or, for a workspace's file, which has no schemas of
 * its own, all it leads to. Throws as loadManifests.
 */
export async function loadSchemaManifests(file: string): Promise<LoadedManifest[]> {
  const all = await loadManifests([file]);
  const [first, ...others] = all;
  const { publicSchemas = [], consumerSchemas = [] } = first?.manifest ?? {};
  const isWorkspace = others.length > 0 && publicSchemas.length + consumerSchemas.length === 0;
  return isWorkspace ? others : all.slice(0, 1);
}

/** The public schemas of manifests with their Avro; a diagnostic for each that has none. */
export async function ownSchemas(
  manifests: readonly LoadedManifest[],
): Promise<{ schemas: OwnSchema[]; diagnostics: Diagnostic[] }> {
  const schemas: OwnSchema[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const loaded of manifests) {
    const { publicSchemas } = await checkWorkspace([loaded]);
    for (const resolved of publicSchemas) {
      const { manifestSlug, schema, keyFields } = resolved;
      const place = publicSchemaPlace(loaded, schema);
      if (keyFields.length === 0) {
        diagnostics.push(diagnostic("KEY_NOT_FOUND", "error", place, "rejot-kafka collect --check says why"));
        continue;
      }
      try {
        const contract = avroSchemasOf({ manifestSlug, publicSchema: schema, keyFields });
        schemas.push({ loaded, resolved, contract });
      } catch (error) {
        diagnostics.push(diagnosticOfError(error, place));
      }
    }
  }
  return { schemas, diagnostics };
}

/** `customer v1.2`: what a version is called in output. */
export function versionName({ resolved: { schema } }: OwnSchema): string {
  return `${schema.name} v${schema.version.major}.${schema.version.minor}`;
}
