import { join } from "node:path";
import { cacheDirectory, fetchPart } from "../../../compose/dev-stack/downloads.ts";
import { findJava } from "../../../compose/dev-stack/java.ts";
import { type KafkaServer, newClusterId, startKafka } from "../../../compose/dev-stack/kafka-server.ts";
import { freePort, LOOPBACK } from "../../../compose/dev-stack/ports.ts";
import { makeStackDirectory, removeStackDirectory } from "../../../compose/dev-stack/stack.ts";
import {
  askCoordinator,
  askPlaces,
  askTransactionState,
  leadsQuorum,
  type PartitionPlace,
} from "./cluster-questions.ts";
import type { FaultContext } from "./fault.ts";
import { until } from "./fault.ts";
import { Link } from "./link.ts";
import type { FaultServers } from "./pipeline.ts";

const COUNT = 3;
/** A cluster on a busy machine finds new leaders within seconds, or never. */
const CHANGE_MS = 60_000;

/** Soon noticed: a broker that is gone or hangs, one that lags, and a transaction whose publisher is gone. */
const QUICK = {
  "broker.session.timeout.ms": "3000",
  "broker.heartbeat.interval.ms": "500",
  "replica.lag.time.max.ms": "2000",
  "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
};

/** Every topic on all three, acknowledged by two. */
const REPLICATED = {
  ...QUICK,
  "default.replication.factor": "3",
  "min.insync.replicas": "2",
  "offsets.topic.replication.factor": "3",
  "transaction.state.log.replication.factor": "3",
  "transaction.state.log.min.isr": "2",
};

/** One process of a cluster. */
export class ClusterNode {
  readonly id: number;
  readonly server: KafkaServer;
  /** Where clients ask it; of a controller alone, no port. */
  readonly port: number | undefined;
  /** Of a broker alone, no port. */
  readonly controllerPort: number | undefined;
  #hangs = false;

  constructor(id: number, server: KafkaServer, port: number | undefined, controllerPort: number | undefined) {
    this.id = id;
    this.server = server;
    this.port = port;
    this.controllerPort = controllerPort;
  }

  /** False when it is known to be silent. */
  get answers(): boolean {
    return this.server.running && !this.#hangs;
  }

  /** SIGSTOP: it keeps its connections and answers nobody. */
  hang(): void {
    this.#hangs = true;
    this.server.signalAll("SIGSTOP");
  }

  wake(): void {
    this.#hangs = false;
    this.server.signalAll("SIGCONT");
  }
}

/** A cluster that only one run uses, and what its nodes themselves say of it. */
export class Cluster {
  /** In the order of `servers.brokers`, and of the links to them. */
  readonly brokers: readonly ClusterNode[];
  readonly controllers: readonly ClusterNode[];
  /** The way of the other brokers to each broker; empty where they have none of their own. */
  readonly between: readonly Link[];

  constructor(nodes: readonly ClusterNode[], between: readonly Link[]) {
    this.brokers = nodes.filter(({ port }) => port !== undefined);
    this.controllers = nodes.filter(({ controllerPort }) => controllerPort !== undefined);
    this.between = between;
  }

  /** Throws when no broker answers. */
  async places(): Promise<PartitionPlace[]> {
    return this.#ask((port) => askPlaces(port));
  }

  /** Throws when the partition is not known. */
  async place(topic: string, partition: number): Promise<PartitionPlace> {
    const found = (await this.places()).find(
      (place) => place.topic === topic && place.partition === partition,
    );
    if (found === undefined) throw new Error(`${topic}/${partition} is not known to the brokers`);
    return found;
  }

  /** Waits until the partition has a leader, other than the one given. */
  leaderOf(topic: string, partition: number, besides?: ClusterNode): Promise<ClusterNode> {
    const what = `${topic}/${partition} to have ${besides === undefined ? "a" : "another"} leader`;
    return this.#found(async () => (await this.place(topic, partition)).leader, this.brokers, what, besides);
  }

  /** Waits until somebody coordinates the group or transactional id, other than the one given. */
  coordinatorOf(kind: "group" | "transaction", key: string, besides?: ClusterNode): Promise<ClusterNode> {
    const what = `the ${kind} ${key} to have ${besides === undefined ? "a" : "another"} coordinator`;
    const ask = () => this.#ask((port) => askCoordinator(port, kind, key));
    return this.#found(ask, this.brokers, what, besides);
  }

  /** What its coordinator says of a transactional id: "Ongoing", "CompleteAbort", … */
  async transactionState(transactionalId: string): Promise<string> {
    const { port } = await this.coordinatorOf("transaction", transactionalId);
    return askTransactionState(port ?? 0, transactionalId);
  }

  /** Waits until one of the controllers is active, other than the one given. */
  activeController(besides?: ClusterNode): Promise<ClusterNode> {
    const what = `${besides === undefined ? "a" : "another"} controller to be active`;
    const ask = async () => {
      for (const { answers, controllerPort, id } of this.controllers) {
        if (!answers || controllerPort === undefined) continue;
        if (await leadsQuorum(controllerPort).catch(() => false)) return id;
      }
      return -1;
    };
    return this.#found(ask, this.controllers, what, besides);
  }

  /** Waits until every partition has a leader and all brokers are in sync. */
  async untilInSync(): Promise<void> {
    const isInSync = async () => {
      const places = await this.places();
      return places.every(({ leader, inSync }) => leader > 0 && inSync.length === this.brokers.length);
    };
    await until(isInSync, CHANGE_MS, "all brokers to be in sync");
  }

  async #ask<T>(question: (port: number) => Promise<T>): Promise<T> {
    let failure: unknown = new Error("no broker runs");
    for (const { answers, port } of this.brokers) {
      if (!answers || port === undefined) continue;
      try {
        return await question(port);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  async #found(
    ask: () => Promise<number>,
    nodes: readonly ClusterNode[],
    what: string,
    besides: ClusterNode | undefined,
  ): Promise<ClusterNode> {
    let found: ClusterNode | undefined;
    const isFound = async () => {
      const id = await ask();
      found = nodes.find((node) => node.id === id && node !== besides);
      return found !== undefined;
    };
    await until(isFound, CHANGE_MS, what);
    return found as ClusterNode;
  }
}

interface ClusterServers extends FaultServers {
  readonly cluster: Cluster;
}

/** The cluster of a run whose servers are made here. */
export function clusterOf({ servers }: Pick<FaultContext, "servers">): Cluster {
  const { cluster } = servers as Partial<ClusterServers>;
  if (cluster === undefined) throw new Error("this fault has no cluster of its own");
  return cluster;
}

interface ClusterPlan {
  /** Controllers apart from the brokers; else each broker is one. */
  readonly controllers?: number;
  readonly brokers: number;
  readonly settings: Readonly<Record<string, string>>;
  /** Brokers reach each other by links. */
  readonly linked?: boolean;
}

/** Three brokers, each a controller too, that end with the resources. */
export const threeBrokers = servers({ brokers: COUNT, settings: REPLICATED });
/** Three brokers, and three controllers apart from them, which decide whatever becomes of the brokers. */
export const threeAndThree = servers({ controllers: COUNT, brokers: COUNT, settings: REPLICATED });
/** One broker, and three controllers apart from it. */
export const threeControllers = servers({ controllers: COUNT, brokers: 1, settings: QUICK });
/** Three brokers that reach each other by links, and a controller that they reach without. */
export const linkedBrokers = servers({ controllers: 1, brokers: COUNT, settings: REPLICATED, linked: true });

function servers(plan: ClusterPlan) {
  return async (shared: FaultServers, resources: AsyncDisposableStack): Promise<ClusterServers> => {
    const cluster = await startCluster(plan, resources);
    return {
      ...shared,
      brokers: cluster.brokers.map(({ port }) => `${LOOPBACK}:${port}`),
      own: { kafka: [...new Set([...cluster.controllers, ...cluster.brokers])].map(({ server }) => server) },
      cluster,
    };
  };
}

interface Role {
  readonly id: number;
  readonly port: number | undefined;
  readonly controllerPort: number | undefined;
  readonly settings: Readonly<Record<string, string>>;
}

async function startCluster(plan: ClusterPlan, resources: AsyncDisposableStack): Promise<Cluster> {
  const java = await findJava(process.env);
  const libs = await fetchPart("kafka", cacheDirectory(process.env), () => {});
  const directory = await makeStackDirectory("/tmp");
  resources.defer(() => removeStackDirectory(directory));
  const { roles, between } = await rolesOf(plan, resources);
  const controllers = roles.filter(({ controllerPort }) => controllerPort !== undefined);
  const voters = controllers.map(({ id, controllerPort }) => `${id}@${LOOPBACK}:${controllerPort}`).join();
  const clusterId = newClusterId();
  const start = async ({ id, port, controllerPort, settings }: Role): Promise<ClusterNode> => {
    const server = await startKafka({
      java,
      libs,
      directory: join(directory, `kafka-${id}`),
      port: port ?? 0,
      controllerPort: controllerPort ?? 0,
      node: { id, clusterId, voters },
      settings,
      ...(port === undefined
        ? { role: "controller" }
        : controllerPort === undefined
          ? { role: "broker" }
          : {}),
    });
    resources.defer(() => server.abort());
    return new ClusterNode(id, server, port, controllerPort);
  };
  // A broker is ready once a majority of controllers has taken it in.
  const first = await Promise.all(controllers.map(start));
  const rest = roles.filter((role) => !controllers.includes(role));
  return new Cluster([...first, ...(await Promise.all(rest.map(start)))], between);
}

async function rolesOf(
  { controllers, brokers, settings, linked }: ClusterPlan,
  resources: AsyncDisposableStack,
): Promise<{ roles: Role[]; between: Link[] }> {
  const roles: Role[] = [];
  const between: Link[] = [];
  for (let i = 0; i < (controllers ?? 0); i++) {
    roles.push({ id: roles.length + 1, port: undefined, controllerPort: await freePort(), settings });
  }
  for (let i = 0; i < brokers; i++) {
    const port = await freePort();
    const controllerPort = controllers === undefined ? await freePort() : undefined;
    const own = { ...settings };
    if (linked === true) {
      const inner = { host: LOOPBACK, port: await freePort() };
      const link = resources.use(await Link.start(inner));
      between.push(link);
      Object.assign(own, behindLink(port, inner.port, link.port));
    }
    roles.push({ id: roles.length + 1, port, controllerPort, settings: own });
  }
  return { roles, between };
}

/** Of a broker alone: others are told to reach it where the link listens. */
function behindLink(port: number, innerPort: number, linkPort: number): Record<string, string> {
  const at = (inner: number) => `PLAINTEXT://${LOOPBACK}:${port},BROKERS://${LOOPBACK}:${inner}`;
  return {
    listeners: at(innerPort),
    "advertised.listeners": at(linkPort),
    "inter.broker.listener.name": "BROKERS",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT",
  };
}
