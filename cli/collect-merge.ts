import { dirname, relative, resolve, sep } from "node:path";
import { DefinitionPlaces, type FilePlace } from "../shared/manifest/definition-places.ts";
import { type Diagnostic, diagnostic, placeIn } from "../shared/manifest/diagnostic.ts";
import type { ConsumerSchema, Manifest, PublicSchema } from "../shared/manifest/schema.ts";
import { consumerSchemaName, publicSchemaName } from "../shared/manifest/schema-place.ts";
import { type CollectedSchemas, definitionOf } from "./schema-files.ts";

/** A manifest with the collected schemas in it, and what changed. */
export interface MergedManifest {
  readonly manifest: Manifest;
  readonly publicSchemas: readonly PublicSchema[];
  readonly consumerSchemas: readonly ConsumerSchema[];
  /** Names of schemas whose file no longer creates them. */
  readonly removed: readonly string[];
  readonly diagnostics: readonly Diagnostic[];
  /** Where all of it is defined. */
  readonly places: DefinitionPlaces;
}

/**
 * Puts collected schemas into a manifest. A collected file says all about the schemas it defines: what it no longer
 * creates is removed, as `isCollected` tells of a file's absolute path; schemas of other files and those without a
 * file, which were written by hand, stay. The result is in the order of names and versions, so that the
 * same code gives the same bytes.
 */
export function mergeSchemas(
  manifest: Manifest,
  manifestFile: string,
  collected: CollectedSchemas,
  isCollected: (file: string) => boolean = (file) => collected.files.has(file),
): MergedManifest {
  const folder = dirname(manifestFile);
  const name = (file: string) => relative(folder, file).split(sep).join("/");
  const diagnostics: Diagnostic[] = [];
  const calls = new Map<PublicSchema | ConsumerSchema, readonly FilePlace[]>();
  const publicSchemas = new Map<string, PublicSchema>();
  const consumerSchemas = new Map<string, ConsumerSchema>();
  for (const created of collected.schemas) {
    const places = definitionOf(created);
    const [place] = places;
    const definition = place === undefined ? {} : { definitionFile: name(place.file) };
    const at = (part: string) => (place === undefined ? part : placeIn(place, part));
    if (created.kind === "public") {
      const { deprecated } = (manifest.publicSchemas ?? []).find(isSameMajor(created.schema)) ?? {};
      // What was decided on the command line must not be lost with the next run, nor stay unseen in the code.
      const isKept = created.schema.deprecated === undefined && deprecated !== undefined;
      const schema = inOrder(isKept ? { ...created.schema, deprecated } : created.schema, definition);
      const id = publicId(schema);
      if (isKept) {
        const detail = `add deprecated: ${JSON.stringify(deprecated)} to ${id}`;
        diagnostics.push(
          diagnostic("SCHEMA_DEPRECATION_KEPT", "warning", at(publicSchemaName(schema)), detail),
        );
      }
      if (publicSchemas.has(id))
        diagnostics.push(diagnostic("DUPLICATE_PUBLIC_SCHEMA", "error", at(publicSchemaName(schema)), id));
      publicSchemas.set(id, schema);
      calls.set(schema, places);
    } else {
      const schema = inOrder(created.schema, definition);
      const id = `"${schema.name}"`;
      if (consumerSchemas.has(schema.name))
        diagnostics.push(
          diagnostic("DUPLICATE_CONSUMER_SCHEMA", "error", at(consumerSchemaName(schema)), id),
        );
      consumerSchemas.set(schema.name, schema);
      calls.set(schema, places);
    }
  }
  const gone = (schema: PublicSchema | ConsumerSchema) =>
    schema.definitionFile !== undefined && isCollected(resolve(folder, schema.definitionFile));
  const oldPublic = (manifest.publicSchemas ?? []).filter((s) => !publicSchemas.has(publicId(s)));
  const oldConsumer = (manifest.consumerSchemas ?? []).filter((s) => !consumerSchemas.has(s.name));
  return {
    manifest: {
      ...manifest,
      publicSchemas: sorted([...oldPublic.filter((s) => !gone(s)), ...publicSchemas.values()], publicId),
      consumerSchemas: sorted(
        [...oldConsumer.filter((s) => !gone(s)), ...consumerSchemas.values()],
        (s) => s.name,
      ),
    },
    publicSchemas: sorted([...publicSchemas.values()], publicId),
    consumerSchemas: sorted([...consumerSchemas.values()], (s) => s.name),
    removed: [...oldPublic.filter(gone).map(publicId), ...oldConsumer.filter(gone).map((s) => `"${s.name}"`)],
    diagnostics,
    places: new DefinitionPlaces(manifestFile, manifest, calls),
  };
}

function isSameMajor({ name, version }: PublicSchema): (other: PublicSchema) => boolean {
  return (other) => other.name === name && other.version.major === version.major;
}

function publicId(schema: PublicSchema): string {
  return `"${schema.name}" v${schema.version.major}`;
}

/** The definition file stands before the SQL, where a reader of the manifest looks for it. */
function inOrder<T extends PublicSchema | ConsumerSchema>(
  schema: T,
  definition: { definitionFile?: string },
): T {
  const { config, ...rest } = schema;
  return { ...rest, ...definition, config } as T;
}

function sorted<T>(items: T[], id: (item: T) => string): T[] {
  return items.toSorted((a, b) => (id(a) < id(b) ? -1 : id(a) > id(b) ? 1 : 0));
}
