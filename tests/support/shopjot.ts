import { readFile } from "node:fs/promises";
import { inject } from "vitest";
import {
  compareRows,
  type Difference,
  FLOWS,
  type Flow,
  TEAMS,
  type Team,
} from "../../examples/shopjot/oracle.ts";
import { publicSchemaTopic } from "../../shared/kafka/naming.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { parseLsn } from "../../shared/postgres/lsn.ts";
import { type SpawnedConnector, spawnConnector, writeFiles } from "./connector.ts";
import { createDatabase, type TestDatabase } from "./database.ts";
import { readTopic } from "./kafka.ts";
import { randomName } from "./names.ts";
import { waitFor } from "./wait-for.ts";

const FOLDER = new URL("../../examples/shopjot/", import.meta.url);
/** The slot is confirmed beyond what is not published, too: by heartbeats, here often. */
const HEARTBEAT_MS = 250;

/** The three teams in databases of their own, with manifests that differ from ShopJot's own only in names. */
export class ShopJot implements AsyncDisposable {
  readonly databases: Readonly<Record<Team, TestDatabase>>;
  /** Path of the workspace's manifest. */
  readonly workspace: string;
  readonly #topicPrefix: string;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    databases: Record<Team, TestDatabase>,
    workspace: string,
    topicPrefix: string,
    resources: AsyncDisposableStack,
  ) {
    this.databases = databases;
    this.workspace = workspace;
    this.#topicPrefix = topicPrefix;
    this.#resources = resources;
  }

  /** Creates databases, tables and manifests. */
  static async create(): Promise<ShopJot> {
    await using resources = new AsyncDisposableStack();
    const name = randomName("shopjot");
    const prefix = `${name}.`;
    const files: Record<string, object> = {};
    const databases: Partial<Record<Team, TestDatabase>> = {};
    for (const team of TEAMS) {
      const sql = await readFile(new URL(`${team}/tables.sql`, FOLDER), "utf8");
      const database = resources.use(await createDatabase({ name: `${name}_${team}`, sql }));
      databases[team] = database;
      const manifest = JSON.parse(
        await readFile(new URL(`${team}/rejot-manifest.json`, FOLDER), "utf8"),
      ) as Manifest;
      files[`${team}.json`] = renamed(manifest, database, prefix);
    }
    files["workspace.json"] = {
      slug: "@shopjot/workspace",
      manifestVersion: 0,
      workspaces: TEAMS.map((team) => `${team}.json`),
    };
    const manifests = resources.use(await writeFiles(files));
    return new ShopJot(
      databases as Record<Team, TestDatabase>,
      manifests.path("workspace.json"),
      prefix,
      resources.move(),
    );
  }

  /** Starts one side as its own process, ended with this object, and waits until it is ready. */
  async start(kind: "source" | "sink"): Promise<SpawnedConnector> {
    const connector = this.#resources.use(
      await spawnConnector(kind, [this.workspace], {
        env: { REJOT_SOURCE_HEARTBEAT_MS: String(HEARTBEAT_MS) },
      }),
    );
    await connector.waitForReady();
    return connector;
  }

  topic(flow: Flow): string {
    return publicSchemaTopic(this.#topicPrefix, `@shopjot/${flow.from}`, flow.publicSchema, 1);
  }

  /** Waits until everything committed before the call is in Kafka, and all that Kafka has in the destinations. */
  async caughtUp(timeoutMs = 60_000): Promise<void> {
    for (const team of TEAMS) {
      const database = this.databases[team];
      const [now] = await database.query("SELECT pg_current_wal_insert_lsn() AS lsn");
      await waitFor(
        async () => {
          const [slot] = await database.query(
            "SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE database = current_database()",
          );
          return parseLsn(slot?.lsn ?? "0/0") >= parseLsn(now?.lsn ?? "");
        },
        { timeoutMs, describe: `the source to have published all changes of ${team}` },
      );
    }
    for (const flow of FLOWS) {
      const last = new Map<number, number>();
      for (const { partition, offset } of await readTopic(this.topic(flow))) last.set(partition, offset);
      await waitFor(
        async () => {
          const rows = await this.databases[flow.to].query(
            "SELECT partition, next_offset FROM rejot.progress WHERE topic = $1",
            [this.topic(flow)],
          );
          const next = new Map(rows.map((row) => [Number(row.partition), Number(row.next_offset)]));
          return [...last].every(([partition, offset]) => (next.get(partition) ?? 0) > offset);
        },
        { timeoutMs, describe: `the sink to have applied all events of ${this.topic(flow)}` },
      );
    }
  }

  /** Rows of the flow's destination that are not what its public schema's SQL returns at the source. */
  async differences(flow: Flow): Promise<Difference[]> {
    const expected = await rowsOf(this.databases[flow.from], flow.expected);
    const actual = await rowsOf(this.databases[flow.to], flow.actual);
    return compareRows(expected, actual, flow.key.length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

function renamed(manifest: Manifest, database: TestDatabase, topicPrefix: string): Manifest {
  const { brokers, registryUrl } = inject("stack");
  return {
    ...manifest,
    connections: (manifest.connections ?? []).map(({ slug, config }) => ({
      slug,
      config:
        config.connectionType === "kafka"
          ? { ...config, brokers, schemaRegistry: { url: registryUrl }, topicPrefix }
          : database.connection,
    })),
    dataStores: (manifest.dataStores ?? []).map(({ connectionSlug }) => ({
      connectionSlug,
      config: {
        connectionType: "postgres" as const,
        slotName: database.name,
        publicationName: database.name,
      },
    })),
  };
}

async function rowsOf(database: TestDatabase, sql: string): Promise<(string | null)[][]> {
  const client = await database.connect();
  try {
    return (await client.query<(string | null)[]>({ text: sql, rowMode: "array" })).rows;
  } finally {
    await client.end();
  }
}
