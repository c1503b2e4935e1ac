import type pg from "pg";
import { type Fault, type FaultContext, until } from "../harness/fault.ts";
import type { Pipeline } from "../harness/pipeline.ts";

const GROUP = "11. Destination's conflicts";

/** Other sessions that work on the destination's rows, without changing what is in them. */
async function disturb(
  { pipeline, random, last }: FaultContext,
  sessions: number,
  transaction: (client: pg.Client) => Promise<unknown>,
): Promise<void> {
  const untilMs = Date.now() + random.int(4_000, 7_000);
  const work = async (): Promise<void> => {
    const client = await pipeline.destination.connect();
    while (Date.now() < untilMs) {
      await client.query("BEGIN");
      await transaction(client).catch(() => {});
      await client.query("ROLLBACK");
      await last(random.int(0, 20));
    }
    await client.end();
  };
  await Promise.all(Array.from({ length: sessions }, work));
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
    disturb(context, 3, async (client) => {
      for (let i = 0; i < 6; i++) {
        const table = context.random.pick(["items", "tally"]);
        await client.query(`SELECT FROM ${table} WHERE id = $1 FOR UPDATE`, [context.random.int(1, 80)]);
      }
    }),
};

const serialization: Fault = {
  id: "destination-serialization",
  group: GROUP,
  title: "serialization failures: the destination's default isolation is serializable",
  options: () => ({
    destinationSql: `DO $$ BEGIN EXECUTE format(
      'ALTER DATABASE %I SET default_transaction_isolation = ''serializable''', current_database()); END $$`,
  }),
  run: (context) =>
    disturb(context, 3, async (client) => {
      await client.query("SELECT sum(events) FROM tally");
      await client.query("UPDATE tally SET events = events WHERE id = $1", [context.random.int(1, 80)]);
      await client.query("SELECT sum(n) FROM items");
    }),
};

const lockTimeout: Fault = {
  id: "destination-lock-timeout",
  group: GROUP,
  title: "a table is locked for longer than lock-timeout-ms",
  options: () => ({ sinkArgs: ["--lock-timeout-ms", "300"] }),
  async run({ pipeline, random, last }) {
    const client = await pipeline.destination.connect();
    await client.query("BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE");
    await last(random.int(1_500, 5_000));
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
    await client.query("SET statement_timeout = 0; BEGIN; LOCK TABLE tally IN ACCESS EXCLUSIVE MODE");
    await context.last(4_000);
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
    await setDefault(context, "default_transaction_read_only", "on");
    await context.last(context.random.int(1_000, 4_000));
    await setDefault(context, "default_transaction_read_only", null);
  },
};

const longLock: Fault = {
  id: "destination-long-lock",
  group: "7. Groups and topics",
  title: "a batch waits for a lock for longer than the group's session timeout",
  async run({ pipeline, last }) {
    const client = await pipeline.destination.connect();
    await client.query("BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE");
    await last(9_000);
    await client.query("COMMIT");
    await client.end();
  },
};

const foreignKey: Fault = {
  id: "destination-foreign-key",
  group: GROUP,
  title: "rows refer to rows of another topic that are not there yet: their topic waits for it",
  async run({ pipeline, last, random }) {
    await pipeline.sink?.kill();
    await pipeline.destination.query(
      `TRUNCATE items, tally, owners, rejot.progress;
       ALTER TABLE items ADD FOREIGN KEY (owner) REFERENCES owners (id)`,
    );
    await pipeline.start("sink");
    await last(random.int(500, 3_000));
    requireRunning(pipeline);
  },
};

const poisonRepaired: Fault = {
  id: "poison-constraint-stop",
  group: "10. Poison",
  title:
    "a constraint refuses an event under `stop`: its topic stands still; the constraint goes, it goes on",
  async run({ pipeline, random, last }) {
    await pipeline.destination.query("ALTER TABLE items ADD CONSTRAINT no_odd CHECK (n % 7 <> 3) NOT VALID");
    const refused = () => pipeline.sink?.log.some((line) => line.includes("SINK_EVENT_FAILED")) === true;
    await until(refused, 40_000, "the sink to name the event");
    await last(random.int(0, 5_000));
    requireRunning(pipeline);
    await pipeline.destination.query("ALTER TABLE items DROP CONSTRAINT no_odd");
  },
};

function requireRunning({ sink }: Pipeline): void {
  if (sink?.running !== true) throw new Error(`the sink has ended:\n${sink?.logTail()}`);
}

/** The statement of one event fails by itself, until the destination is mended. */
const poison = (id: string, title: string, fault: string, repair: string): Fault => ({
  id: `poison-${id}-stop`,
  group: "10. Poison",
  title: `${title} under \`stop\`: its topic stands still; it is mended, the topic goes on`,
  async run({ pipeline, random, last }) {
    await pipeline.destination.query(fault);
    await last(random.int(0, 1_000));
    await pipeline.database.query("INSERT INTO items VALUES (5000, 1, 100000, nextval('versions'), NULL)");
    const refused = () => pipeline.sink?.log.some((line) => line.includes("SINK_EVENT_FAILED")) === true;
    await until(refused, 40_000, "the sink to name the event");
    await last(random.int(0, 5_000));
    requireRunning(pipeline);
    await pipeline.destination.query(repair);
  },
});

const outOfRange = poison(
  "out-of-range",
  "a value is out of its column's range",
  "ALTER TABLE items ALTER COLUMN n TYPE smallint",
  "ALTER TABLE items ALTER COLUMN n TYPE bigint",
);

const sqlError = poison(
  "sql-error",
  "a trigger raises an error",
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
  longLock,
  foreignKey,
  poisonRepaired,
  outOfRange,
  sqlError,
];
