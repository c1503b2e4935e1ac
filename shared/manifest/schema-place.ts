import { RejotError } from "../errors/error.ts";
import { DefinitionPlaces } from "./definition-places.ts";
import { type Place, placeIn } from "./diagnostic.ts";
import type { LoadedManifest } from "./load.ts";
import type { ConsumerSchema, PublicSchema, Transformation } from "./schema.ts";

/** Where a part of a manifest's file stands: `["connections", 0]`, called `connections[0]` in reports. */
export function manifestPlace(
  loaded: LoadedManifest,
  path: readonly (string | number)[],
  name: string = pathName(path),
): Place {
  return placeIn(placesOf(loaded).of(path), name);
}

/** Where a data store stands in its manifest. */
export function dataStorePlace(loaded: LoadedManifest, slug: string): Place {
  const index = (loaded.manifest.dataStores ?? []).findIndex((d) => d.connectionSlug === slug);
  return manifestPlace(loaded, ["dataStores", index], `data store "${slug}"`);
}

/** Where a public schema is defined. */
export function publicSchemaPlace(loaded: LoadedManifest, schema: PublicSchema): Place {
  return placeIn(placesOf(loaded).ofSchema(schema), publicSchemaName(schema));
}

/** Where a consumer schema is defined. */
export function consumerSchemaPlace(loaded: LoadedManifest, schema: ConsumerSchema): Place {
  return placeIn(placesOf(loaded).ofSchema(schema), consumerSchemaName(schema));
}

/** Where a transformation's statement stands: the character that `error` names, if it does. */
export function transformationPlace(
  loaded: LoadedManifest,
  schema: PublicSchema,
  transformation: Transformation,
  error?: unknown,
): Place {
  const at = placesOf(loaded).ofStatement(schema, transformation.sql, sqlPlaceOf(error));
  const operations = sameTransformations(schema, transformation).map((same) => same.operation);
  return placeIn(at, `${publicSchemaName(schema)}, ${operations.join(" and ")} of ${transformation.table}`);
}

/**
 * The transformations of a schema that differ in nothing but being for inserts or for updates, in their order:
 * whatever is found in one of them holds for all.
 */
export function sameTransformations(
  schema: PublicSchema,
  { operation, table, sql }: Transformation,
): Transformation[] {
  return schema.config.transformations.filter(
    (other) =>
      other.table === table &&
      other.sql === sql &&
      (other.operation === operation || (operation !== "delete" && other.operation !== "delete")),
  );
}

/** Where a consumer schema's statement stands: the character that `error` names, if it does. */
export function consumerStatementPlace(
  loaded: LoadedManifest,
  schema: ConsumerSchema,
  statement: "sql" | "deleteSql",
  error?: unknown,
): Place {
  const sql = schema.config[statement] ?? schema.config.sql;
  const at = placesOf(loaded).ofStatement(schema, sql, sqlPlaceOf(error));
  return placeIn(at, `${consumerSchemaName(schema)}, ${statement}`);
}

/** What a public schema is called in reports. */
export function publicSchemaName(schema: PublicSchema): string {
  return `public schema "${schema.name}" v${schema.version.major}`;
}

/** What a consumer schema is called in reports. */
export function consumerSchemaName(schema: ConsumerSchema): string {
  return `consumer schema "${schema.name}"`;
}

function placesOf({ places, path, manifest }: LoadedManifest): DefinitionPlaces {
  return places ?? new DefinitionPlaces(path, manifest);
}

function sqlPlaceOf(error: unknown): RejotError["sql"] {
  return error instanceof RejotError ? error.sql : undefined;
}

function pathName(path: readonly (string | number)[]): string {
  return path
    .map((step, i) => (typeof step === "number" ? `[${step}]` : i === 0 ? step : `.${step}`))
    .join("");
}
