import { expect, inject, test } from "vitest";
import { waitForBackfill } from "../support/backfill.ts";
import { startOwnPostgres } from "../support/own-postgres.ts";
import { dropSlot, expectEqual } from "../support/rebuild.ts";
import { insertRows, publishTenRows, rowsFixture } from "../support/slot-trouble.ts";
import type { RunningSource, SourceFixture } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

/** The servers of the run. */
const SHARED = { stack: inject("stack") };
const REBUILD = { onSlotLost: "rebuild" } as const;

async function rebuildsOf(sources: readonly RunningSource[]): Promise<number> {
  const counts = await Promise.all(
    sources.map(async ({ connector }) => {
      const text = await connector.metrics.render();
      return Number(/rejot_source_rebuilds_total\{.*\} (\d+)/.exec(text)?.[1] ?? 0);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

async function deletedUnseen(fixture: SourceFixture): Promise<void> {
  await dropSlot(fixture);
  await fixture.database.query("DELETE FROM rows WHERE id < 4; UPDATE rows SET n = 2 WHERE id = 5");
}

test("of two sources that find the slot gone one rebuilds; the other stands by, and takes over without a rebuild", async () => {
  await using fixture = await rowsFixture(SHARED);
  await publishTenRows(fixture);
  await deletedUnseen(fixture);
  await using first = await fixture.start(REBUILD);
  await using second = await fixture.start(REBUILD);
  const roles = () => [first.status.role, second.status.role].sort();
  await waitFor(() => roles().join() === "active,standby", { describe: () => `one of each; ${roles()}` });
  const [active, standby] = first.status.role === "active" ? [first, second] : [second, first];
  await waitForBackfill(() => active.status, "row.v1");
  expect(await rebuildsOf([first, second])).toBe(1);
  await active.stop();
  await waitFor(() => standby.status.role === "active", { describe: "the standby to take over" });
  await insertRows(fixture, 20, 30);
  await fixture.published();
  await expectEqual(fixture);
  expect(await rebuildsOf([first, second])).toBe(1);
});

test("with delivery at-least-once the topic becomes equal too", async () => {
  await using fixture = await rowsFixture(SHARED, { delivery: "at-least-once" });
  await publishTenRows(fixture);
  await deletedUnseen(fixture);
  await using source = await fixture.start(REBUILD);
  await waitForBackfill(() => source.status, "row.v1");
  await expectEqual(fixture);
});

test("where no slot can be made the source ends with that error, and nothing is published", async () => {
  await using server = await startOwnPostgres({ max_replication_slots: "1" });
  await using fixture = await rowsFixture(server);
  await publishTenRows(fixture);
  await deletedUnseen(fixture);
  await fixture.database.query("SELECT pg_create_physical_replication_slot('others')");
  await expect(fixture.start(REBUILD)).rejects.toMatchObject({ code: "SLOTS_EXHAUSTED" });
  expect(await fixture.read("row", { decode: false })).toHaveLength(10);
  await fixture.database.query("SELECT pg_drop_replication_slot('others')");
  await using source = await fixture.start(REBUILD);
  await waitForBackfill(() => source.status, "row.v1");
  await expectEqual(fixture);
});

test("a schema without a delete transformation keeps what it has; its rows are read again", async () => {
  await using fixture = await rowsFixture(SHARED, { deletes: false });
  await publishTenRows(fixture);
  await deletedUnseen(fixture);
  await using source = await fixture.start(REBUILD);
  await waitForBackfill(() => source.status, "row.v1");
  const records = await fixture.read("row");
  expect(records).toHaveLength(17);
  expect(records.every(({ value }) => value !== null)).toBe(true);
});
