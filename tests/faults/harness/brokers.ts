import { join } from "node:path";
import { cacheDirectory, fetchPart } from "../../../compose/dev-stack/downloads.ts";
import { findJava } from "../../../compose/dev-stack/java.ts";
import { newClusterId, startKafka } from "../../../compose/dev-stack/kafka-server.ts";
import { freePorts } from "../../../compose/dev-stack/ports.ts";
import { makeStackDirectory, removeStackDirectory } from "../../../compose/dev-stack/stack.ts";
import type { FaultServers } from "./pipeline.ts";

const NODES = [1, 2, 3];

/** Every topic on all three, acknowledged by two. */
const REPLICATED = {
  "default.replication.factor": "3",
  "min.insync.replicas": "2",
  "offsets.topic.replication.factor": "3",
  "transaction.state.log.replication.factor": "3",
  "transaction.state.log.min.isr": "2",
  // Open transactions of publishers that are gone are looked for this often.
  "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
};

/** One broker, and three controllers apart from it, which come first in `own.kafka`; all end with the resources. */
export async function threeControllers(
  shared: FaultServers,
  resources: AsyncDisposableStack,
): Promise<FaultServers> {
  const java = await findJava(process.env);
  const libs = await fetchPart("kafka", cacheDirectory(process.env), () => {});
  const directory = await makeStackDirectory("/tmp");
  resources.defer(() => removeStackDirectory(directory));
  const [port = 0, ...controllerPorts] = await freePorts(NODES.length + 1);
  const voters = NODES.map((id, i) => `${id}@127.0.0.1:${controllerPorts[i]}`).join(",");
  const clusterId = newClusterId();
  const start = async (id: number, role: "broker" | "controller") => {
    const server = await startKafka({
      java,
      libs,
      directory: join(directory, `kafka-${id}`),
      port,
      controllerPort: controllerPorts[id - 1] ?? 0,
      node: { id, clusterId, voters },
      role,
    });
    resources.defer(() => server.abort());
    return server;
  };
  const controllers = await Promise.all(NODES.map((id) => start(id, "controller")));
  const broker = await start(NODES.length + 1, "broker");
  return { ...shared, brokers: [`127.0.0.1:${port}`], own: { kafka: [...controllers, broker] } };
}

/** Three brokers, each a controller too, that end with the resources. */
export async function threeBrokers(
  shared: FaultServers,
  resources: AsyncDisposableStack,
): Promise<FaultServers> {
  const java = await findJava(process.env);
  const libs = await fetchPart("kafka", cacheDirectory(process.env), () => {});
  const directory = await makeStackDirectory("/tmp");
  resources.defer(() => removeStackDirectory(directory));
  const ports = await freePorts(NODES.length);
  const controllerPorts = await freePorts(NODES.length);
  const voters = NODES.map((id, i) => `${id}@127.0.0.1:${controllerPorts[i]}`).join(",");
  const clusterId = newClusterId();
  const kafka = await Promise.all(
    NODES.map(async (id, i) => {
      const server = await startKafka({
        java,
        libs,
        directory: join(directory, `kafka-${id}`),
        port: ports[i] as number,
        controllerPort: controllerPorts[i] as number,
        node: { id, clusterId, voters },
        settings: REPLICATED,
      });
      resources.defer(() => server.abort());
      return server;
    }),
  );
  return { ...shared, brokers: ports.map((port) => `127.0.0.1:${port}`), own: { kafka } };
}
