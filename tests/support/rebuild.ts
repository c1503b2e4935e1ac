import { expect } from "vitest";
import { expectEveryPositionOnce, type SourceFixture } from "./source.ts";
import { waitFor } from "./wait-for.ts";

/** What a consumer that starts now has in the end. */
async function latest(fixture: SourceFixture): Promise<{ id: number; n: number }[]> {
  const rows = new Map<number, { id: number; n: number }>();
  for (const { key, value } of await fixture.read("row")) {
    const { id } = key as { id: number };
    if (value === null) rows.delete(id);
    else rows.set(id, value as { id: number; n: number });
  }
  return [...rows.values()].sort((a, b) => a.id - b.id);
}

/** The topic holds what the table has, and no position is there twice. */
export async function expectEqual(fixture: SourceFixture): Promise<void> {
  const rows = await fixture.database.query("SELECT id, n FROM rows ORDER BY id");
  expect(await latest(fixture)).toEqual(rows.map(({ id, n }) => ({ id: Number(id), n: Number(n) })));
  expectEveryPositionOnce(await fixture.read("row", { decode: false }));
}

/** Drops the slot, be it streamed from or not. */
export async function dropSlot(fixture: SourceFixture): Promise<void> {
  await waitFor(
    async () => {
      await fixture.database.query(
        "SELECT pg_terminate_backend(active_pid), pg_sleep(0.01) FROM pg_replication_slots WHERE slot_name = $1",
        [fixture.slotName],
      );
      await fixture.database.query("SELECT pg_drop_replication_slot($1)", [fixture.slotName]);
      return true;
    },
    { intervalMs: 1, describe: "the slot to be dropped" },
  );
}
