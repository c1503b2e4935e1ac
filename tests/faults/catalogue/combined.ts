import type { Fault, FaultContext } from "../harness/fault.ts";
import type { Link } from "../harness/link.ts";

type Trouble = (context: FaultContext) => Promise<void>;

const linksOf = ({ pipeline, random }: FaultContext): readonly Link[] =>
  random.pick([
    [pipeline.links.sourcePostgres],
    pipeline.links.sourceKafka,
    pipeline.links.sinkKafka,
    [pipeline.links.destinationPostgres],
  ]);

const TROUBLES: readonly Trouble[] = [
  async (context) => {
    const links = linksOf(context);
    for (const link of links) link.cut();
    await context.last(context.random.int(200, 4_000));
    for (const link of links) link.heal();
  },
  async (context) => {
    const links = linksOf(context);
    for (const link of links) link.stall();
    await context.last(context.random.int(1_000, 6_000));
    for (const link of links) link.heal();
  },
  async (context) => {
    for (const link of linksOf(context)) link.reset();
  },
  async ({ pipeline, random }) => {
    const kind = random.pick(["source", "sink"] as const);
    await pipeline[kind]?.kill(random.pick(["SIGKILL", "SIGTERM"]));
    await pipeline.keepAlive();
  },
  async ({ pipeline, random, last }) => {
    const front = random.pick([pipeline.links.sourceRegistry, pipeline.links.sinkRegistry]);
    front.mood = random.pick(["down", "hang", { status: 500, body: "" }] as const);
    await last(random.int(500, 4_000));
    front.mood = "pass";
  },
  async ({ pipeline, random, last }) => {
    const client = await pipeline.destination.connect();
    await client.query("BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE");
    await last(random.int(200, 4_000));
    await client.query("ROLLBACK");
    await client.end();
  },
];

const AT_ONCE = 3;

/** Several of them at once, each beginning when it likes. */
const combined: Fault = {
  id: "combined",
  group: "14. Several at once",
  title:
    "three at once, four times: links cut, stalled and reset, kills and stops, registries away, tables locked; each as the seed likes",
  recoveryMs: 120_000,
  options: () => ({ sinkArgs: ["--apply-timeout-ms", "8000"] }),
  async run(context) {
    const { random, last } = context;
    for (let round = 0; round < 4; round++) {
      const troubles = Array.from({ length: AT_ONCE }, () => ({
        trouble: random.pick(TROUBLES),
        own: random.fork(),
      }));
      await Promise.all(
        troubles.map(async ({ trouble, own }) => {
          await last(own.int(0, 2_000));
          await trouble({ ...context, random: own });
        }),
      );
      await last(random.int(0, 1_500));
    }
  },
};

/** What comes seldom alone. */
export const COMBINED: readonly Fault[] = [combined];
