import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { UnitStatus } from "../../shared/http/status.ts";
import type { SourceConfig } from "../../source-connector/config.ts";
import { backfillsOf, waitForBackfill } from "../support/backfill.ts";
import { createDatabase } from "../support/database.ts";
import { type OwnPostgres, startOwnPostgres } from "../support/own-postgres.ts";
import { dropSlot, expectEqual } from "../support/rebuild.ts";
import { insertRows, publishTenRows, rowsFixture } from "../support/slot-trouble.ts";
import { opsOf } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

const REBUILD: Partial<SourceConfig> = { onSlotLost: "rebuild", backfillChunkRows: 50 };

let server: OwnPostgres;
beforeAll(async () => {
  server = await startOwnPostgres({ wal_keep_size: "0", min_wal_size: "32MB" });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

function rebuilt(source: { readonly status: UnitStatus }): Promise<unknown> {
  return waitForBackfill(() => source.status, "row.v1");
}

/** What no slot sees: of rows 1 to 300, some are deleted, some changed, some new, and some go and come back. */
const UNSEEN = `DELETE FROM rows WHERE id % 3 = 0; UPDATE rows SET n = 2 WHERE id % 5 = 0;
  DELETE FROM rows WHERE id IN (1, 2); INSERT INTO rows SELECT i, 7 FROM generate_series(301, 330) i;
  INSERT INTO rows VALUES (1, 9)`;

describe("on-slot-lost rebuild: the topics become equal to the tables again", () => {
  test("after a slot that was dropped while nobody read it", async () => {
    await using fixture = await rowsFixture(server);
    {
      await using _source = await fixture.start(REBUILD);
      await insertRows(fixture, 1, 300);
      await fixture.published();
    }
    await dropSlot(fixture);
    await fixture.database.query(UNSEEN);
    await using source = await fixture.start(REBUILD);
    await rebuilt(source);
    await expectEqual(fixture);
    const removed = (await fixture.read("row")).filter(({ value }) => value === null);
    expect(new Set(opsOf(removed))).toEqual(new Set(["d"]));
    // Each once: 100 of every third, and row 2.
    expect(removed).toHaveLength(101);
    expect(backfillsOf(source.status)[0]).toMatchObject({ removed: 101, rows: 229, state: "done" });
    expect(source.status).toMatchObject({ role: "active", lastError: null });
    expect(source.status.rebuilding).toBeUndefined();
    expect(await source.connector.metrics.render()).toMatch(/rejot_source_rebuilds_total\{.*\} 1\n/);
    // And goes on as ever.
    await fixture.database.query("UPDATE rows SET n = 5; DELETE FROM rows WHERE id = 301");
    await fixture.published();
    await expectEqual(fixture);
  });

  test("after a slot that was dropped while it was streamed from, with writes all the time", async () => {
    await using fixture = await rowsFixture(server);
    await using source = await fixture.start({ ...REBUILD, backfillChunkRows: 7 });
    await insertRows(fixture, 1, 300);
    await fixture.published();
    await dropSlot(fixture);
    await fixture.database.query(UNSEEN);
    // Keys that are to be removed come back, some go again; in small transactions until all is over.
    const writer = await fixture.database.connect();
    let i = 0;
    let over = false;
    const writing = (async () => {
      while (!over) {
        const id = 3 * (1 + (i++ % 100));
        await writer.query(
          i % 4 === 0
            ? `DELETE FROM rows WHERE id = ${id}`
            : `INSERT INTO rows VALUES (${id}, ${i}) ON CONFLICT (id) DO UPDATE SET n = ${i}`,
        );
        await writer.query(`UPDATE rows SET n = n + 1 WHERE id = ${1 + (i % 300)}`);
      }
    })();
    try {
      await waitFor(() => source.status.rebuilding !== undefined, { describe: "the rebuild to be told of" });
      expect(source.status.rebuilding).toMatchObject({
        reason: expect.stringMatching(/SLOT_LOST|PROGRESS_BEHIND_SLOT/),
        left: ["row.v1"],
      });
      await rebuilt(source);
    } finally {
      over = true;
      await writing;
      await writer.end();
    }
    await fixture.published();
    await expectEqual(fixture);
  });

  test("after one that was invalidated by max_slot_wal_keep_size", async () => {
    await using fixture = await rowsFixture(server);
    const set = async (setting: string) => {
      await using admin = await createDatabase({ server: server.stack.postgres });
      await admin.query(`ALTER SYSTEM ${setting}`);
      await admin.query("SELECT pg_reload_conf()");
    };
    await publishTenRows(fixture);
    await set("SET max_slot_wal_keep_size = '32MB'");
    await fixture.database.query("DELETE FROM rows WHERE id < 4");
    for (let i = 0; i < 4; i++) {
      await fixture.database.query(
        "INSERT INTO elsewhere SELECT repeat(md5(i::text), 30) FROM generate_series(1, 24000) i",
      );
      await fixture.database.query("CHECKPOINT");
    }
    await set("RESET max_slot_wal_keep_size");
    await using source = await fixture.start(REBUILD);
    await rebuilt(source);
    await expectEqual(fixture);
    expect(
      (await fixture.read("row", { decode: false })).filter(({ rawValue }) => rawValue === null),
    ).toHaveLength(3);
  });

  test("after one that was made anew by somebody, which is kept", async () => {
    await using fixture = await rowsFixture(server);
    await publishTenRows(fixture);
    await dropSlot(fixture);
    await fixture.database.query("DELETE FROM rows WHERE id < 4");
    await fixture.database.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [
      fixture.slotName,
    ]);
    await fixture.database.query("DELETE FROM rows WHERE id = 4");
    await using source = await fixture.start(REBUILD);
    await rebuilt(source);
    await expectEqual(fixture);
  });
});
