import type { ResolvedSource } from "../shared/manifest/workspace.ts";
import type { PostgresClient } from "../shared/postgres/client.ts";
import type { TableInfo } from "../shared/postgres/table-info.ts";
import { loadTypeCatalog } from "../shared/postgres/type-catalog.ts";
import { createSchemaRegistry, type SchemaRegistryOptions } from "../shared/registry/schema-registry.ts";
import { AvroEncoder } from "./encoder/avro-encoder.ts";
import type { SessionConnections } from "./session-connections.ts";
import type { SessionContext } from "./session-context.ts";
import { LOCK_TIMEOUT_MS, namingLocks } from "./setup/postgres-locks.ts";
import { loadPublishedTables } from "./setup/postgres-setup.ts";
import { backfilledSchemas, ChunkTables } from "./transformer/chunk-tables.ts";
import { PostgresChunkReader } from "./transformer/postgres-chunk-reader.ts";
import { PostgresTransformer } from "./transformer/postgres-transformer.ts";
import { relationOf, type TablePlan, TablePlans } from "./transformer/table-plans.ts";
import type { DeleteUse } from "./truncation/cleared-schemas.ts";

/** Everything that turns rows into events. */
export interface Transformations {
  readonly encoder: AvroEncoder;
  readonly uses: readonly DeleteUse[];
  readonly transformer: PostgresTransformer;
  readonly reader: PostgresChunkReader;
}

/** The tables that transformations speak of, and those that the manifest names besides. Throws TABLE_*. */
export async function publishedTables(
  client: PostgresClient,
  { publicSchemas, config }: ResolvedSource,
): Promise<TableInfo[]> {
  const used = publicSchemas.flatMap(({ schema }) => schema.config.transformations.map((t) => t.table));
  return loadPublishedTables(client, new Set([...used, ...(config.tables ?? [])]));
}

/** Plans and compiles all of it now, so that what is wrong stops the start and not the stream. Throws TABLE_LOCKED. */
export async function prepareTransformations(
  context: SessionContext,
  connections: SessionConnections,
  tables: readonly TableInfo[],
): Promise<Transformations> {
  const { source, config, control, state } = context;
  const client = await connections.connectForTransformations();
  const catalog = await loadTypeCatalog(client);
  const registry = createSchemaRegistry(registryOptions(source.eventStore));
  const register = config.registerSchemas === "true";
  const encoder = await AvroEncoder.create(source.publicSchemas, registry, catalog, register);
  const plans = new TablePlans(
    client,
    catalog,
    source.publicSchemas.map(({ schema }) => schema),
  );
  const uses: DeleteUse[] = [];
  for (const table of tables) {
    for (const { schema, plan } of (await prepare(client, plans, table)).all) {
      if (plan.operation === "delete")
        uses.push({ schema, schemaName: plan.schemaName, table: table.oid, emit: plan.emit });
      await encoder.check(schema, plan.table.result, plan.emit === "tombstone");
      if (plan.rowImage !== null)
        await encoder.check(schema, plan.rowImage.result, plan.emit === "tombstone");
    }
  }
  state.details = { ...state.details, transformations: plans.describe() };
  const keyFields = source.publicSchemas.map((publicSchema) => publicSchema.keyFields);
  const chunkTables = await ChunkTables.load(client, plans, backfilledSchemas(source));
  const connect = () => connections.connectForTransformations();
  return {
    encoder,
    uses,
    transformer: new PostgresTransformer(client, plans, keyFields, control.abort),
    reader: new PostgresChunkReader(connect, chunkTables, control.abort),
  };
}

/** A statement is planned under a lock on its tables. Throws TABLE_LOCKED, what planTransformation throws. */
async function prepare(client: PostgresClient, plans: TablePlans, table: TableInfo): Promise<TablePlan> {
  await client.query(`SET lock_timeout = ${LOCK_TIMEOUT_MS}`);
  try {
    return await plans.prepare(relationOf(table));
  } catch (error) {
    throw await namingLocks(client, error, "reading");
  } finally {
    await client.query("RESET lock_timeout").catch(() => {});
  }
}

function registryOptions({
  schemaRegistry: { url, auth },
}: ResolvedSource["eventStore"]): SchemaRegistryOptions {
  return auth === undefined ? { url } : { url, auth };
}
