import { expect, test } from "vitest";
import { item, itemFixture, waitUntilPassed } from "../support/dead-letters.ts";
import { startSink } from "../support/running-sink.ts";

const EVENTS = 150;

test("a destination whose statement_timeout ends large batches is given smaller ones: each event once, in order", async () => {
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
       EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''250ms''', current_database());
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
