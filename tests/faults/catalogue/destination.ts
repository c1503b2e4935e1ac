import type pg from "pg";
import type { Random } from "../../support/random.ts";
import { type Fault, type FaultContext, inTime, until } from "../harness/fault.ts";
import type { Pipeline } from "../harness/pipeline.ts";
import { isRefusal } from "../harness/wire.ts";

const REFUSAL_MS = 60_000;
const GROUP = "11. Destination's conflicts";

/** Waits until the server has refused a statement of the sink with a SQLSTATE; call it before what causes that. */
function refusal({ pipeline }: FaultContext, sqlState: string): Promise<unknown> {
  const seen = pipeline.links.destinationPostgres.seen((message) => isRefusal(message, sqlState));
  return inTime(seen, REFUSAL_MS, `the server to refuse the sink with ${sqlState}`);
}

/** Other sessions that work on the destination's rows, without changing what is in them, until the sink was refused. */
async function disturb(
  context: FaultContext,
  { sessions, sqlState, end }: { sessions: number; sqlState: string; end: "COMMIT" | "ROLLBACK" },
  transaction: (client: pg.Client, random: Random) => Promise<unknown>,
): Promise<void> {
  const { pipeline, random, last } = context;
  const refused = refusal(context, sqlState);
  const leastMs = random.int(4_000, 7_000);
  let goesOn = true;
  const work = async (own: Random): Promise<void> => {
    const client = await pipeline.destination.connect();
    while (goesOn) {
      await client.query("BEGIN");
      await transaction(client, own).catch(() => {});
      await client.query(end).catch(() => {});
      await last(own.int(0, 20));
    }
    await client.end();
  };
  const working = Promise.all(Array.from({ length: sessions }, () => work(random.fork())));
  await Promise.all([refused, last(leastMs)]).finally(() => {
    goesOn = false;
  });
  await working;
}

const deadlock: Fault = {
  id: "destination-deadlock",
  group: GROUP,
  title: "deadlocks with sessions that lock the same rows in another order",
  quickSeed: 61,
  options: () => ({
    destinationSql: `DO $$ BEGIN
      EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''20ms''', current_database()); END $$`,
  }),
  run: (context) =>
    disturb(context, { sessions: 3, sqlState: "40P01", end: "ROLLBACK" }, async (client, random) => {
      for (let i = 0; i < 6; i++) {
        const table = random.pick(["items", "tally"]);
        await client.query(`SELECT FROM ${table} WHERE id = $1 FOR UPDATE`, [random.int(1, 80)]);
      }
    }),
};

const serialization: Fault = {
  id: "destination-serialization",
  group: GROUP,
  title: "serialization failures: the default isolation is serializable, and others write the same rows",
  options: () => ({
    destinationSql: `DO $$ BEGIN EXECUTE format(
      'ALTER DATABASE %I SET default_transaction_isolation = ''serializable''', current_database()); END $$`,
  }),
  run: (context) =>
    disturb(context, { sessions: 3, sqlState: "40001", end: "COMMIT" }, async (client, random) => {
      await client.query("SELECT sum(upserts) FROM tally");
      await client.query("UPDATE tally SET upserts = upserts WHERE id = $1", [random.int(1, 80)]);
      await client.query("SELECT sum(n) FROM items");
    }),
};

const lockTimeout: Fault = {
  id: "destination-lock-timeout",
  group: GROUP,
  title: "a table is locked for longer than lock-timeout-ms",
  options: () => ({ sinkArgs: ["--lock-timeout-ms", "300"] }),
  async run(context) {
    const { pipeline, random, last } = context;
    const refused = refusal(context, "55P03");
    const client = await pipeline.destination.connect();
    await client.query("BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE");
    await Promise.all([refused, last(random.int(1_500, 5_000))]);
    await client.query("COMMIT");
    await client.end();
  },
};

/** Sets the database's default and has the sink connect again, so that it gets it. */
async function setDefault({ pipeline }: FaultContext, setting: string, value: string | null): Promise<void> {
  const { destination } = pipeline;
  const change = value === null ? `RESET ${setting}` : `SET ${setting} = '${value}'`;
  const client = await destination.connect();
  await client.query("SET default_transaction_read_only = off");
  await client.query(`ALTER DATABASE "${destination.name}" ${change}`);
  await client.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'rejot%'",
  );
  await client.end();
}

const statementTimeout: Fault = {
  id: "destination-statement-timeout",
  group: GROUP,
  title: "statement_timeout ends every batch while a table is locked",
  async run(context) {
    await setDefault(context, "statement_timeout", "400ms");
    const client = await context.pipeline.destination.connect();
    const refused = refusal(context, "57014");
    await client.query("SET statement_timeout = 0; BEGIN; LOCK TABLE tally IN ACCESS EXCLUSIVE MODE");
    await Promise.all([refused, context.last(4_000)]);
    await client.query("COMMIT");
    await client.end();
    await setDefault(context, "statement_timeout", null);
  },
};

const readOnly: Fault = {
  id: "destination-read-only",
  group: GROUP,
  title: "the destination is read-only for a while",
  async run(context) {
    const refused = refusal(context, "25006");
    await setDefault(context, "default_transaction_read_only", "on");
    await Promise.all([refused, context.last(context.random.int(1_000, 4_000))]);
    await setDefault(context, "default_transaction_read_only", null);
  },
};

const foreignKey: Fault = {
  id: "destination-foreign-key",
  group: GROUP,
  title: "rows refer to rows of another topic that are not there yet: their topic waits for it",
  async run(context) {
    const { pipeline, last, random } = context;
    await pipeline.sink?.kill();
    await pipeline.destination.query(
      `TRUNCATE items, tally, owners, rejot.progress;
       ALTER TABLE items ADD FOREIGN KEY (owner) REFERENCES owners (id)`,
    );
    const refused = refusal(context, "23503");
    await pipeline.start("sink");
    await Promise.all([refused, last(random.int(500, 3_000))]);
    requireRunning(pipeline);
  },
};

const poisonRepaired: Fault = {
  id: "poison-constraint-stop",
  group: "10. Poison",
  title:
    "a constraint refuses an event under `stop`: its consumer schema stands still; the constraint goes, it catches up",
  async run(context) {
    const { pipeline, random, last } = context;
    const refused = refusal(context, "23514");
    await pipeline.destination.query("ALTER TABLE items ADD CONSTRAINT no_odd CHECK (n % 7 <> 3) NOT VALID");
    await refused;
    await pipeline.requireSaid("sink", "SINK_EVENT_FAILED", 40_000);
    await last(random.int(0, 5_000));
    requireRunning(pipeline);
    await pipeline.destination.query("ALTER TABLE items DROP CONSTRAINT no_odd");
  },
};

const poisonKilled: Fault = {
  id: "poison-constraint-stop-killed",
  group: "10. Poison",
  title:
    "a constraint refuses events of the consumer schema that adds, under `stop`; the others of its topic go on, the sink is killed again and again; the constraint goes, it catches up",
  async run(context) {
    const { pipeline, random, last } = context;
    const refused = refusal(context, "23514");
    await pipeline.destination.query(
      "ALTER TABLE tally ADD CONSTRAINT no_third CHECK (upserts % 7 <> 3) NOT VALID",
    );
    await refused;
    await pipeline.requireSaid("sink", "SINK_EVENT_FAILED", 40_000);
    const copied = async () => {
      const [row] = await pipeline.destination.query("SELECT max(v) AS v FROM items");
      return Number(row?.v);
    };
    for (let i = 0; i < 4; i++) {
      const before = await copied();
      await until(async () => (await copied()) > before, 60_000, "the other consumer schema to go on");
      await last(random.int(0, 1_500));
      await pipeline.sink?.kill();
      await pipeline.start("sink");
    }
    await last(random.int(0, 2_000));
    await pipeline.destination.query("ALTER TABLE tally DROP CONSTRAINT no_third");
  },
};

function requireRunning({ sink }: Pipeline): void {
  if (sink?.running !== true) throw new Error(`the sink has ended:\n${sink?.logTail()}`);
}

/** The statement of one event fails by itself, until the destination is mended. */
const poison = (id: string, title: string, sqlState: string, fault: string, repair: string): Fault => ({
  id: `poison-${id}-stop`,
  group: "10. Poison",
  title: `${title} under \`stop\`: its consumer schema stands still; it is mended, and it catches up`,
  async run(context) {
    const { pipeline, random, last } = context;
    const refused = refusal(context, sqlState);
    await pipeline.destination.query(fault);
    await last(random.int(0, 1_000));
    await pipeline.database.query("INSERT INTO items VALUES (5000, 1, 100000, nextval('versions'), NULL)");
    await refused;
    await pipeline.requireSaid("sink", "SINK_EVENT_FAILED", 40_000);
    await last(random.int(0, 5_000));
    requireRunning(pipeline);
    await pipeline.destination.query(repair);
  },
});

const outOfRange = poison(
  "out-of-range",
  "a value is out of its column's range",
  "22003",
  "ALTER TABLE items ALTER COLUMN n TYPE smallint",
  "ALTER TABLE items ALTER COLUMN n TYPE bigint",
);

const sqlError = poison(
  "sql-error",
  "a trigger raises an error",
  "P0001",
  `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
     'BEGIN IF NEW.n >= 100000 THEN RAISE EXCEPTION ''no''; END IF; RETURN NEW; END';
   CREATE TRIGGER refuses BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION refuse()`,
  "DROP TRIGGER refuses ON items",
);

/** Trouble inside the destination. */
export const DESTINATION: readonly Fault[] = [
  deadlock,
  serialization,
  lockTimeout,
  statementTimeout,
  readOnly,
  foreignKey,
  poisonRepaired,
  poisonKilled,
  outOfRange,
  sqlError,
];
