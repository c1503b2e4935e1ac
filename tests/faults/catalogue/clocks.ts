import type { SpawnedConnector } from "../../support/connector.ts";
import { type Clock, connectorClock, noFaketime, serverClock } from "../harness/clocks.ts";
import { type Fault, type FaultContext, membersOf, roleOf, until } from "../harness/fault.ts";
import { ownPostgres } from "../harness/own-postgres.ts";

const GROUP = "12. Clocks, credentials, certificates";

const HOUR_MS = 3_600_000;
const SESSION_TIMEOUT_MS = 6_000;

const clockOf = ({ servers }: FaultContext): Clock => servers.own?.clock as Clock;

type ClockFault = Pick<Fault, "id" | "title" | "run"> & { sinkArgs?: readonly string[] };

/** Both connectors have a clock that the fault sets. */
const ofConnectors = ({ sinkArgs, ...fault }: ClockFault): Fault => ({
  ...fault,
  group: GROUP,
  servers: async (shared, resources) => ({
    ...shared,
    own: { clock: resources.use(await connectorClock()) },
  }),
  options: ({ own }) => ({
    ...(own?.clock === undefined ? {} : { env: own.clock.env }),
    ...(sinkArgs === undefined ? {} : { sinkArgs }),
  }),
});

/** What a connector last logged tells its own time. */
async function requireClock(connector: SpawnedConnector | undefined, movedMs: number): Promise<void> {
  const movedBy = () => {
    const line = connector?.log.findLast((text) => text.startsWith("{")) ?? "{}";
    return Date.parse((JSON.parse(line) as { time?: string }).time ?? "") - Date.now();
  };
  await until(() => Math.abs(movedBy() - movedMs) < 60_000, 20_000, `a clock that is wrong by ${movedMs} ms`);
}

const standby = ofConnectors({
  id: "clock-back-standby",
  title: "the active source hangs, and is replaced although the clock is set back two hours meanwhile",
  async run(context) {
    const { pipeline, last, random } = context;
    const first = pipeline.source as SpawnedConnector;
    const second = await pipeline.start("source");
    await until(async () => (await roleOf(second)) === "standby", 30_000, "the standby");
    first.signal("SIGSTOP");
    // In the midst of the silence that the standby measures.
    await last(random.int(500, 2_000));
    await clockOf(context).set(-2 * HOUR_MS);
    await until(async () => (await roleOf(second)) === "active", 30_000, "the take-over");
    await requireClock(second, -2 * HOUR_MS);
    await clockOf(context).set(0);
    first.signal("SIGCONT");
    await until(async () => (await roleOf(first)) === "standby", 30_000, "the first to stand by");
    // Set right, it looks like two hours of silence.
    await last(2_000);
    if ((await roleOf(second)) !== "active") throw new Error(`the second is ${await roleOf(second)}`);
  },
});

const group = ofConnectors({
  id: "clock-back-group",
  title: "the connectors' clock is set back two hours: sinks stay in their group, and share what there is",
  sinkArgs: ["--session-timeout-ms", String(SESSION_TIMEOUT_MS)],
  async run(context) {
    const { pipeline, last } = context;
    const members = () => membersOf(context);
    await clockOf(context).set(-2 * HOUR_MS);
    await last(1.5 * SESSION_TIMEOUT_MS);
    await until(async () => (await members()) === 1, 20_000, "the sink to be in its group");
    const first = pipeline.sink as SpawnedConnector;
    await pipeline.requireSaid("sink", "CLOCK_SET_BACK", 20_000);
    const second = await pipeline.start("sink");
    await requireClock(second, -2 * HOUR_MS);
    await until(
      async () =>
        (await members()) === 2 && (await roleOf(first)) === "active" && (await roleOf(second)) === "active",
      30_000,
      "two sinks to share the partitions",
    );
    await last(SESSION_TIMEOUT_MS);
    if ((await members()) !== 2) throw new Error(`${await members()} members are left in the group`);
  },
});

const jumps = ofConnectors({
  id: "clock-jumps",
  title: "the connectors' clock is set back and forth by up to a day, and stays wrong; both are started anew",
  async run(context) {
    const { pipeline, random, last } = context;
    for (let i = 0; i < 6; i++) {
      // Brokers refuse what an hour ahead of them writes.
      const movedMs = random.int(-24 * HOUR_MS, 0.8 * HOUR_MS);
      await clockOf(context).set(movedMs);
      await last(random.int(200, 2_500));
      const kind = ({ 2: "source", 3: "sink" } as const)[i];
      if (kind === undefined) continue;
      await pipeline[kind]?.kill();
      await requireClock(await pipeline.start(kind), movedMs);
    }
  },
});

const ofServer: Fault = {
  id: "clock-postgres",
  group: GROUP,
  title: "Postgres's clock at the source is two hours ahead, then set back three: commit times go back",
  missing: noFaketime,
  servers: async (shared, resources) => {
    const clock = resources.use(await serverClock());
    const servers = await ownPostgres(shared, resources, "source", {
      env: { ...process.env, ...clock.env },
    });
    return { ...servers, own: { ...servers.own, clock } };
  },
  async run(context) {
    const { pipeline, random, last } = context;
    const clock = clockOf(context);
    const told = async () => {
      const [row] = await pipeline.database.query(
        "SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms",
      );
      return Number(row?.ms) - Date.now();
    };
    for (const movedMs of [2 * HOUR_MS, -HOUR_MS, random.int(-12 * HOUR_MS, 0)]) {
      await clock.set(movedMs);
      await until(async () => Math.abs((await told()) - movedMs) < 60_000, 10_000, "the server's clock");
      await last(random.int(500, 3_000));
      if (random.chance(0.5)) await pipeline.source?.kill();
      await pipeline.keepAlive();
    }
  },
};

/** Clocks that are set while everything runs. */
export const CLOCKS: readonly Fault[] = [standby, group, jumps, ofServer];
