import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { LOOPBACK } from "./ports.ts";
import { ServerProcess } from "./server-process.ts";

/** A running schema registry. */
export interface RegistryServer extends ServerProcess {
  /** Base URL of the API that is Confluent's. */
  readonly url: string;
}

export interface RegistryOptions {
  java: string;
  /** Directory of the unpacked registry. */
  home: string;
  /** Directory for data and log. */
  directory: string;
  port: number;
}

/** Starts Apicurio Registry. Throws STACK_SERVER_FAILED. */
export async function startRegistry(options: RegistryOptions): Promise<RegistryServer> {
  await mkdir(options.directory, { recursive: true });
  const url = `http://${LOOPBACK}:${options.port}/apis/ccompat/v7`;
  const server = new ServerProcess({
    name: "Apicurio Registry",
    command: options.java,
    args: [
      "-Xmx256m",
      "-XX:+UseSerialGC",
      "-XX:TieredStopAtLevel=1",
      `-Dquarkus.http.host=${LOOPBACK}`,
      `-Dquarkus.http.port=${options.port}`,
      // Its default is memory only: after a restart no schema could be found by the ids in the topics.
      `-DREGISTRY_DATASOURCE_URL=jdbc:h2:file:${join(options.directory, "data")};WRITE_DELAY=0`,
      "-Dquarkus.datasource.jdbc.initial-size=2",
      "-Dquarkus.datasource.jdbc.min-size=2",
      "-jar",
      join(options.home, "apicurio-registry-app-2.6.13.Final-runner.jar"),
    ],
    cwd: options.directory,
    logFile: join(options.directory, "registry.log"),
    isReady: async () => (await fetch(`${url}/subjects`, { signal: AbortSignal.timeout(2000) })).ok,
  });
  await server.start();
  return Object.assign(server, { url });
}
