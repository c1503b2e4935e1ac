import { join } from "node:path";
import { freePort } from "../../../compose/dev-stack/ports.ts";
import {
  type PostgresOptions,
  removeSharedMemory,
  startPostgres,
} from "../../../compose/dev-stack/postgres-server.ts";
import { makeStackDirectory, removeStackDirectory } from "../../../compose/dev-stack/stack.ts";
import type { FaultServers } from "./pipeline.ts";

/** A server that only this run uses, at one of the two ends. */
export async function ownPostgres(
  shared: FaultServers,
  resources: AsyncDisposableStack,
  end: "source" | "destination",
  options: Partial<Pick<PostgresOptions, "settings" | "env">> = {},
): Promise<FaultServers> {
  const directory = await makeStackDirectory("/tmp");
  const server = await startPostgres({
    directory: join(directory, "postgres"),
    port: await freePort(),
    ...options,
  });
  resources.defer(async () => {
    await server.abort();
    await removeSharedMemory(join(directory, "postgres"));
    await removeStackDirectory(directory);
  });
  const { host, port, user, password } = server;
  const address = { host, port, user, password };
  return {
    ...shared,
    ...(end === "source"
      ? { postgres: address, destinationPostgres: shared.postgres }
      : { destinationPostgres: address }),
    own: { postgres: server },
  };
}
