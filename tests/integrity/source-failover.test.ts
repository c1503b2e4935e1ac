import { describe, expect, test } from "vitest";
import { freePort } from "../../compose/dev-stack/ports.ts";
import {
  caughtUp,
  connectTo,
  fixtureOver,
  insertTicks,
  slotIsSynchronised,
  startTicking,
} from "../support/failover.ts";
import { startOwnPostgres } from "../support/own-postgres.ts";
import { expectEveryPositionOnce } from "../support/source.ts";
import { PRIMARY_SETTINGS, startStandby } from "../support/standby.ts";
import { waitFor } from "../support/wait-for.ts";

describe("when the primary dies and its standby is promoted", () => {
  test("with a synchronised slot the source goes on: nothing is lost or published twice", async () => {
    await using primary = await startOwnPostgres(PRIMARY_SETTINGS);
    const port = await freePort();
    await using fixture = await fixtureOver(primary, port);
    await using source = await fixture.start();
    const slots = await fixture.database.query("SELECT failover FROM pg_replication_slots");
    expect(slots).toEqual([{ failover: "t" }]);
    await using standby = await startStandby(primary, { synchronised: true, port });
    const onStandby = await connectTo(standby, fixture.database.name);
    const writer = await connectTo(primary, fixture.database.name);
    const ticking = startTicking(writer);
    await slotIsSynchronised(onStandby, fixture.slotName);
    const before = (await fixture.read("tick")).length;
    await waitFor(async () => (await fixture.read("tick")).length > before + 50, {
      describe: "events behind what the copy of the slot has",
    });
    await primary.server.kill();
    await ticking.stop();
    await waitFor(() => source.status.lastError?.code === "POSTGRES_IS_STANDBY", {
      describe: "the source to find the standby only",
    });
    await onStandby.query("SELECT pg_promote(true, 60)");
    await waitFor(() => source.status.role === "active", {
      timeoutMs: 40_000,
      describe: () => `the source to be active again: ${JSON.stringify(source.status)}`,
    });
    await onStandby.query("INSERT INTO ticks SELECT i, 2 FROM generate_series(1000000, 1000049) i");
    const committed = await onStandby.query("SELECT id::int FROM ticks ORDER BY id");
    const ids = committed.rows.map((row: { id: number }) => row.id);
    await waitFor(async () => (await fixture.read("tick", { decode: false })).length >= ids.length, {
      describe: "all rows in the topic",
    });
    const records = await fixture.read("tick");
    expectEveryPositionOnce(records);
    expect(records.map(({ key }) => (key as { id: number }).id)).toEqual(ids);
    await source.stop();
    // Once more: on the new timeline everything is as ever.
    await using again = await fixture.start();
    expect(again.status).toMatchObject({ role: "active", lastError: null });
    await again.stop();
    await onStandby.end();
    await primary.server.start();
  });

  test("without a copy of the slot that is recognised", async () => {
    await using primary = await startOwnPostgres();
    const port = await freePort();
    await using fixture = await fixtureOver(primary, port);
    await using standby = await startStandby(primary, { synchronised: false, port });
    await using source = await fixture.start();
    await insertTicks(fixture, 1, 10);
    const onStandby = await connectTo(standby, fixture.database.name);
    await caughtUp(fixture, onStandby);
    await primary.server.kill();
    await onStandby.query("SELECT pg_promote(true, 60)");
    await expect(source.connector.done).rejects.toMatchObject({ code: "SLOT_LOST" });
    await onStandby.end();
    await primary.server.start();
  });
});
