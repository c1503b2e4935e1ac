import type { Manifest } from "../../../shared/manifest/schema.ts";
import { randomName } from "../../support/names.ts";
import { type Fault, type FaultContext, until } from "../harness/fault.ts";
import { ownPostgres } from "../harness/own-postgres.ts";
import type { PipelineOptions } from "../harness/pipeline.ts";
import { NOBODY } from "../harness/tables.ts";

const GROUP = "5. Postgres";

const SIGNALS = { fast: "SIGINT", immediate: "SIGQUIT" } as const;

const restart = (end: "source" | "destination", how: keyof typeof SIGNALS): Fault => ({
  id: `postgres-${end}-${how}`,
  group: GROUP,
  title: `Postgres at the ${end} is shut down (${how}) and started again, twice`,
  servers: (shared, resources) => ownPostgres(shared, resources, end),
  async run({ servers, last, random }) {
    for (let i = 0; i < 2; i++) {
      await last(random.int(200, 1_500));
      await servers.own?.postgres?.stop(SIGNALS[how]);
      await last(random.int(0, 4_000));
      await servers.own?.postgres?.start();
    }
  },
});

const killed = (end: "source" | "destination"): Fault => ({
  id: `postgres-${end}-kill`,
  group: GROUP,
  title: `kill -9 of Postgres at the ${end}`,
  servers: (shared, resources) => ownPostgres(shared, resources, end),
  async run({ servers, last, random }) {
    await last(random.int(200, 1_500));
    await servers.own?.postgres?.kill();
    await last(random.int(0, 2_000));
    await servers.own?.postgres?.start();
  },
});

const hanging = (end: "source" | "destination"): Fault => ({
  id: `postgres-${end}-sigstop`,
  group: GROUP,
  title: `Postgres at the ${end} hangs (SIGSTOP) for some seconds`,
  servers: (shared, resources) => ownPostgres(shared, resources, end),
  async run({ servers, last, random }) {
    servers.own?.postgres?.signalAll("SIGSTOP");
    await last(random.int(3_000, 14_000));
    servers.own?.postgres?.signalAll("SIGCONT");
  },
});

const backPressure: Fault = {
  id: "postgres-wal-sender-timeout",
  group: GROUP,
  title: "wal_sender_timeout of 2 s while Kafka stands still and the source's buffer is full",
  options: () => ({
    sourceArgs: ["--max-buffered-bytes", "65536"],
    sourceSql: `DO $$ BEGIN
      EXECUTE format('ALTER DATABASE %I SET wal_sender_timeout = ''2s''', current_database()); END $$`,
  }),
  async run({ pipeline, last }) {
    for (const link of pipeline.links.sourceKafka) link.stall();
    await pipeline.database.query(`INSERT INTO items
      SELECT 1000 + i, ${NOBODY}, i, nextval('versions'), repeat('x', 100) FROM generate_series(1, 20000) i`);
    await last(9_000);
    for (const link of pipeline.links.sourceKafka) link.heal();
  },
};

/** One end of the pipeline signs in with a role of its own, which a fault may then change. */
function withRole(end: "source" | "sink"): Partial<PipelineOptions> {
  const role = randomName("fault_role");
  const grants = `CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'right';
    DO $$ DECLARE t text; BEGIN
      EXECUTE format('ALTER DATABASE %I OWNER TO ${role}', current_database());
      FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
      LOOP EXECUTE format('ALTER TABLE %I OWNER TO ${role}', t); END LOOP;
    END $$`;
  const adapt = (manifest: Manifest): void => {
    for (const { slug, config } of manifest.connections ?? []) {
      if (slug === end && config.connectionType === "postgres")
        Object.assign(config, { user: role, password: "right" });
    }
  };
  const sql = end === "source" ? { sourceSql: grants } : { destinationSql: grants };
  return { adapt, ...sql };
}

const atRole = (
  id: string,
  title: string,
  group: string,
  end: "source" | "sink",
  change: (role: string) => readonly [fault: string, repair: string],
): Fault => ({
  id: `${id}-${end}`,
  group,
  title: `${title} of the ${end}`,
  options: () => {
    return withRole(end);
  },
  async run({ pipeline, last, random }: FaultContext) {
    const database = end === "source" ? pipeline.database : pipeline.destination;
    const [row] = await database.query(
      "SELECT rolname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE datname = current_database()",
    );
    const role = row?.rolname ?? "";
    const [fault, repair] = change(role);
    await database.query(fault);
    await database.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()",
      [role],
    );
    const connector = pipeline[end];
    const isNamed = async () =>
      (await connector?.status())?.units[0]?.lastError?.code.startsWith("POSTGRES_") === true;
    await until(isNamed, 20_000, `the ${end} to name the server`);
    await last(random.int(500, 6_000));
    await database.query(repair);
    const isWell = async () => (await connector?.status())?.units[0]?.role === "active";
    await until(isWell, 30_000, `the ${end} to go on by itself`);
  },
});

const connectionLimit = (end: "source" | "sink"): Fault =>
  atRole("postgres-connection-limit", "connection limit reached for the role", GROUP, end, (role) => [
    `ALTER ROLE ${role} CONNECTION LIMIT 0`,
    `ALTER ROLE ${role} CONNECTION LIMIT -1`,
  ]);

const credentials = (end: "source" | "sink"): Fault =>
  atRole(
    "credentials-changed",
    "password changed and restored",
    "12. Clocks, credentials, certificates",
    end,
    (role) => [`ALTER ROLE ${role} PASSWORD 'wrong'`, `ALTER ROLE ${role} PASSWORD 'right'`],
  );

/** Trouble with the Postgres servers. */
export const POSTGRES: readonly Fault[] = [
  ...(["source", "destination"] as const).flatMap((end) => [
    restart(end, "fast"),
    restart(end, "immediate"),
    killed(end),
    hanging(end),
  ]),
  backPressure,
  ...(["source", "sink"] as const).flatMap((end) => [connectionLimit(end), credentials(end)]),
];
