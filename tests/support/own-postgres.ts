import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { inject } from "vitest";
import { freePort } from "../../compose/dev-stack/ports.ts";
import {
  type PostgresOptions,
  type PostgresServer,
  removeSharedMemory,
  startPostgres,
} from "../../compose/dev-stack/postgres-server.ts";
import { makeStackDirectory, removeStackDirectory } from "../../compose/dev-stack/stack.ts";
import type { StackAddresses } from "./global-stack.ts";

/** A Postgres server that no other test uses, to configure, kill and fill; `await using` removes it. */
export interface OwnPostgres extends AsyncDisposable {
  readonly server: PostgresServer;
  readonly dataDirectory: string;
  /** This server beside the Kafka and the registry of the run. */
  readonly stack: StackAddresses;
}

/** Starts it with settings of postgresql.conf of its own. */
export async function startOwnPostgres(
  settings: Record<string, string> = {},
  options: Partial<Pick<PostgresOptions, "port" | "initialize">> = {},
): Promise<OwnPostgres> {
  const parent = await makeStackDirectory("/tmp");
  const directory = join(parent, "postgres");
  try {
    const server = await startPostgres({
      directory,
      port: options.port ?? (await freePort()),
      settings: { fsync: "off", ...settings },
      ...(options.initialize === undefined ? {} : { initialize: options.initialize }),
    });
    return {
      server,
      dataDirectory: join(directory, "data"),
      stack: stackWith(server),
      [Symbol.asyncDispose]: async () => {
        await server.abort();
        await removeSharedMemory(directory);
        await removeStackDirectory(parent);
      },
    };
  } catch (error) {
    await removeStackDirectory(parent);
    throw error;
  }
}

/** The addresses of the run with another Postgres. */
export function stackWith({ host, port, user, password }: PostgresServer): StackAddresses {
  return { ...inject("stack"), postgres: { host, port, user, password } };
}

/** Copies a data directory with its owners; the source must be stopped, or in backup mode. */
export async function copyDataDirectory(from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  await promisify(execFile)("cp", ["-a", from, to]);
}
