import { expect, test } from "vitest";
import { item, itemFixture, lettersOf, UPSERT, waitUntilPassed } from "../support/dead-letters.ts";
import { type RunningSink, startSink } from "../support/running-sink.ts";

const EVENTS = 150;

const LIMITS = ["statement_timeout", "transaction_timeout"];

for (const limit of LIMITS)
  test(`a destination whose ${limit} ends large batches is given smaller ones: each event once, in order`, async () => {
    await using fixture = await itemFixture(
      [
        {
          name: "slow",
          schema: "item",
          sql: "INSERT INTO log (id, n) SELECT :id, :n FROM pg_sleep(0.01)",
          deletes: "ignore",
        },
      ],
      `CREATE TABLE log (seq bigint GENERATED ALWAYS AS IDENTITY, id bigint, n int);
     DO $$ BEGIN
       EXECUTE format('ALTER DATABASE %I SET ${limit} = ''250ms''', current_database());
     END $$`,
    );
    await fixture.publish(
      "item",
      Array.from({ length: EVENTS }, (_, n) => item(n % 5, n)),
    );
    await using sink = await startSink(fixture.manifestPath);
    await waitUntilPassed(fixture, sink);
    const rows = await fixture.database.query("SELECT n FROM log ORDER BY seq");
    expect(rows.map(({ n }) => Number(n))).toEqual(Array.from({ length: EVENTS }, (_, n) => n));
    await sink.eventually(async () => sink.unit().role === "active", "the status to show that it goes on");
    expect(sink.unit().lastError).toBeNull();
  });

for (const limit of LIMITS)
  test(`a ${limit} that ends events while a row is locked sets none of them aside`, async () => {
    await using fixture = await itemFixture([UPSERT]);
    const { database } = fixture;
    await fixture.publish("item", [item(1, 1), item(2, 1)]);
    await using sink = await startSink(fixture.manifestPath);
    await waitUntilPassed(fixture, sink);
    const blocker = await database.connect();
    await blocker.query("BEGIN; SELECT FROM item WHERE id = 1 FOR UPDATE");
    await database.query(`ALTER DATABASE "${database.name}" SET ${limit} = '250ms'`);
    const sessions =
      "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%rejot.sink%'";
    await database.query(`SELECT pg_terminate_backend(pid) ${sessions}`);
    await fixture.publish("item", [item(1, 2), item(2, 2)]);
    const retries = async () =>
      Number(/rejot_sink_retries_total\{[^}]*\} (\d+)/.exec(await sink.sink.metrics.render())?.[1] ?? 0);
    const before = await retries();
    await sink.eventually(async () => (await retries()) >= before + 5, "the event to be ended several times");
    expect(sink.unit().lastError?.code).toMatch(/^(SINK_DESTINATION_BUSY|POSTGRES_UNREACHABLE)$/);
    await blocker.query("COMMIT");
    await waitUntilPassed(fixture, sink);
    expect(await database.query("SELECT id, n FROM item ORDER BY id")).toEqual([
      { id: "1", n: "2" },
      { id: "2", n: "2" },
    ]);
    expect(await lettersOf(fixture)).toEqual([]);
  });

test("a batch that the destination does not take for long is behind, also while it is tried again", async () => {
  await using fixture = await itemFixture(
    [{ name: "item", schema: "item", sql: "INSERT INTO item (id, n) VALUES (:id, :n)", deletes: "ignore" }],
    "CREATE TABLE item (id bigint, n int)",
  );
  await fixture.publish("item", [item(1)]);
  await using sink = await startSink(fixture.manifestPath, { lockTimeoutMs: 1_500 });
  await waitUntilPassed(fixture, sink);
  await sink.eventually(async () => sink.unit().lagMs === 0, "the sink to have caught up");
  const blocker = await fixture.database.connect();
  await blocker.query("BEGIN; LOCK TABLE item IN SHARE MODE");
  await fixture.publish(
    "item",
    Array.from({ length: EVENTS }, (_, n) => item(n, n)),
  );
  const isBehind = async () => (await lagOf(sink)) >= EVENTS && (sink.unit().lagMs ?? 0) > 1_000;
  await sink.eventually(isBehind, "the batch to be behind");
  expect(sink.unit().role).toBe("active");
  await sink.eventually(async () => sink.unit().role === "retrying", "the lock's timeout");
  expect(await isBehind()).toBe(true);
  await blocker.query("COMMIT");
  await waitUntilPassed(fixture, sink);
  await sink.eventually(async () => (await lagOf(sink)) === 0 && sink.unit().lagMs === 0, "no lag");
});

/** Records that the metrics tell as not yet applied. */
async function lagOf({ sink }: RunningSink): Promise<number> {
  const lines = (await sink.metrics.render()).split("\n");
  const lags = lines.filter((line) => line.startsWith("rejot_sink_consumer_lag_records{"));
  return lags.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}
