import { expect, test } from "vitest";
import type { ConnectorStatus } from "../../shared/http/status.ts";
import { type SpawnedConnector, spawnConnector } from "../support/connector.ts";
import { seededRandom } from "../support/random.ts";
import { startSink } from "../support/running-sink.ts";
import { type FixtureEvent, type SinkFixture, sinkFixture } from "../support/sink-fixture.ts";
import { waitFor } from "../support/wait-for.ts";

const KEYS = 40;

/** A statement that shows every event that is applied twice or never. */
const ADDING = {
  schemas: [
    {
      name: "step",
      properties: { id: { type: "integer" }, n: { type: "integer" } },
      required: ["id", "n"],
      key: ["id"],
      partitions: 6,
    },
  ],
  consumers: [
    {
      name: "adding",
      schema: "step",
      sql: `INSERT INTO counter AS c (id, events, last) VALUES (:id, 1, :n)
        ON CONFLICT (id) DO UPDATE SET events = c.events + 1, last = :n,
          disorder = c.disorder + CASE WHEN :n = c.last + 1 THEN 0 ELSE 1 END`,
    },
  ],
  sql: `CREATE TABLE counter (id bigint PRIMARY KEY, events bigint NOT NULL, last bigint NOT NULL,
    disorder bigint NOT NULL DEFAULT 0)`,
};

/** Each key counts up from 1, so that a gap, a repetition or a swap shows. */
class Steps {
  readonly #last = new Map<number, number>();
  published = 0;

  next(count: number): FixtureEvent[] {
    return Array.from({ length: count }, () => {
      const id = this.published++ % KEYS;
      const n = (this.#last.get(id) ?? 0) + 1;
      this.#last.set(id, n);
      return { key: { id }, value: { id, n } };
    });
  }
}

async function applied(fixture: SinkFixture): Promise<number> {
  const [row] = await fixture.database.query("SELECT coalesce(sum(events), 0) AS n FROM counter");
  return Number(row?.n);
}

/** Publishes all the time, but never far ahead of the sink: the end would be long in coming. */
function startLoad(fixture: SinkFixture, steps: Steps, size: number): { stop(): Promise<void> } {
  let publishing = true;
  const load = (async () => {
    while (publishing) {
      await fixture.publish("step", steps.next(size));
      await waitFor(async () => !publishing || steps.published - (await applied(fixture)) < 10 * size, {
        describe: "the sink to follow",
        timeoutMs: 120_000,
      });
    }
  })();
  load.catch(() => {});
  return {
    stop: async () => {
      publishing = false;
      await load;
    },
  };
}

async function expectEachOnce(fixture: SinkFixture, steps: Steps, log: () => string): Promise<void> {
  await waitFor(async () => (await applied(fixture)) >= steps.published, {
    describe: () => `${steps.published} events to be applied; ${log()}`,
    timeoutMs: 90_000,
  });
  const [row] = await fixture.database.query(
    "SELECT sum(events) AS events, sum(last) AS last, sum(disorder) AS disorder FROM counter",
  );
  expect(row).toEqual({ events: String(steps.published), last: String(steps.published), disorder: "0" });
}

test("each event is applied once when the sink is killed with -9 at ten random moments under load", async () => {
  const random = seededRandom("kills of the sink");
  await using fixture = await sinkFixture(ADDING);
  const steps = new Steps();
  const load = startLoad(fixture, steps, 500);
  let last: SpawnedConnector | undefined;
  try {
    for (let round = 0; round < 10; round++) {
      await using sink = await spawnConnector("sink", [fixture.manifestPath], {
        env: { REJOT_SINK_MAX_ROWS: "200", REJOT_SINK_LOG_LEVEL: "warn" },
      });
      last = sink;
      const before = await applied(fixture);
      const further = random.int(0, 1_500);
      // The moment of death lies inside a batch or between two: which one differs from round to round.
      await waitFor(async () => (await applied(fixture)) > before + further, {
        describe: () => `progress in round ${round}: ${sink.logTail()}`,
        timeoutMs: 60_000,
        intervalMs: 5,
      });
      await sink.kill();
    }
  } finally {
    await load.stop();
  }
  await using sink = await startSink(fixture.manifestPath);
  await expectEachOnce(fixture, steps, () => `${JSON.stringify(sink.unit())} ${last?.logTail()}`);
}, 360_000);

test("each event is applied once when sinks join and leave the group under load", async () => {
  await using fixture = await sinkFixture(ADDING);
  const steps = new Steps();
  const load = startLoad(fixture, steps, 300);
  const partitionsOf = (sink: { unit(): { details?: Record<string, unknown> } }): number =>
    (sink.unit().details?.partitions as unknown[] | undefined)?.length ?? 0;
  try {
    await using first = await startSink(fixture.manifestPath, { maxRows: 100 });
    await first.eventually(async () => partitionsOf(first) === 6, "the first sink to read everything");
    for (let round = 0; round < 3; round++) {
      await using second = await startSink(fixture.manifestPath, { maxRows: 100 });
      await second.eventually(
        async () => partitionsOf(first) === 3 && partitionsOf(second) === 3,
        "the two to share the partitions",
      );
      const before = await applied(fixture);
      await first.eventually(async () => (await applied(fixture)) > before + 500, "both to make progress");
    }
    await load.stop();
    await expectEachOnce(fixture, steps, () => JSON.stringify(first.unit()));
  } finally {
    await load.stop();
  }
}, 240_000);

test("a sink that is killed is replaced by another within 10 seconds, and nothing is applied twice", async () => {
  await using fixture = await sinkFixture(ADDING);
  const steps = new Steps();
  await fixture.publish("step", steps.next(200));
  const env = { REJOT_SINK_LOG_LEVEL: "warn" };
  await using first = await spawnConnector("sink", [fixture.manifestPath], { env });
  await first.waitForReady();
  await using second = await spawnConnector("sink", [fixture.manifestPath], { env });
  await second.waitForReady();
  await waitFor(
    async () => {
      const { units } = (await second.get("/status")).body as ConnectorStatus;
      return (units[0]?.details?.partitions as unknown[] | undefined)?.length === 3;
    },
    { describe: () => `the second sink to get its share: ${second.logTail()}` },
  );
  await first.kill();
  const killedAtMs = Date.now();
  await fixture.publish("step", steps.next(400));
  await expectEachOnce(fixture, steps, () => second.logTail());
  expect(Date.now() - killedAtMs).toBeLessThan(10_000);
}, 120_000);

test("a sink that hangs until it is replaced, then wakes, applies nothing a second time", async () => {
  await using fixture = await sinkFixture(ADDING);
  const steps = new Steps();
  const env = { REJOT_SINK_LOG_LEVEL: "warn", REJOT_SINK_MAX_ROWS: "20" };
  await using sleeper = await spawnConnector("sink", [fixture.manifestPath], { env });
  await sleeper.waitForReady();
  await fixture.publish("step", steps.next(4_000));
  await waitFor(async () => (await applied(fixture)) > 100, {
    describe: "the sleeper to work",
    intervalMs: 5,
  });
  sleeper.signal("SIGSTOP");
  const asleepAt = await applied(fixture);
  await using other = await spawnConnector("sink", [fixture.manifestPath], { env });
  await waitFor(async () => (await applied(fixture)) > asleepAt + 100, {
    describe: () => `the other to take over: ${other.logTail()}`,
    timeoutMs: 60_000,
  });
  sleeper.signal("SIGCONT");
  await fixture.publish("step", steps.next(500));
  await expectEachOnce(fixture, steps, () => `${sleeper.logTail()}\n${other.logTail()}`);
}, 180_000);

test("each event is applied once when the destination is restored to an earlier state", async () => {
  await using fixture = await sinkFixture(ADDING);
  const steps = new Steps();
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("step", steps.next(300));
  await sink.eventually(async () => (await applied(fixture)) === 300, "the first events");
  await fixture.database.query(
    "CREATE TABLE counter_backup AS TABLE counter; CREATE TABLE progress_backup AS TABLE rejot.progress",
  );
  await fixture.publish("step", steps.next(300));
  await sink.eventually(async () => (await applied(fixture)) === 600, "the second events");
  await fixture.database.query(`BEGIN; TRUNCATE counter, rejot.progress; INSERT INTO counter TABLE counter_backup;
    INSERT INTO rejot.progress TABLE progress_backup; COMMIT`);
  await fixture.publish("step", steps.next(300));
  await expectEachOnce(fixture, steps, () => JSON.stringify(sink.unit()));
});
