import { type Diagnostic, diagnostic } from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import { dataStorePlace, manifestPlace } from "../../shared/manifest/schema-place.ts";

const WITHOUT_SOURCE =
  "whether tables, columns and functions exist, types and nullability of columns, placeholders of transformations, replica identity, what is read for a change, plans";
const WITHOUT_DESTINATION = "whether consumer SQL suits the tables it writes, types of its placeholders";
const WITH_SOURCE =
  "values beyond what a field holds, errors that single rows raise, null in columns that neither the catalogue nor the statement tells of, rights of the source's own role";
const WITH_DESTINATION =
  "values that the tables' constraints refuse, triggers, rights of the sink's own role";

/** What a data store is used for by the schemas that are checked. */
export interface DataStoreUse {
  readonly slug: string;
  readonly publishes: boolean;
  readonly consumes: boolean;
}

/** The data stores that the manifest's schemas use, in the order of the manifest. */
export function dataStoreUses({ manifest }: LoadedManifest): DataStoreUse[] {
  return (manifest.dataStores ?? [])
    .map(({ connectionSlug: slug }) => ({
      slug,
      publishes: (manifest.publicSchemas ?? []).some((s) => s.source.dataStoreSlug === slug),
      consumes: (manifest.consumerSchemas ?? []).some((s) => s.config.destinationDataStoreSlug === slug),
    }))
    .filter((use) => use.publishes || use.consumes);
}

/** Says what a check of the text alone has not looked at. */
export function withoutDatabase(loaded: LoadedManifest): Diagnostic[] {
  const uses = dataStoreUses(loaded);
  const open = [
    ...(uses.some((use) => use.publishes) ? [WITHOUT_SOURCE] : []),
    ...(uses.some((use) => use.consumes) ? [WITHOUT_DESTINATION] : []),
  ];
  if (open.length === 0) return [];
  const detail = `${open.join("; ")}. No database was asked`;
  return [diagnostic("NOT_LOOKED_AT", "info", manifestPlace(loaded, [], "manifest"), detail)];
}

/** Says what a check on a data store's database has not looked at; `as` is the database and role it had there. */
export function withDatabase(loaded: LoadedManifest, use: DataStoreUse, as: string): Diagnostic {
  const open = [...(use.publishes ? [WITH_SOURCE] : []), ...(use.consumes ? [WITH_DESTINATION] : [])];
  const detail = `${open.join("; ")}. Statements were prepared and planned on ${as}, not run`;
  return diagnostic("NOT_LOOKED_AT", "info", dataStorePlace(loaded, use.slug), detail);
}

/** What is not looked at where a data store's database cannot be asked. */
export function lostDepth(use: DataStoreUse): string {
  return [...(use.publishes ? [WITHOUT_SOURCE] : []), ...(use.consumes ? [WITHOUT_DESTINATION] : [])].join(
    "; ",
  );
}
