import type { Manifest } from "../../../shared/manifest/schema.ts";
import { randomName } from "../../support/names.ts";
import { type Fault, type FaultContext, inTime, until } from "../harness/fault.ts";
import { ownPostgres } from "../harness/own-postgres.ts";
import type { PipelineOptions } from "../harness/pipeline.ts";
import { insertRows } from "../harness/tables.ts";
import { isRefusal } from "../harness/wire.ts";

const GROUP = "5. Postgres";

const SIGNALS = { fast: "SIGINT", immediate: "SIGQUIT" } as const;

const restart = (end: "source" | "destination", how: keyof typeof SIGNALS): Fault => ({
  id: `postgres-${end}-${how}`,
  ...(end === "destination" && how === "immediate" ? { quickSeed: 51 } : {}),
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
  async run({ pipeline, servers, last, random }) {
    const client = await (end === "source" ? pipeline.database : pipeline.destination).connect();
    servers.own?.postgres?.signalAll("SIGSTOP");
    // Also of a session that is open already, which is a process of its own.
    let hasAnswered = false;
    const answer = client.query("SELECT 1").then(() => {
      hasAnswered = true;
    });
    await last(random.int(3_000, 14_000));
    if (hasAnswered) throw new Error("the server answers, although it hangs");
    servers.own?.postgres?.signalAll("SIGCONT");
    await answer;
  },
});

const SENDER = "SELECT active_pid AS pid FROM pg_replication_slots WHERE slot_name = $1";

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
    const [{ pid } = {}] = await pipeline.database.query(SENDER, [pipeline.slotName]);
    for (const link of pipeline.links.sourceKafka) link.stall();
    await pipeline.database.query(insertRows(1_000, 20_000, "x".repeat(100)));
    await last(9_000);
    // It has answered Postgres all the while, although it cannot take more: the same process still sends to it.
    const [now] = await pipeline.database.query(SENDER, [pipeline.slotName]);
    if (pid === undefined || now?.pid !== pid)
      throw new Error(`the sender was ${pid}, now it is ${now?.pid}`);
    const [behind] = await pipeline.database.query(
      "SELECT pg_current_wal_lsn() - flush_lsn AS bytes FROM pg_stat_replication WHERE pid = $1",
      [pid],
    );
    if (Number(behind?.bytes) < 1_000_000) throw new Error(`nothing has piled up: ${behind?.bytes} bytes`);
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
  sqlState: string,
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
    const link = end === "source" ? pipeline.links.sourcePostgres : pipeline.links.destinationPostgres;
    const refused = link.seen((message) => isRefusal(message, sqlState));
    await database.query(fault);
    await database.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()",
      [role],
    );
    await inTime(refused, 20_000, `the server to refuse with ${sqlState}`);
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
  atRole(
    "postgres-connection-limit",
    "connection limit reached for the role",
    GROUP,
    end,
    "53300",
    (role) => [`ALTER ROLE ${role} CONNECTION LIMIT 0`, `ALTER ROLE ${role} CONNECTION LIMIT -1`],
  );

const credentials = (end: "source" | "sink"): Fault =>
  atRole(
    "credentials-changed",
    "password changed and restored",
    "12. Clocks, credentials, certificates",
    end,
    "28P01",
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
