import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import { type Stack, startStack } from "../../compose/dev-stack/stack.ts";
import { describeError, RejotError } from "../../shared/errors/error.ts";
import { ERRORS } from "../../shared/errors/table.ts";
import type { KafkaConnection } from "../../shared/manifest/schema.ts";
import { setLogLevel } from "../../shared/observability/logger.ts";
import { Arrivals } from "./demo/arrivals.ts";
import { Business } from "./demo/business/business.ts";
import type { Write } from "./demo/business/write.ts";
import { Connector } from "./demo/connectors.ts";
import { type TopicEvent, type TopicWatch, watchTopics } from "./demo/kafka-events.ts";
import { TeamDatabases } from "./demo/postgres-teams.ts";
import { Story, topicOf } from "./demo/story.ts";
import { createTerminal } from "./demo/terminal.ts";
import { FLOWS, TEAMS } from "./oracle.ts";

/** npm passes Ctrl-C on to a process that the terminal has told already; within this time it is the same one. */
const SAME_SIGNAL_MS = 500;
const PAUSE_ONCE_MS = 120;
const PAUSE_MS = 900;
const CATCH_UP_TIMEOUT_MS = 120_000;
const POLL_MS = 50;

const { once } = new Command("npm run demo --")
  .description("ShopJot: three teams, three databases, and their changes on the way from one to the other.")
  .option(
    "--once",
    "one round of changes, then compare all tables, print the verdict and end with 0 or 1",
    false,
  )
  .parse()
  .opts<{ once: boolean }>();

const terminal = createTerminal(process.stdout, process.env);
const story = new Story(terminal);
const interrupted = new AbortController();
let firstSignalMs: number | undefined;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    const nowMs = Date.now();
    if (firstSignalMs === undefined) {
      firstSignalMs = nowMs;
      interrupted.abort();
    } else if (nowMs - firstSignalMs > SAME_SIGNAL_MS) {
      // The guardian process removes what is left.
      process.exit(130);
    }
  });
}
setLogLevel("fatal");

process.exitCode = await run().catch((error: unknown) => {
  if (interrupted.signal.aborted) return once ? 130 : 0;
  console.error(describeError(error));
  return error instanceof RejotError ? ERRORS[error.code].exitCode : 1;
});
// A download or a start that was interrupted may still be under way.
process.exit();

async function run(): Promise<number> {
  const progress = (text: string): void => terminal.line(terminal.paint("gray", text));
  // Disposed last, after all that uses it.
  await using stack = await unlessInterrupted(startStack({ env: process.env, onProgress: progress }));
  progress("creating the databases of accounts, orders and shop");
  await using databases = new TeamDatabases({
    connectionType: "postgres",
    host: stack.postgres.host,
    port: stack.postgres.port,
    user: stack.postgres.user,
    password: stack.postgres.password,
  });
  await unlessInterrupted(databases.create());
  progress("starting the source and the sink connector");
  const env = { ...process.env, ...addresses(stack) };
  await using source = await Connector.start("source", env);
  await using sink = await Connector.start("sink", env);
  await unlessInterrupted(Promise.all([source.ready(), sink.ready()]));

  const arrivals = new Arrivals<TopicEvent>();
  const tell = (arrived: ReturnType<typeof arrivals.event>): void => {
    for (const { event, arrivedMs } of arrived) story.arrival(event, arrivedMs);
  };
  for (const team of new Set(FLOWS.map((flow) => flow.to))) {
    await databases.watchProgress(team, (places, atMs) => {
      for (const place of places) tell(arrivals.progress(place, atMs));
    });
  }
  await using topics = await unlessInterrupted(
    watchTopics(kafkaConnection(stack), FLOWS.map(topicOf), (event) => tell(arrivals.event(event))),
  );
  progress(`ready${once ? "" : "; Ctrl-C ends it"}\n`);
  const ended = Promise.race([source.failed, sink.failed]);
  // Awaited here: whatever is returned unawaited outlives the resources above.
  if (once) return await unlessInterrupted(Promise.race([ended, oneRound(databases, topics, arrivals)]));
  await Promise.race([ended, goOn(databases)]);
  terminal.line(`\n  ${story.summary()}`);
  progress("stopping");
  return 0;
}

/** One round, the end of it, and the verdict. */
async function oneRound(
  databases: TeamDatabases,
  topics: TopicWatch,
  arrivals: Arrivals<TopicEvent>,
): Promise<number> {
  for (const write of business().firstRound()) {
    await commit(databases, write);
    await delay(PAUSE_ONCE_MS);
  }
  const deadline = Date.now() + CATCH_UP_TIMEOUT_MS;
  while (Date.now() < deadline && !(await caughtUp(databases, topics, arrivals))) await delay(POLL_MS);
  return story.verdict(await databases.compare(), arrivals.waiting) ? 0 : 1;
}

/** Every change is in its topic, and every event of the topics in its destination. */
async function caughtUp(
  databases: TeamDatabases,
  topics: TopicWatch,
  arrivals: Arrivals<TopicEvent>,
): Promise<boolean> {
  for (const team of TEAMS) {
    if ((await databases.published(team)) <= (story.lastWrite(team) ?? -1n)) return false;
  }
  return (await topics.caughtUp()) && arrivals.waiting === 0;
}

/** Until Ctrl-C. */
async function goOn(databases: TeamDatabases): Promise<void> {
  const shopJot = business();
  const first = shopJot.firstRound();
  while (!interrupted.signal.aborted) {
    await commit(databases, first.shift() ?? shopJot.next());
    await delay(PAUSE_MS, undefined, { signal: interrupted.signal }).catch(() => {});
  }
}

async function commit(databases: TeamDatabases, write: Write): Promise<void> {
  await databases.write(write, (lsn) => story.write(write, lsn));
}

function business(): Business {
  return new Business({ random: Math.random, uuid: randomUUID });
}

/** What the manifests of ShopJot refer to. */
function addresses(stack: Stack): Record<string, string> {
  return {
    SHOPJOT_POSTGRES_HOST: stack.postgres.host,
    SHOPJOT_POSTGRES_PORT: String(stack.postgres.port),
    SHOPJOT_POSTGRES_USER: stack.postgres.user,
    SHOPJOT_POSTGRES_PASSWORD: stack.postgres.password,
    SHOPJOT_KAFKA_BROKER: stack.kafka.brokers[0] ?? "",
    SHOPJOT_SCHEMA_REGISTRY: stack.registry.url,
  };
}

function kafkaConnection(stack: Stack): KafkaConnection {
  return {
    connectionType: "kafka",
    brokers: stack.kafka.brokers,
    schemaRegistry: { url: stack.registry.url },
  };
}

/** Ctrl-C must not wait for a download to end; what is under way then ends with the process. */
async function unlessInterrupted<T>(work: Promise<T>): Promise<T> {
  const { signal } = interrupted;
  return Promise.race([
    work,
    new Promise<never>((_, reject) => {
      signal.throwIfAborted();
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    }),
  ]);
}
