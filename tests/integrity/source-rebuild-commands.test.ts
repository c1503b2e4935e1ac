import { expect, inject, test } from "vitest";
import { runBackfill, waitForBackfill } from "../support/backfill.ts";
import { dropSlot, expectEqual } from "../support/rebuild.ts";
import { insertRows, rowsFixture } from "../support/slot-trouble.ts";
import type { RunningSource } from "../support/source.ts";

const done = (source: RunningSource) => waitForBackfill(() => source.status, "row.v1", "done", 20_000);
const fixtureOf = (options: { deletes?: boolean } = {}) =>
  rowsFixture({ stack: inject("stack") }, { config: { backfillPollMs: 100 }, ...options });

test("a rebuild is not cancelled by a command that an earlier backfill has followed", async () => {
  await using fixture = await fixtureOf();
  {
    await using source = await fixture.start({ backfillRowsPerSecond: 20, backfillChunkRows: 5 });
    await insertRows(fixture, 1, 100);
    await fixture.published();
    expect(await runBackfill(fixture, "start", "--schema", "row")).toMatchObject({ exitCode: 0 });
    expect(await runBackfill(fixture, "cancel", "--schema", "row")).toMatchObject({ exitCode: 0 });
    await waitForBackfill(() => source.status, "row.v1", "cancelled");
  }
  await dropSlot(fixture);
  await fixture.database.query("DELETE FROM rows WHERE id % 3 = 0; UPDATE rows SET n = 2 WHERE id % 5 = 0");
  await using source = await fixture.start({ onSlotLost: "rebuild" });
  await done(source);
  await expectEqual(fixture);
});

test("a rebuild reads all rows, whatever condition an earlier backfill was given", async () => {
  await using fixture = await fixtureOf({ deletes: false });
  {
    await using source = await fixture.start();
    await insertRows(fixture, 1, 100);
    await fixture.published();
    expect(await runBackfill(fixture, "start", "--schema", "row", "--where", "id = 7")).toMatchObject({
      exitCode: 0,
    });
    await done(source);
  }
  await dropSlot(fixture);
  await fixture.database.query("UPDATE rows SET n = 2 WHERE id % 5 = 0");
  await using source = await fixture.start({ onSlotLost: "rebuild", backfillChunkRows: 10 });
  expect(await done(source)).toMatchObject({ rows: 100 });
  await fixture.published();
  await expectEqual(fixture);
});
