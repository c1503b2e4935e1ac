import { chmod, chown, mkdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { cacheDirectory, fetchPart } from "../../../compose/dev-stack/downloads.ts";
import { findJava } from "../../../compose/dev-stack/java.ts";
import { startKafka } from "../../../compose/dev-stack/kafka-server.ts";
import { freePorts } from "../../../compose/dev-stack/ports.ts";
import type { PostgresServer } from "../../../compose/dev-stack/postgres-server.ts";
import { makeStackDirectory, removeStackDirectory } from "../../../compose/dev-stack/stack.ts";
import { connectPostgres } from "../../../shared/postgres/client.ts";
import { type Authority, makeAuthority, noOpenssl } from "../harness/certificates.ts";
import { type Fault, type FaultContext, until } from "../harness/fault.ts";
import { ownPostgres } from "../harness/own-postgres.ts";

const GROUP = "12. Clocks, credentials, certificates";

/** Gives the server a certificate, and ends the connectors' connections, as a certificate is only asked for at their beginning. */
async function certifyPostgres(
  server: PostgresServer,
  authority: Authority,
  state: "valid" | "expired",
): Promise<void> {
  const data = join(dirname(server.logFile), "data");
  const { uid, gid } = await stat(data);
  const { key, certificate } = await authority.issue(state);
  for (const [name, text] of [
    ["server.key", key],
    ["server.crt", certificate],
  ] as const) {
    const path = join(data, name);
    await writeFile(path, text);
    await chmod(path, 0o600);
    await chown(path, uid, gid);
  }
  const client = await connectPostgres(
    { ...server, connectionType: "postgres", database: "postgres" },
    { applicationName: "test" },
  );
  await client.query("ALTER SYSTEM SET ssl = on");
  await client.query("SELECT pg_reload_conf()");
  await client.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'rejot%'",
  );
  await client.end();
}

/** Both connectors must say what is wrong, and go on by themselves when it is mended. */
async function named({ pipeline }: FaultContext): Promise<void> {
  for (const kind of ["source", "sink"] as const) {
    const connector = pipeline[kind];
    const isNamed = async () =>
      (await connector?.status())?.units[0]?.lastError?.code === "CERTIFICATE_REFUSED";
    await until(isNamed, 40_000, `the ${kind} to name the certificate`);
  }
}

async function recovered({ pipeline }: FaultContext): Promise<void> {
  for (const kind of ["source", "sink"] as const) {
    const connector = pipeline[kind];
    const isWell = async () => (await connector?.status())?.units[0]?.role === "active";
    await until(isWell, 40_000, `the ${kind} to go on by itself`);
  }
}

const postgres: Fault = {
  id: "certificate-expired-postgres",
  group: GROUP,
  title: "Postgres's certificate expires at both ends, connections end, and it is renewed",
  missing: noOpenssl,
  async servers(shared, resources) {
    const authority = resources.use(await makeAuthority());
    const { own, destinationPostgres: _shared, ...servers } = await ownPostgres(shared, resources, "source");
    await certifyPostgres(own?.postgres as PostgresServer, authority, "valid");
    return { ...servers, own: { ...own, authority } };
  },
  options: ({ own }) => ({
    tls: true,
    adapt: (manifest) => {
      for (const { config } of manifest.connections ?? []) {
        if (config.connectionType === "postgres") Object.assign(config, { ssl: { ca: own?.authority?.ca } });
      }
    },
  }),
  async run(context) {
    const { postgres: server, authority } = context.servers.own ?? {};
    await certifyPostgres(server as PostgresServer, authority as Authority, "expired");
    await named(context);
    await context.last(context.random.int(0, 4_000));
    await certifyPostgres(server as PostgresServer, authority as Authority, "valid");
    await recovered(context);
  },
};

const kafka: Fault = {
  id: "certificate-expired-kafka",
  group: GROUP,
  title: "the broker's certificate expires, it is restarted with it, and again when it is renewed",
  missing: noOpenssl,
  async servers(shared, resources) {
    const authority = resources.use(await makeAuthority());
    const directory = await makeStackDirectory("/tmp");
    resources.defer(() => removeStackDirectory(directory));
    const [port = 0, tlsPort = 0, controllerPort = 0] = await freePorts(3);
    const home = join(directory, "kafka");
    await mkdir(home);
    const keystore = join(home, "keystore.pem");
    await writeKeystore(keystore, authority, "valid");
    const host = "127.0.0.1";
    const open = `PLAINTEXT://${host}:${port},TLS://${host}:${tlsPort}`;
    const server = await startKafka({
      java: await findJava(process.env),
      libs: await fetchPart("kafka", cacheDirectory(process.env), () => {}),
      directory: home,
      port,
      controllerPort,
      settings: {
        listeners: `${open},CONTROLLER://${host}:${controllerPort}`,
        "advertised.listeners": open,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL",
        "inter.broker.listener.name": "PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": keystore,
      },
    });
    resources.defer(() => server.abort());
    return {
      ...shared,
      brokers: [`${host}:${port}`],
      own: { kafka: [server], authority, tlsBrokers: [`${host}:${tlsPort}`] },
    };
  },
  options: ({ own }) => ({
    adapt: (manifest) => {
      for (const { config } of manifest.connections ?? []) {
        if (config.connectionType === "kafka")
          Object.assign(config, { brokers: own?.tlsBrokers, ssl: { ca: own?.authority?.ca } });
      }
    },
  }),
  async run(context) {
    const { kafka: [broker] = [], authority } = context.servers.own ?? {};
    if (broker === undefined || authority === undefined) throw new Error("no broker");
    const keystore = join(dirname(broker.logFile), "keystore.pem");
    await writeKeystore(keystore, authority, "expired");
    await broker.restart();
    await named(context);
    await writeKeystore(keystore, authority, "valid");
    await broker.restart();
    await recovered(context);
  },
};

async function writeKeystore(path: string, authority: Authority, state: "valid" | "expired"): Promise<void> {
  const { key, certificate } = await authority.issue(state);
  await writeFile(path, `${key}${certificate}`);
}

/** Certificates that expire while everything runs. */
export const CERTIFICATES: readonly Fault[] = [postgres, kafka];
