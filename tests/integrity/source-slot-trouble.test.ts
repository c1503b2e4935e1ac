import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDatabase } from "../support/database.ts";
import { type OwnPostgres, startOwnPostgres } from "../support/own-postgres.ts";
import { expectRefused, insertRows, publishTenRows, rowsFixture } from "../support/slot-trouble.ts";
import type { SourceFixture } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

let server: OwnPostgres;
beforeAll(async () => {
  server = await startOwnPostgres({ wal_keep_size: "0", min_wal_size: "32MB" });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function set(setting: string): Promise<void> {
  await using admin = await createDatabase({ server: server.stack.postgres });
  await admin.query(`ALTER SYSTEM ${setting}`);
  await admin.query("SELECT pg_reload_conf()");
}

/** What fills some 100 MB of WAL, and has the server look at its slots. */
async function writeElsewhere(fixture: SourceFixture): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await fixture.database.query(
      "INSERT INTO elsewhere SELECT repeat(md5(i::text), 30) FROM generate_series(1, 24000) i",
    );
    await fixture.database.query("CHECKPOINT");
  }
}

describe("a slot that cannot be read on from is named, and nothing is passed over", () => {
  test("dropped while it was streamed from", async () => {
    await using fixture = await rowsFixture(server);
    await using source = await fixture.start();
    await insertRows(fixture, 1, 10);
    await fixture.published();
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
    await insertRows(fixture, 11, 20);
    await expect(source.connector.done).rejects.toMatchObject({ code: "SLOT_LOST" });
    expect(source.status).toMatchObject({ role: "failed", lastError: { code: "SLOT_LOST" } });
  });

  test("dropped and made anew while nobody read it", async () => {
    await using fixture = await rowsFixture(server);
    await publishTenRows(fixture);
    await fixture.database.query("SELECT pg_drop_replication_slot($1)", [fixture.slotName]);
    await insertRows(fixture, 11, 20);
    await fixture.database.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [
      fixture.slotName,
    ]);
    await expectRefused(fixture, { code: "PROGRESS_BEHIND_SLOT" });
  });

  test("invalidated by max_slot_wal_keep_size while nobody read it", async () => {
    await using fixture = await rowsFixture(server);
    await publishTenRows(fixture);
    await set("SET max_slot_wal_keep_size = '32MB'");
    await writeElsewhere(fixture);
    await set("RESET max_slot_wal_keep_size");
    await expectRefused(fixture, { code: "SLOT_LOST", message: expect.stringContaining("wal_removed") });
  });

  test("invalidated by max_slot_wal_keep_size in mid-stream", async () => {
    await using fixture = await rowsFixture(server);
    await using source = await fixture.start({ heartbeatMs: 3_600_000 });
    await insertRows(fixture, 1, 10);
    await fixture.published();
    await set("SET max_slot_wal_keep_size = '32MB'");
    await writeElsewhere(fixture);
    await set("RESET max_slot_wal_keep_size");
    await expect(source.connector.done).rejects.toMatchObject({
      code: "SLOT_LOST",
      message: expect.stringContaining("wal_removed"),
    });
  });

  test("invalidated by idle_replication_slot_timeout", async () => {
    await using fixture = await rowsFixture(server);
    await publishTenRows(fixture);
    await set("SET idle_replication_slot_timeout = '1s'");
    await waitFor(
      async () => {
        await fixture.database.query("CHECKPOINT");
        const [slot] = await fixture.database.query(
          "SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1",
          [fixture.slotName],
        );
        return slot?.wal_status === "lost";
      },
      { intervalMs: 300, describe: "the slot to be invalidated" },
    );
    await set("RESET idle_replication_slot_timeout");
    await expectRefused(fixture, { code: "SLOT_LOST", message: expect.stringContaining("idle_timeout") });
  });
});
