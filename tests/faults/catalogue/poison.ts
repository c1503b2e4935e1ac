import { runToEnd } from "../../support/connector.ts";
import { type Fault, type FaultContext, inTime, until, untilEqual, type Verdict } from "../harness/fault.ts";
import { checkTopics, checkVerify, compareDatabases } from "../harness/oracle.ts";
import type { Pipeline } from "../harness/pipeline.ts";
import { isRefusal } from "../harness/wire.ts";

const RECOVERY_MS = 90_000;

/** What the destination refuses for a while, in three ways: some of the events of every key. */
const POISONS = [
  {
    sqlState: "23514",
    begin: "ALTER TABLE items ADD CONSTRAINT poison CHECK (n % 5 <> 2) NOT VALID",
    end: "ALTER TABLE items DROP CONSTRAINT poison",
  },
  {
    sqlState: "P0001",
    begin: `CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF NEW.n % 5 = 2 THEN RAISE EXCEPTION ''poison''; END IF; RETURN NEW; END';
      CREATE TRIGGER poison BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION poison()`,
    end: "DROP TRIGGER poison ON items",
  },
  {
    sqlState: "22003",
    begin: `CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF NEW.n % 5 = 2 THEN NEW.n := 9223372036854775807 + NEW.n; END IF; RETURN NEW; END';
      CREATE TRIGGER poison BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION poison()`,
    end: "DROP TRIGGER poison ON items",
  },
];
const TALLY_POISON = {
  begin: "ALTER TABLE tally ADD CONSTRAINT poison CHECK (upserts % 7 <> 3) NOT VALID",
  end: "ALTER TABLE tally DROP CONSTRAINT poison",
};

/** What adds wants every event; the copies only what no newer event has replaced. */
const REPLAYS = [
  ["--schema", "tally-items", "--even-if-superseded"],
  ["--schema", "copy-items"],
];

function replay(pipeline: Pipeline, flags: readonly string[], timeoutMs?: number) {
  const args = ["dead-letters", "replay", pipeline.sinkManifest, "--all", ...flags];
  return runToEnd("cli/main.ts", args, timeoutMs === undefined ? {} : { timeoutMs });
}

async function waitingOf({ destination }: Pipeline): Promise<number> {
  const [row] = await destination.query(
    "SELECT count(*) AS n FROM rejot.dead_letters WHERE state = 'waiting'",
  );
  return Number(row?.n);
}

/** The last letters are applied once all events have been passed; then the destination has everything, once. */
async function judge({ pipeline }: FaultContext): Promise<Verdict> {
  const verdict = await untilEqual(pipeline, RECOVERY_MS, async () => {
    for (const flags of REPLAYS) {
      const { exitCode, stdout, stderr } = await replay(pipeline, flags);
      if (exitCode !== 0) return [`replay ended with ${exitCode}: ${stdout}${stderr}`];
    }
    const waiting = await waitingOf(pipeline);
    return waiting > 0 ? [`${waiting} letters wait`] : compareDatabases(pipeline);
  });
  if (verdict.complaints.length > 0) return verdict;
  // Versions of a key may grow in another order where letters are applied behind newer events.
  const besides = ["destination tally-items"];
  const complaints = [...(await checkTopics(pipeline)), ...(await checkVerify(pipeline, { besides }))];
  return { ...verdict, complaints };
}

const replayed: Fault = {
  id: "poison-dlq-replay",
  group: "10. Poison",
  title:
    "constraints, triggers or ranges refuse events under `dlq`; once they are gone the letters are replayed under load, by two at once, and killed",
  options: () => ({ onError: "dlq" }),
  judge,
  async run({ pipeline, random, last }) {
    const poison = random.pick(POISONS);
    const refused = pipeline.links.destinationPostgres.seen((message) => isRefusal(message, poison.sqlState));
    for (const { begin } of [poison, TALLY_POISON]) await pipeline.destination.query(begin);
    await inTime(refused, 60_000, `the server to refuse events with ${poison.sqlState}`);
    const enough = random.int(20, 200);
    await until(async () => (await waitingOf(pipeline)) > enough, 60_000, "dead letters");
    if (random.chance(0.5)) await pipeline.sink?.kill();
    await pipeline.keepAlive();
    for (const { end } of [poison, TALLY_POISON]) await pipeline.destination.query(end);
    for (let round = 0; round < 3; round++) {
      await Promise.all(
        [...REPLAYS, ...REPLAYS].map(async (flags) => {
          const own = random.fork();
          await last(own.int(0, 500));
          return replay(pipeline, flags, own.int(1_000, 6_000));
        }),
      );
    }
  },
};

/** Events that cannot be applied. */
export const POISON: readonly Fault[] = [replayed];
