import { expect, test } from "vitest";
import { freePort } from "../../compose/dev-stack/ports.ts";
import { connectTo, fixtureOver, insertTicks, slotIsSynchronised } from "../support/failover.ts";
import { startOwnPostgres } from "../support/own-postgres.ts";
import { startStandby } from "../support/standby.ts";
import { waitFor } from "../support/wait-for.ts";

test("a promoted standby that lacks what was published is refused, although it has the slot", async () => {
  await using primary = await startOwnPostgres();
  const port = await freePort();
  await using fixture = await fixtureOver(primary, port);
  await using source = await fixture.start();
  await insertTicks(fixture, 1, 10);
  await using standby = await startStandby(primary, { synchronised: true, port });
  const onStandby = await connectTo(standby, fixture.database.name);
  await slotIsSynchronised(onStandby, fixture.slotName);
  await onStandby.query("ALTER SYSTEM RESET primary_conninfo");
  await onStandby.query("SELECT pg_reload_conf()");
  await waitFor(async () => (await onStandby.query("SELECT 1 FROM pg_stat_wal_receiver")).rows.length === 0, {
    describe: "the standby to be cut off",
  });
  await insertTicks(fixture, 11, 20);
  await primary.server.kill();
  await onStandby.query("SELECT pg_promote(true, 60)");
  // It grows past what was published, as a server in use does.
  await onStandby.query("INSERT INTO ticks SELECT i, 2 FROM generate_series(1000, 3000) i");
  await expect(source.connector.done).rejects.toMatchObject({
    code: "SOURCE_REPLACED",
    message: expect.stringContaining("left that timeline"),
  });
  expect((await fixture.read("tick")).length).toBe(20);
  await onStandby.end();
  await primary.server.start();
});
