import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort, LOOPBACK } from "../../compose/dev-stack/ports.ts";
import { ServerProcess } from "../../compose/dev-stack/server-process.ts";
import type { RunningParticipant } from "../participants/participant.ts";
import type { PeerFiles } from "./downloads.ts";

/** What one worker runs. */
export interface WorkerTask {
  /** Letters, digits and underscores; no other worker has it. */
  readonly run: string;
  /** For configuration and logs; must exist. */
  readonly directory: string;
  readonly java: string;
  readonly peers: PeerFiles;
  readonly kind: "source" | "sink";
  readonly brokers: readonly string[];
  /** Base URL of the registry's Confluent API. */
  readonly registryUrl: string;
  /** Whether sources write in transactions. */
  readonly exactlyOnce: boolean;
  /** Configuration of the one connector. */
  readonly connector: Record<string, string>;
}

/** What Kafka's own start scripts give the worker. */
const JVM = [
  "-server",
  "-Xms256M",
  "-Xmx2G",
  "-XX:+UseG1GC",
  "-XX:MaxGCPauseMillis=20",
  "-Djava.awt.headless=true",
];
const REST_POLL_MS = 20;

/** Starts a distributed worker, which exactly-once sources need, with one connector. Resolves when it has that. */
export async function startWorker(task: WorkerTask): Promise<RunningParticipant> {
  const directory = join(task.directory, task.run);
  await mkdir(directory);
  const url = `http://${LOOPBACK}:${await freePort()}`;
  const properties = join(directory, "worker.properties");
  await writeFile(properties, render(workerProperties(task, url)));
  await writeFile(join(directory, "log4j2.yaml"), LOG_CONFIGURATION);
  const server = new ServerProcess({
    name: "the Kafka Connect worker",
    command: task.java,
    args: [
      ...JVM,
      `-Dlog4j2.configurationFile=${join(directory, "log4j2.yaml")}`,
      "-cp",
      join(task.peers.libs, "*"),
      "org.apache.kafka.connect.cli.ConnectDistributed",
      properties,
    ],
    cwd: directory,
    logFile: join(directory, "worker.log"),
    isReady: async () => true,
  });
  const startedAtMs = performance.now();
  await server.start();
  const failure = async (): Promise<string | undefined> =>
    server.running ? await failedTask(url, task.run) : (await server.failure("it ended by itself")).message;
  await createConnector(url, task, failure);
  return { pid: server.pid ?? 0, startedAtMs, failure, stop: () => server.stop("SIGKILL") };
}

function workerProperties(task: WorkerTask, url: string): Record<string, string> {
  const apicurioUrl = new URL("/apis/registry/v2", task.registryUrl).href;
  const converters = ["key", "value"].flatMap((which) => [
    [`${which}.converter`, "io.apicurio.registry.utils.converter.AvroConverter"],
    [`${which}.converter.apicurio.registry.url`, apicurioUrl],
    [`${which}.converter.apicurio.registry.auto-register`, "false"],
    [`${which}.converter.apicurio.registry.find-latest`, "true"],
    // Confluent's wire format with the ids of its API: a zero byte and four bytes of id.
    [`${which}.converter.apicurio.registry.as-confluent`, "true"],
    [`${which}.converter.apicurio.registry.use-id`, "contentId"],
    [`${which}.converter.apicurio.registry.headers.enabled`, "false"],
  ]);
  const storage = ["config", "offset", "status"].flatMap((which) => [
    [`${which}.storage.topic`, `connect_${task.run}_${which}`],
    [`${which}.storage.replication.factor`, "1"],
    ...(which === "config" ? [] : [[`${which}.storage.partitions`, "1"]]),
  ]);
  return {
    "bootstrap.servers": task.brokers.join(","),
    "group.id": `connect_${task.run}`,
    "plugin.path": task.peers.plugins[task.kind],
    // Reads the plugins' service files instead of searching all classes, so that the worker is up sooner.
    "plugin.discovery": "service_load",
    listeners: url,
    "exactly.once.source.support": task.exactlyOnce ? "enabled" : "disabled",
    "scheduled.rebalance.max.delay.ms": "0",
    ...Object.fromEntries([...converters, ...storage]),
  };
}

async function createConnector(
  url: string,
  { run, connector }: WorkerTask,
  failure: () => Promise<string | undefined>,
): Promise<void> {
  for (;;) {
    const response = await fetch(`${url}/connectors/${run}/config`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: run, ...connector }),
    }).catch(() => undefined);
    if (response?.ok) return;
    // 404 and 409 until the worker has joined its group.
    if (response !== undefined && ![404, 409, 500, 503].includes(response.status))
      throw new Error(`Kafka Connect refuses the connector: ${await response.text()}`);
    const failed = await failure();
    if (failed !== undefined) throw new Error(failed);
    await delay(REST_POLL_MS);
  }
}

/** The stack trace of a connector or task that has failed: the worker itself goes on. */
async function failedTask(url: string, run: string): Promise<string | undefined> {
  const response = await fetch(`${url}/connectors/${run}/status`).catch(() => undefined);
  if (!response?.ok) return undefined;
  const { connector, tasks } = (await response.json()) as {
    connector: { state: string; trace?: string };
    tasks: { state: string; trace?: string }[];
  };
  const failed = [connector, ...tasks].find(({ state }) => state === "FAILED");
  return failed === undefined ? undefined : (failed.trace ?? "a task failed");
}

const LOG_CONFIGURATION = `Configuration:
  status: WARN
  Appenders:
    Console:
      name: STDOUT
      PatternLayout:
        pattern: "%d{ISO8601} %p %m (%c{1})%n"
  Loggers:
    Root:
      level: INFO
      AppenderRef:
        ref: STDOUT
`;

function render(properties: Record<string, string>): string {
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}
