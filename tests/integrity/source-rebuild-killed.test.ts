import { expect, test } from "vitest";
import { statusOf, waitForBackfill } from "../support/backfill.ts";
import { startOwnPostgres } from "../support/own-postgres.ts";
import { dropSlot, expectEqual } from "../support/rebuild.ts";
import { insertRows, rowsFixture } from "../support/slot-trouble.ts";
import type { SourceFixture } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

test("kill -9 at any time of a rebuild: the next source goes on with it, and no position comes twice", async () => {
  await using server = await startOwnPostgres();
  await using fixture = await rowsFixture(server);
  const options = { args: ["--on-slot-lost", "rebuild", "--backfill-chunk-rows", "20"] };
  {
    await using source = await fixture.spawn(options);
    await source.waitForReady();
    await insertRows(fixture, 1, 400);
    await fixture.published();
    await source.kill("SIGKILL");
  }
  await dropSlot(fixture);
  await fixture.database.query("DELETE FROM rows WHERE id % 2 = 0");
  const records = async () => (await fixture.read("row", { decode: false })).slice(400);
  const removed = async () => (await records()).filter(({ rawValue }) => rawValue === null).length;
  const stages: [string, () => Promise<boolean>][] = [
    ["the slot to be made", async () => (await slots(fixture)) === 1],
    ["rows to be read", async () => (await records()).length > 60],
    ["keys to be removed", async () => (await removed()) > 20],
  ];
  for (const [what, reached] of stages) {
    await using source = await fixture.spawn(options);
    await waitFor(reached, { intervalMs: 2, timeoutMs: 30_000, describe: what });
    await source.kill("SIGKILL");
    await fixture.database.query("UPDATE rows SET n = n + 1 WHERE id % 90 = 1");
  }
  await using source = await fixture.spawn(options);
  await waitForBackfill(statusOf(source), "row.v1");
  await fixture.published();
  await expectEqual(fixture);
  expect(await removed()).toBe(200);
});

async function slots(fixture: SourceFixture): Promise<number> {
  const found = await fixture.database.query("SELECT FROM pg_replication_slots WHERE slot_name = $1", [
    fixture.slotName,
  ]);
  return found.length;
}
