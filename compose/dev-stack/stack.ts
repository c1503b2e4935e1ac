import { randomBytes } from "node:crypto";
import { chmod, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheDirectory, fetchPart, makeDirectory, type OnProgress, requireSpace } from "./downloads.ts";
import { guardDirectory, releaseDirectory } from "./guardian/guardian.ts";
import { findJava } from "./java.ts";
import { type KafkaServer, startKafka } from "./kafka-server.ts";
import { freePort, requireFreePort } from "./ports.ts";
import { type PostgresServer, removeSharedMemory, startPostgres } from "./postgres-server.ts";
import { type RegistryServer, startRegistry } from "./registry-server.ts";

export interface StackOptions {
  /** Ports that others rely on; a port left out is any free one. */
  ports?: { postgres?: number; kafka?: number; registry?: number };
  /** Where the directory for data and logs is made. Default: the system's temporary directory. */
  dataDir?: string;
  /** Read for XDG_CACHE_HOME and JAVA_HOME. */
  env: Record<string, string | undefined>;
  /** Settings of postgresql.conf beyond or instead of the stack's own. */
  postgresSettings?: Record<string, string>;
  /** Settings of Kafka's server.properties beyond or instead of the stack's own. */
  kafkaSettings?: Record<string, string>;
  onProgress?: OnProgress;
}

/** A real Postgres, Kafka and schema registry, all of whose data and processes end with it. */
export interface Stack extends AsyncDisposable {
  /** Data and logs of all servers. */
  readonly directory: string;
  readonly postgres: PostgresServer;
  readonly kafka: KafkaServer;
  readonly registry: RegistryServer;
  /** Ends all servers and removes their data. */
  stop(): Promise<void>;
}

const DATA_BYTES = 500e6;

/**
 * Fetches what is missing and starts all three servers; resolves when all answer. When one fails, nothing is
 * left. Throws errors whose code begins with STACK_.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const onProgress = options.onProgress ?? (() => {});
  await requirePorts(options);
  const java = await findJava(options.env);
  const cacheDir = cacheDirectory(options.env);
  const libs = await fetchPart("kafka", cacheDir, onProgress);
  const home = await fetchPart("registry", cacheDir, onProgress);
  const directory = await makeStackDirectory(options.dataDir ?? tmpdir());
  onProgress(`starting Postgres, Kafka and the schema registry in ${directory}`);
  const started = await Promise.allSettled([
    startPostgres({
      directory: join(directory, "postgres"),
      port: options.ports?.postgres ?? (await freePort()),
      ...(options.postgresSettings ? { settings: options.postgresSettings } : {}),
    }),
    startKafka({
      java,
      libs,
      directory: join(directory, "kafka"),
      port: options.ports?.kafka ?? (await freePort()),
      controllerPort: await freePort(),
      ...(options.kafkaSettings ? { settings: options.kafkaSettings } : {}),
    }),
    startRegistry({
      java,
      home,
      directory: join(directory, "registry"),
      port: options.ports?.registry ?? (await freePort()),
    }),
  ]);
  const [postgres, kafka, registry] = started;
  const running = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const stop = async (): Promise<void> => {
    await Promise.all(running.map((server) => server.abort()));
    await removeSharedMemory(join(directory, "postgres"));
    await removeStackDirectory(directory);
  };
  if (postgres.status === "rejected" || kafka.status === "rejected" || registry.status === "rejected") {
    await stop();
    throw started.find((result) => result.status === "rejected")?.reason;
  }
  return {
    directory,
    postgres: postgres.value,
    kafka: kafka.value,
    registry: registry.value,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Makes a directory that is removed with this process, and that the user Postgres runs as may enter. */
export async function makeStackDirectory(parent: string): Promise<string> {
  await makeDirectory(parent);
  await requireSpace(parent, DATA_BYTES);
  const directory = join(parent, `rejot-kafka-stack-${randomBytes(4).toString("hex")}`);
  await makeDirectory(directory);
  await chmod(directory, 0o755);
  guardDirectory(directory);
  return directory;
}

/** Removes what makeStackDirectory made. */
export async function removeStackDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  releaseDirectory(directory);
}

async function requirePorts(options: StackOptions): Promise<void> {
  const { postgres, kafka, registry } = options.ports ?? {};
  if (postgres !== undefined) await requireFreePort(postgres, "Postgres");
  if (kafka !== undefined) await requireFreePort(kafka, "Kafka");
  if (registry !== undefined) await requireFreePort(registry, "the schema registry");
}
