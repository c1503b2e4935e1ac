import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { Kafka, logLevel } from "kafkajs";
import { RejotError } from "../../shared/errors/error.ts";
import { LOOPBACK } from "./ports.ts";
import { ServerProcess } from "./server-process.ts";

/** A running Kafka broker. */
export interface KafkaServer extends ServerProcess {
  /** `host:port` of the bootstrap broker. */
  readonly brokers: string[];
}

export interface KafkaOptions {
  java: string;
  /** Directory of Kafka's jars. */
  libs: string;
  /** Directory for data, configuration and log; must not exist. */
  directory: string;
  port: number;
  /** The port of the KRaft controller. */
  controllerPort: number;
  /** One of several nodes that make a cluster; they must be started at the same time. Default: a cluster of one. */
  node?: { readonly id: number; readonly clusterId: string; readonly voters: string };
  /** Default: both. */
  role?: "broker" | "controller";
  /** Further lines of server.properties. */
  settings?: Record<string, string>;
}

/** A name for a new cluster. */
export function newClusterId(): string {
  const id = randomBytes(16).toString("base64url");
  // Kafka's tools, as Kafka itself when it makes one, take what begins with a dash for an option.
  return id.startsWith("-") ? newClusterId() : id;
}

/** Formats a new KRaft node that is broker and controller, and starts it. Throws STACK_SERVER_FAILED. */
export async function startKafka(options: KafkaOptions): Promise<KafkaServer> {
  const { directory, java } = options;
  await mkdir(directory, { recursive: true });
  const properties = join(directory, "server.properties");
  await writeFile(properties, render({ ...serverProperties(options), ...options.settings }));
  await writeFile(join(directory, "log4j2.yaml"), LOG_CONFIGURATION);
  // One after the other in one class path: Kafka's own scripts do nothing more.
  const jvm = [
    "-cp",
    join(options.libs, "*"),
    `-Dlog4j2.configurationFile=${join(directory, "log4j2.yaml")}`,
  ];
  await format(
    java,
    [...jvm, "-XX:TieredStopAtLevel=1"],
    properties,
    options.node?.clusterId ?? newClusterId(),
  );
  const brokers = [`${LOOPBACK}:${options.port}`];
  const server = new ServerProcess({
    name: "Kafka",
    command: java,
    args: [...jvm, "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "kafka.Kafka", properties],
    cwd: directory,
    logFile: join(directory, "kafka.log"),
    isReady: () => (options.role === "controller" ? listens(options.controllerPort) : answers(brokers)),
  });
  await server.start();
  return Object.assign(server, { brokers });
}

async function format(java: string, jvm: string[], properties: string, clusterId: string): Promise<void> {
  const tool = ["kafka.tools.StorageTool", "format", "--cluster-id", clusterId, "--config", properties];
  try {
    await promisify(execFile)(java, [...jvm, ...tool]);
  } catch (cause) {
    const output = (cause as { stderr?: string }).stderr?.trim() ?? "";
    throw new RejotError("STACK_SERVER_FAILED", { detail: `Kafka's storage tool: ${output}`, cause });
  }
}

const LISTENERS = {
  broker: ({ port }: KafkaOptions) => `PLAINTEXT://${LOOPBACK}:${port}`,
  controller: ({ controllerPort }: KafkaOptions) => `CONTROLLER://${LOOPBACK}:${controllerPort}`,
};

/** For one node, so nothing is replicated, and a group does not wait for more members before it begins. */
function serverProperties(options: KafkaOptions): Record<string, string> {
  const roles = options.role === undefined ? (["broker", "controller"] as const) : [options.role];
  const listeners = roles.map((role) => LISTENERS[role](options));
  return {
    "process.roles": roles.join(),
    "node.id": String(options.node?.id ?? 1),
    "controller.quorum.voters": options.node?.voters ?? `1@${LOOPBACK}:${options.controllerPort}`,
    "controller.listener.names": "CONTROLLER",
    listeners: listeners.join(),
    "advertised.listeners": listeners[0] as string,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "log.dirs": join(options.directory, "data"),
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "8",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    // The default of 128 MB is a quarter of the heap.
    "log.cleaner.dedupe.buffer.size": "8388608",
    // The default waits a minute before it removes the files of a deleted topic.
    "log.segment.delete.delay.ms": "1000",
  };
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

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, LOOPBACK, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

async function answers(brokers: string[]): Promise<boolean> {
  const kafka = new Kafka({
    clientId: "dev-stack",
    brokers,
    logLevel: logLevel.NOTHING,
    connectionTimeout: 500,
    retry: { retries: 0 },
  });
  const admin = kafka.admin();
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length > 0;
  } finally {
    await admin.disconnect();
  }
}
