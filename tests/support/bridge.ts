import { inject } from "vitest";
import { loadManifests } from "../../shared/manifest/load.ts";
import type { Manifest, Transformation } from "../../shared/manifest/schema.ts";
import { resolveWorkspace } from "../../shared/manifest/workspace.ts";
import { createSource } from "../../source-connector/connector.ts";
import { writeFiles } from "./connector.ts";
import { createDatabase, type TestDatabase } from "./database.ts";
import type { StackAddresses } from "./global-stack.ts";
import { randomName } from "./names.ts";
import { type RunningSink, startSink } from "./running-sink.ts";
import { sourceConfig } from "./source.ts";

/** One public schema and the consumer schema that copies it. */
export interface BridgedSchema {
  /** JSON Schema properties of the output; all are required. */
  readonly properties: Record<string, object>;
  readonly transformations: readonly Transformation[];
  readonly sql: string;
  readonly deleteSql: string;
}

/** The schema is called `object`, its copy `copy`. */
export interface BridgeOptions extends BridgedSchema {
  readonly sourceSql: string;
  readonly destinationSql: string;
  /** Further schemas by name; their copies are called `copy-<name>`. */
  readonly more?: Readonly<Record<string, BridgedSchema>>;
  /** Default: the servers of the run. */
  readonly stack?: StackAddresses;
}

/** A source database, a destination database and both connectors between them, in this process. */
export interface Bridge extends AsyncDisposable {
  readonly source: TestDatabase;
  readonly destination: TestDatabase;
  readonly manifestPath: string;
  readonly topic: string;
  readonly sink: RunningSink;
  /** Waits until a query gives the same rows at the source and at the destination. */
  equal(sourceSql: string, destinationSql: string, timeoutMs?: number): Promise<void>;
}

/** Builds the whole way from one database to another and starts it. */
export async function startBridge(options: BridgeOptions): Promise<Bridge> {
  const stack = options.stack ?? inject("stack");
  await using resources = new AsyncDisposableStack();
  const source = resources.use(await createDatabase({ sql: options.sourceSql, server: stack.postgres }));
  const destination = resources.use(
    await createDatabase({ sql: options.destinationSql, server: stack.postgres }),
  );
  const slug = randomName("b").replace("_", "-");
  const manifest = manifestOf(slug, options, stack, source, destination);
  const files = resources.use(await writeFiles({ "rejot-manifest.json": manifest }));
  const manifestPath = files.path("rejot-manifest.json");

  const workspace = await resolveWorkspace(await loadManifests([manifestPath]), {}, ["source"]);
  const connector = createSource({ workspace, config: sourceConfig({ heartbeatMs: 500, aliveMs: 200 }) });
  const failed = connector.done.then(() => {
    throw new Error("the source has ended");
  });
  failed.catch(() => {});
  resources.defer(() => connector.stop());
  await connector.start(new AbortController().signal);
  const sink = resources.use(await startSink(manifestPath));
  await sink.waitForActive();

  const kept = resources.move();
  return {
    source,
    destination,
    manifestPath,
    topic: `${slug}.object.v1`,
    sink,
    equal: async (sourceSql, destinationSql, timeoutMs = 60_000) => {
      let last = "";
      const same = async () => {
        const [wanted, found] = await Promise.all([
          source.query(sourceSql),
          destination.query(destinationSql),
        ]);
        last = `wanted ${JSON.stringify(wanted).slice(0, 600)}, found ${JSON.stringify(found).slice(0, 600)}`;
        return JSON.stringify(wanted) === JSON.stringify(found);
      };
      const arrived = sink.eventually(same, "source and destination to be equal", timeoutMs);
      await Promise.race([arrived, failed]).catch((error: unknown) => {
        throw new Error(`${(error as Error).message}; ${last}`, { cause: error });
      });
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function manifestOf(
  slug: string,
  options: BridgeOptions,
  stack: StackAddresses,
  source: TestDatabase,
  destination: TestDatabase,
): Manifest {
  const kafka = {
    connectionType: "kafka" as const,
    brokers: stack.brokers,
    schemaRegistry: { url: stack.registryUrl },
    partitions: 3,
    replicationFactor: 1,
  };
  const data = {
    connectionType: "postgres" as const,
    slotName: randomName("slot"),
    publicationName: randomName("pub"),
  };
  const schemas: [string, BridgedSchema][] = [["object", options], ...Object.entries(options.more ?? {})];
  return {
    slug,
    manifestVersion: 0,
    connections: [
      { slug: "source", config: source.connection },
      { slug: "sink", config: destination.connection },
      { slug: "events", config: kafka },
    ],
    dataStores: [{ connectionSlug: "source", config: data }, { connectionSlug: "sink" }],
    eventStores: [{ connectionSlug: "events" }],
    publicSchemas: schemas.map(([name, schema]) => ({
      name,
      source: { dataStoreSlug: "source" },
      outputSchema: {
        type: "object",
        properties: schema.properties,
        required: Object.keys(schema.properties),
      },
      version: { major: 1, minor: 0 },
      config: { publicSchemaType: "postgres", transformations: [...schema.transformations] },
    })),
    consumerSchemas: schemas.map(([name, { sql, deleteSql }]) => ({
      name: name === "object" ? "copy" : `copy-${name}`,
      sourceManifestSlug: slug,
      publicSchema: { name, majorVersion: 1 },
      config: {
        consumerSchemaType: "postgres",
        destinationDataStoreSlug: "sink",
        sql,
        deleteSql,
      },
    })),
  };
}
