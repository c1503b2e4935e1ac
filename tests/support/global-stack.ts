import { readFileSync } from "node:fs";
import type { TestProject } from "vitest/node";
import { startStack } from "../../compose/dev-stack/stack.ts";

/** Where the run's servers are; `inject("stack")` gives it to a test file. */
export interface StackAddresses {
  postgres: { host: string; port: number; user: string; password: string };
  brokers: string[];
  registryUrl: string;
}

declare module "vitest" {
  interface ProvidedContext {
    stack: StackAddresses;
  }
}

/**
 * One Postgres, Kafka and registry for the whole run, on free ports; or those that run already, when
 * REJOT_TEST_STACK names a JSON file with their StackAddresses.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const running = process.env.REJOT_TEST_STACK;
  if (running !== undefined) {
    project.provide("stack", JSON.parse(readFileSync(running, "utf8")) as StackAddresses);
    return async () => {};
  }
  const stack = await startStack({
    env: process.env,
    onProgress: (line) => console.error(line),
    // The data is thrown away at the end; kill -9 of the server loses nothing without fsync.
    postgresSettings: { fsync: "off" },
  });
  const { host, port, user, password } = stack.postgres;
  project.provide("stack", {
    postgres: { host, port, user, password },
    brokers: stack.kafka.brokers,
    registryUrl: stack.registry.url,
  });
  return () => stack.stop();
}
