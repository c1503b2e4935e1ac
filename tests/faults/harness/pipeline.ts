import { readFile, writeFile } from "node:fs/promises";
import type { KafkaServer } from "../../../compose/dev-stack/kafka-server.ts";
import type { PostgresServer } from "../../../compose/dev-stack/postgres-server.ts";
import type { Manifest } from "../../../shared/manifest/schema.ts";
import { type SpawnedConnector, spawnConnector, writeFiles } from "../../support/connector.ts";
import { createDatabase, type TestDatabase } from "../../support/database.ts";
import type { StackAddresses } from "../../support/global-stack.ts";
import { randomName } from "../../support/names.ts";
import { waitFor } from "../../support/wait-for.ts";
import type { Authority } from "./certificates.ts";
import type { Clock } from "./clocks.ts";
import { Link } from "./link.ts";
import { RegistryFront } from "./registry-front.ts";
import type { SmallDisk } from "./small-disk.ts";
import { consumerSchemas, DESTINATION_SQL, publicSchemas, SOURCE_SQL } from "./tables.ts";
import { kafkaWire, postgresWire, rawWire } from "./wire.ts";

/** The servers of a pipeline; the destination may have a Postgres of its own. */
export interface FaultServers extends StackAddresses {
  readonly destinationPostgres?: StackAddresses["postgres"];
  /** What only this run uses, and may therefore end, set wrong or fill. */
  readonly own?: {
    readonly postgres?: PostgresServer;
    readonly kafka?: readonly KafkaServer[];
    readonly clock?: Clock;
    readonly disk?: SmallDisk;
    readonly authority?: Authority;
    /** Address of the brokers for those who speak TLS with them. */
    readonly tlsBrokers?: readonly string[];
  };
}

export interface PipelineOptions {
  readonly servers: FaultServers;
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly onError?: "stop" | "dlq";
  readonly sourceArgs?: readonly string[];
  readonly sinkArgs?: readonly string[];
  /** Added to the environment of both connectors. */
  readonly env?: Record<string, string>;
  /** Postgres is spoken to with TLS, so nothing can be held by name. */
  readonly tls?: boolean;
  /** Changes both manifests before they are written. */
  readonly adapt?: (manifest: Manifest) => void;
  /** SQL for the two databases, after their tables are made. */
  readonly sourceSql?: string;
  readonly destinationSql?: string;
}

/** Public schemas, each with a backfill of its own. */
const SCHEMAS = 2;

/** Quick timers, and one topic poll a moment: what takes seconds in operation would only make faults slow. */
const SOURCE_ARGS = [
  ...["--heartbeat-ms", "500", "--alive-ms", "200", "--takeover-ms", "3000", "--standby-poll-ms", "100"],
];
const SINK_ARGS = ["--topic-poll-ms", "200", "--metadata-max-age-ms", "1000", "--fetch-max-wait-ms", "50"];

/** Every network connection of the two connectors. */
export interface Links {
  readonly sourcePostgres: Link;
  readonly destinationPostgres: Link;
  /** One for each broker. */
  readonly sourceKafka: readonly Link[];
  readonly sinkKafka: readonly Link[];
  readonly sourceRegistry: RegistryFront;
  readonly sinkRegistry: RegistryFront;
}

/** A source database, a destination, both connectors as processes, and links between all of them. */
export class Pipeline implements AsyncDisposable {
  readonly slug: string;
  readonly slotName: string;
  readonly database: TestDatabase;
  readonly destination: TestDatabase;
  readonly links: Links;
  readonly servers: FaultServers;
  /** All that were started, the newest last. */
  readonly processes: SpawnedConnector[] = [];
  /** The newest process of each kind; `start` replaces it. */
  source: SpawnedConnector | undefined;
  sink: SpawnedConnector | undefined;
  readonly #options: PipelineOptions;
  readonly #manifests: { readonly source: string; readonly sink: string };
  readonly #resources: AsyncDisposableStack;

  private constructor(
    options: PipelineOptions,
    parts: Pick<Pipeline, "slug" | "slotName" | "database" | "destination" | "links">,
    manifests: { source: string; sink: string },
    resources: AsyncDisposableStack,
  ) {
    this.slug = parts.slug;
    this.slotName = parts.slotName;
    this.database = parts.database;
    this.destination = parts.destination;
    this.links = parts.links;
    this.servers = options.servers;
    this.#options = options;
    this.#manifests = manifests;
    this.#resources = resources;
  }

  /** Makes databases, links and manifests, but starts no connector. */
  static async create(options: PipelineOptions): Promise<Pipeline> {
    await using resources = new AsyncDisposableStack();
    const { servers } = options;
    const destinationServer = servers.destinationPostgres ?? servers.postgres;
    const database = resources.use(
      await createDatabase({ server: servers.postgres, sql: `${SOURCE_SQL};${options.sourceSql ?? ""}` }),
    );
    const destination = resources.use(
      await createDatabase({
        server: destinationServer,
        sql: `${DESTINATION_SQL};${options.destinationSql ?? ""}`,
      }),
    );
    const wire = options.tls === true ? rawWire : postgresWire;
    const links: Links = {
      sourcePostgres: resources.use(await Link.start(servers.postgres, wire)),
      destinationPostgres: resources.use(await Link.start(destinationServer, wire)),
      sourceKafka: await kafkaLinks(resources, servers.brokers),
      sinkKafka: await kafkaLinks(resources, servers.brokers),
      sourceRegistry: resources.use(await RegistryFront.start(servers.registryUrl)),
      sinkRegistry: resources.use(await RegistryFront.start(servers.registryUrl)),
    };
    const slug = randomName("f").replace("_", "-");
    const slotName = randomName("slot");
    const manifest = (kafka: readonly Link[], registry: RegistryFront): Manifest => {
      const made = manifestOf({ slug, slotName, database, destination, links, kafka, registry, options });
      options.adapt?.(made);
      return made;
    };
    const files = resources.use(
      await writeFiles({
        "source.json": manifest(links.sourceKafka, links.sourceRegistry),
        "sink.json": manifest(links.sinkKafka, links.sinkRegistry),
      }),
    );
    return new Pipeline(
      options,
      { slug, slotName, database, destination, links },
      { source: files.path("source.json"), sink: files.path("sink.json") },
      resources.move(),
    );
  }

  topic(schema: "item" | "owner"): string {
    return `${this.slug}.${schema}.v1`;
  }

  /** Where the sink's manifest is, for commands. */
  get sinkManifest(): string {
    return this.#manifests.sink;
  }

  get progressTopic(): string {
    return `${this.slug}.source.progress`;
  }

  get group(): string {
    return `rejot.sink.${this.slug}.sink`;
  }

  /** Starts a process beside those that run; it becomes the newest of its kind. Does not wait for it. */
  async start(kind: "source" | "sink"): Promise<SpawnedConnector> {
    const given = kind === "source" ? this.#options.sourceArgs : this.#options.sinkArgs;
    const quick = kind === "source" ? SOURCE_ARGS : SINK_ARGS;
    const started = this.#resources.use(
      await spawnConnector(
        kind,
        [this.#manifests[kind], ...quick, ...(given ?? [])],
        this.#options.env === undefined ? {} : { env: this.#options.env },
      ),
    );
    this[kind] = started;
    this.processes.push(started);
    return started;
  }

  /** Waits until a process of that kind, perhaps one that has ended, has logged a text. Throws when none does. */
  async requireSaid(kind: "source" | "sink", text: string, timeoutMs = 10_000): Promise<void> {
    const own = this.processes.filter((each) => each.kind === kind);
    await waitFor(() => own.some(({ log }) => log.some((line) => line.includes(text))), {
      timeoutMs,
      describe: () => `the ${kind} to say ${text}; its log:\n${own.at(-1)?.logTail()}`,
    });
  }

  /** Processes that ended although nobody killed them, with the ends of their logs. */
  endedByThemselves(besides: readonly ("source" | "sink")[] = []): string[] {
    return this.processes
      .filter(({ kind, endedByItself }) => endedByItself && !besides.includes(kind))
      .map((each) => `a ${each.kind} ended by itself:\n${each.logTail()}`);
  }

  /** Changes a connector's manifest; its next start reads it. */
  async change(kind: "source" | "sink", edit: (manifest: Manifest) => void): Promise<void> {
    const path = this.#manifests[kind];
    const manifest = JSON.parse(await readFile(path, "utf8")) as Manifest;
    edit(manifest);
    await writeFile(path, JSON.stringify(manifest));
  }

  /** Starts both and waits until both are ready. */
  async startBoth(): Promise<void> {
    const both = [await this.start("source"), await this.start("sink")];
    await Promise.all(both.map((connector) => connector.waitForReady()));
  }

  /** Waits until all that was there has been published. */
  async untilBackfilled(): Promise<void> {
    const states = async () => {
      const { body } = (await this.source?.get("/status")) ?? {};
      const { units } = body as { units: { details?: { backfills?: { state: string }[] } }[] };
      return units.flatMap(({ details }) => details?.backfills?.map(({ state }) => state) ?? []);
    };
    await waitFor(async () => (await states()).filter((state) => state === "done").length === SCHEMAS, {
      describe: "the backfills to be done",
    });
  }

  /** As an orchestrator does: a process that has ended is started again. */
  async keepAlive(): Promise<void> {
    for (const kind of ["source", "sink"] as const) {
      if (this[kind]?.running === false) await this.start(kind);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** A link to each broker, by which clients then reach all of them. */
export async function kafkaLinks(
  resources: AsyncDisposableStack,
  brokers: readonly string[],
): Promise<Link[]> {
  const ports = new Map<number, number>();
  const links: Link[] = [];
  for (const broker of brokers) {
    const [host = "", port = ""] = broker.split(":");
    const link = resources.use(await Link.start({ host, port: Number(port) }, () => kafkaWire(ports)));
    ports.set(Number(port), link.port);
    links.push(link);
  }
  return links;
}

function manifestOf(parts: {
  slug: string;
  slotName: string;
  database: TestDatabase;
  destination: TestDatabase;
  links: Links;
  kafka: readonly Link[];
  registry: RegistryFront;
  options: PipelineOptions;
}): Manifest {
  const { slug, slotName, database, destination, links, options } = parts;
  return {
    slug,
    manifestVersion: 0,
    connections: [
      { slug: "source", config: { ...database.connection, ...address(links.sourcePostgres) } },
      { slug: "sink", config: { ...destination.connection, ...address(links.destinationPostgres) } },
      {
        slug: "events",
        config: {
          connectionType: "kafka",
          brokers: parts.kafka.map(({ host, port }) => `${host}:${port}`),
          schemaRegistry: { url: parts.registry.url },
          partitions: options.partitions ?? 3,
          replicationFactor: options.replicationFactor ?? 1,
        },
      },
    ],
    dataStores: [
      {
        connectionSlug: "source",
        config: { connectionType: "postgres", slotName, publicationName: slotName },
      },
      { connectionSlug: "sink" },
    ],
    eventStores: [{ connectionSlug: "events" }],
    publicSchemas: publicSchemas(),
    consumerSchemas: consumerSchemas(slug, options.onError ?? "stop"),
  };
}

function address({ host, port }: Link): { host: string; port: number } {
  return { host, port };
}
