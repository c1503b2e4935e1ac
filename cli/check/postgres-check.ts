import type { Client } from "pg";
import { type Diagnostic, diagnosticOfError } from "../../shared/manifest/diagnostic.ts";
import type { LoadedManifest } from "../../shared/manifest/load.ts";
import type { ConsumerSchema, Transformation } from "../../shared/manifest/schema.ts";
import { dataStorePlace, sameTransformations } from "../../shared/manifest/schema-place.ts";
import type { ResolvedPublicSchema } from "../../shared/manifest/workspace.ts";
import { loadTypeCatalog } from "../../shared/postgres/type-catalog.ts";
import { checkServer } from "../../source-connector/setup/postgres-setup.ts";
import { type DataStoreUse, dataStoreUses, withDatabase } from "./depth.ts";
import { checkConsumer } from "./postgres-consumer.ts";
import { checkTransformation } from "./postgres-transformation.ts";
import { sourceOf } from "./static-check.ts";

/** What is checked on databases. */
export interface DatabaseCheck {
  readonly loaded: LoadedManifest;
  readonly publicSchemas: readonly ResolvedPublicSchema[];
  /** A session with a data store's database, or undefined when its statements are not to be checked there. */
  readonly open: (use: DataStoreUse) => Promise<Client | undefined>;
  /** Statements that were found to be wrong already: what a server says of them would only follow from that. */
  readonly broken: ReadonlySet<Transformation | ConsumerSchema>;
}

/**
 * Prepares every statement of a manifest on its database, as the connectors will, and compares what comes back
 * with the schemas. Nothing is executed, no row is read. Says of each transformation whether it reads the row
 * of the change or the table.
 */
export async function checkOnDatabases(check: DatabaseCheck): Promise<Diagnostic[]> {
  const diagnostics: Diagnostic[] = [];
  for (const use of dataStoreUses(check.loaded)) {
    const client = await check.open(use);
    if (client === undefined) continue;
    if (use.publishes) diagnostics.push(...(await checkSource(check, use.slug, client)));
    if (use.consumes) diagnostics.push(...(await checkDestination(check, use.slug, client)));
    diagnostics.push(withDatabase(check.loaded, use, await identity(client)));
  }
  return diagnostics;
}

async function checkSource(
  { loaded, publicSchemas, broken }: DatabaseCheck,
  slug: string,
  client: Client,
): Promise<Diagnostic[]> {
  const diagnostics = await serverDiagnostics(client, loaded, slug);
  const catalog = await loadTypeCatalog(client);
  for (const own of publicSchemas) {
    if (own.manifestSlug !== loaded.manifest.slug || own.dataStoreSlug !== slug) continue;
    for (const transformation of own.schema.config.transformations) {
      const isFirst = sameTransformations(own.schema, transformation)[0] === transformation;
      if (broken.has(transformation) || !isFirst) continue;
      diagnostics.push(...(await checkTransformation({ client, catalog, loaded, own, transformation })));
    }
  }
  return diagnostics;
}

async function checkDestination(
  { loaded, publicSchemas, broken }: DatabaseCheck,
  slug: string,
  client: Client,
): Promise<Diagnostic[]> {
  const diagnostics: Diagnostic[] = [];
  for (const consumer of loaded.manifest.consumerSchemas ?? []) {
    if (consumer.config.destinationDataStoreSlug !== slug || broken.has(consumer)) continue;
    const source = sourceOf(consumer, publicSchemas);
    diagnostics.push(...(await checkConsumer({ client, loaded, consumer, source })));
  }
  return diagnostics;
}

/** The check may run on another server than the connectors, so what that server lacks is not an error here. */
async function serverDiagnostics(
  client: Client,
  loaded: LoadedManifest,
  slug: string,
): Promise<Diagnostic[]> {
  try {
    await checkServer(client);
    return [];
  } catch (error) {
    return [{ ...diagnosticOfError(error, dataStorePlace(loaded, slug)), severity: "warning" }];
  }
}

async function identity(client: Client): Promise<string> {
  const { rows } = await client.query<{ db: string; role: string }>(
    "SELECT current_database() AS db, current_user AS role",
  );
  return `database "${rows[0]?.db}" as role "${rows[0]?.role}"`;
}
