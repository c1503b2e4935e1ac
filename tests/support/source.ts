import { readFile, writeFile } from "node:fs/promises";
import { expect, inject } from "vitest";
import type { UnitStatus } from "../../shared/http/status.ts";
import { progressTopic, publicSchemaTopic } from "../../shared/kafka/naming.ts";
import { parseChange } from "../../shared/kafka/position.ts";
import { loadManifests } from "../../shared/manifest/load.ts";
import type {
  Manifest,
  PostgresDataStore,
  PublicSchema,
  Transformation,
} from "../../shared/manifest/schema.ts";
import { resolveWorkspace } from "../../shared/manifest/workspace.ts";
import { parseLsn } from "../../shared/postgres/lsn.ts";
import { type SourceConfig, sourceSettings } from "../../source-connector/config.ts";
import { createSource, type SourceConnector } from "../../source-connector/connector.ts";
import { type SpawnedConnector, type SpawnOptions, spawnConnector, writeFiles } from "./connector.ts";
import { createDatabase, type TestDatabase } from "./database.ts";
import type { StackAddresses } from "./global-stack.ts";
import { type ReadRecord, readTopic } from "./kafka.ts";
import { randomName } from "./names.ts";
import { waitFor } from "./wait-for.ts";

/** A field's type: a JSON Schema type, with "?" when it may be null. */
type FieldType =
  | "integer"
  | "number"
  | "string"
  | "boolean"
  | `${"integer" | "number" | "string" | "boolean"}?`;

/** A public schema in few words. */
export interface TestSchema {
  readonly name: string;
  /** By name: a type in a word, or JSON Schema. */
  readonly fields: Readonly<Record<string, FieldType | object>>;
  readonly key?: string[];
  readonly backfill?: PublicSchema["backfill"];
  readonly transformations: readonly Transformation[];
}

/** One SELECT for inserts and updates of a table, and one for deletes. */
export function transformationsOf(table: string, sql: string, deleteSql?: string): Transformation[] {
  const both = (["insert", "update"] as const).map((operation) => ({ operation, table, sql }));
  return deleteSql === undefined ? both : [...both, { operation: "delete", table, sql: deleteSql }];
}

export interface SourceOptions {
  /** Creates the tables. */
  readonly sql: string;
  readonly schemas: readonly TestSchema[];
  /** Default 3. */
  readonly partitions?: number;
  readonly delivery?: "exactly-once" | "at-least-once";
  /** Default manual: most tests look at what changes, and only at that. */
  readonly backfill?: PostgresDataStore["backfill"];
  /** Settings of every source of this fixture. */
  readonly config?: Partial<SourceConfig>;
  /** Default: the servers of the run. */
  readonly stack?: StackAddresses;
  /** Changes the connection that the source uses, for another role or a proxy. */
  readonly connection?: (connection: TestDatabase["connection"]) => Partial<TestDatabase["connection"]>;
}

/** A database with a manifest that publishes it; `await using` drops it. */
export interface SourceFixture extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly manifestPath: string;
  readonly slotName: string;
  readonly publicationName: string;
  readonly progressTopic: string;
  topicOf(schema: string): string;
  /** A source in this process, started; `await using` stops it. */
  start(config?: Partial<SourceConfig>): Promise<RunningSource>;
  /** A source in this process that is not started. */
  create(config?: Partial<SourceConfig>): Promise<SourceConnector>;
  /** A source as its own process. */
  spawn(options?: SpawnOptions & { args?: string[] }): Promise<SpawnedConnector>;
  /** Resolves when everything that is committed now has been published and confirmed. */
  published(timeoutMs?: number): Promise<void>;
  /**
   * Committed records of a public schema's topic in the order of their positions. Decoding takes most of the time:
   * without it, keys and values are undefined.
   */
  read(schema: string, options?: { decode?: boolean }): Promise<ReadRecord[]>;
}

export interface RunningSource extends AsyncDisposable {
  readonly connector: SourceConnector;
  readonly status: UnitStatus;
  stop(): Promise<void>;
}

/** Quick timers: what takes seconds in operation would only make tests wait. */
const TEST_CONFIG: Partial<SourceConfig> = { aliveMs: 200, standbyPollMs: 100, heartbeatMs: 1_000 };

/** The default settings with some changed. */
export function sourceConfig(changed: Partial<SourceConfig> = {}): SourceConfig {
  const defaults = Object.fromEntries(
    Object.entries(sourceSettings).map(([name, setting]) => [name, setting.default]),
  ) as unknown as SourceConfig;
  return { ...defaults, ...changed };
}

/** Makes a database, a manifest for it and names that nobody else uses. */
export async function createSourceFixture(options: SourceOptions): Promise<SourceFixture> {
  const stack = options.stack ?? inject("stack");
  const database = await createDatabase({ sql: options.sql, server: stack.postgres });
  const slug = randomName("t").replace("_", "-");
  const slotName = randomName("slot");
  const publicationName = randomName("pub");
  const manifest: Manifest = {
    slug,
    manifestVersion: 0,
    connections: [
      {
        slug: "db",
        config: { ...database.connection, ...options.connection?.(database.connection) },
      },
      {
        slug: "events",
        config: {
          connectionType: "kafka",
          brokers: stack.brokers,
          schemaRegistry: { url: stack.registryUrl },
          partitions: options.partitions ?? 3,
          replicationFactor: 1,
        },
      },
    ],
    dataStores: [
      {
        connectionSlug: "db",
        config: {
          connectionType: "postgres",
          slotName,
          publicationName,
          backfill: options.backfill ?? "manual",
          ...(options.delivery === undefined ? {} : { delivery: options.delivery }),
        },
      },
    ],
    eventStores: [{ connectionSlug: "events" }],
    publicSchemas: options.schemas.map(publicSchemaOf),
  };
  const files = await writeFiles({ "rejot-manifest.json": manifest });
  const manifestPath = files.path("rejot-manifest.json");
  const topicOf = (schema: string) => publicSchemaTopic("", slug, schema, 1);
  const create = async (config: Partial<SourceConfig> = {}) => {
    const workspace = await resolveWorkspace(await loadManifests([manifestPath]), {}, ["source"]);
    return createSource({
      workspace,
      config: sourceConfig({ ...TEST_CONFIG, ...options.config, ...config }),
    });
  };
  return {
    database,
    manifestPath,
    slotName,
    publicationName,
    progressTopic: progressTopic("", slug, "db"),
    topicOf,
    create,
    start: async (config) => run(await create(config)),
    spawn: ({ args = [], ...more } = {}) =>
      spawnConnector(
        "source",
        [manifestPath, ...settingArguments({ ...TEST_CONFIG, ...options.config }), ...args],
        more,
      ),
    published: (timeoutMs) => waitForConfirmation(database, slotName, timeoutMs),
    read: async (schema, { decode = true } = {}) =>
      byPosition(
        await readTopic(topicOf(schema), {
          brokers: stack.brokers,
          registryUrl: decode ? stack.registryUrl : null,
        }),
      ),
    [Symbol.asyncDispose]: async () => {
      await files[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}

function publicSchemaOf({ name, fields, key, backfill, transformations }: TestSchema): PublicSchema {
  const properties = Object.fromEntries(
    Object.entries(fields).map(([field, type]) => [
      field,
      typeof type === "object" ? type : { type: type.endsWith("?") ? [type.slice(0, -1), "null"] : type },
    ]),
  );
  return {
    name,
    source: { dataStoreSlug: "db" },
    outputSchema: { type: "object", properties, required: Object.keys(fields) },
    ...(key === undefined ? {} : { key }),
    ...(backfill === undefined ? {} : { backfill }),
    version: { major: 1, minor: 0 },
    config: { publicSchemaType: "postgres", transformations: [...transformations] },
  };
}

function settingArguments(config: Partial<SourceConfig>): string[] {
  return Object.entries(config).flatMap(([name, value]) => [
    `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    String(value),
  ]);
}

async function run(connector: SourceConnector): Promise<RunningSource> {
  const stop = () => connector.stop();
  connector.done.catch(() => {});
  try {
    await connector.start(new AbortController().signal);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    connector,
    get status() {
      return connector.status().units[0] as UnitStatus;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Changes the public schemas of the manifest: the next source has them. */
export async function changeSchemas(
  fixture: SourceFixture,
  edit: (schemas: PublicSchema[]) => void,
): Promise<void> {
  const manifest = JSON.parse(await readFile(fixture.manifestPath, "utf8")) as Manifest;
  edit(manifest.publicSchemas ?? []);
  await writeFile(fixture.manifestPath, JSON.stringify(manifest));
}

/** A message in a transaction of its own passes through the stream behind everything committed before. */
async function waitForConfirmation(
  database: TestDatabase,
  slotName: string,
  timeoutMs = 30_000,
): Promise<void> {
  const [row] = await database.query("SELECT pg_logical_emit_message(true, 'test', '') AS lsn");
  const target = parseLsn(row?.lsn ?? "");
  const confirmed = () =>
    database.query("SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE slot_name = $1", [
      slotName,
    ]);
  await waitFor(async () => parseLsn((await confirmed())[0]?.lsn ?? "0/0") >= target, {
    timeoutMs,
    intervalMs: 20,
    describe: `the slot to be confirmed up to ${row?.lsn}`,
  });
}

/** Sorts records as the source committed them. */
export function byPosition(records: readonly ReadRecord[]): ReadRecord[] {
  const position = (record: ReadRecord) => parseChange(record.change).position;
  return [...records].sort((a, b) => {
    const [left, right] = [position(a), position(b)];
    if (left.commitLsn !== right.commitLsn) return left.commitLsn < right.commitLsn ? -1 : 1;
    return left.index - right.index;
  });
}

/** The operations of records: "c", "u", "d". */
export function opsOf(records: readonly ReadRecord[]): string[] {
  return records.map((record) => record.change?.[0] ?? "");
}

/**
 * Every transaction's events are numbered from 0 without a gap, no position is there twice, and in each
 * partition they stand in the order of the commits. `records` are all events of the data store.
 */
export function expectEveryPositionOnce(records: readonly ReadRecord[]): void {
  const indexes = new Map<string, number[]>();
  for (const record of records) {
    const [, lsn = "", index = ""] = record.change?.split(":") ?? [];
    const list = indexes.get(lsn);
    if (list === undefined) indexes.set(lsn, [Number(index)]);
    else list.push(Number(index));
  }
  for (const [lsn, list] of indexes) {
    const sorted = list.toSorted((a, b) => a - b);
    const wrong = sorted.findIndex((index, i) => index !== i);
    expect(wrong, `positions of ${lsn}: ${sorted.slice(Math.max(0, wrong - 2), wrong + 3)}`).toBe(-1);
  }
  const places = new Map<string, ReadRecord[]>();
  for (const record of records) {
    const place = `${record.topic}/${record.partition}`;
    const list = places.get(place);
    if (list === undefined) places.set(place, [record]);
    else list.push(record);
  }
  for (const [place, list] of places) {
    const ordered = byPosition(list).map((record) => record.offset);
    expect(
      ordered.every((offset, i) => i === 0 || offset > (ordered[i - 1] as number)),
      `order in ${place}`,
    ).toBe(true);
  }
}
