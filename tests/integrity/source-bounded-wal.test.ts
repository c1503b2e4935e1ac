import { expect, test } from "vitest";
import { createDatabase, type TestDatabase } from "../support/database.ts";
import { type OwnPostgres, startOwnPostgres } from "../support/own-postgres.ts";
import { createSourceFixture, type SourceFixture, transformationsOf } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

/** How much is written where nobody reads, in megabytes; set it to thousands to see the same over an hour's traffic. */
const MEGABYTES = Number(process.env.REJOT_TEST_WAL_MEGABYTES ?? 320);
const BYTES_PER_MEGABYTE = 1_048_576;
const CHUNK_MEGABYTES = 8;

/** What the slot may hold, however much is written: what is written between a few checkpoints and heartbeats. */
const BOUND = 48 * BYTES_PER_MEGABYTE;
const SETTINGS = { min_wal_size: "32MB", wal_keep_size: "0" };

async function published(server: OwnPostgres): Promise<SourceFixture> {
  return createSourceFixture({
    stack: server.stack,
    sql: "CREATE TABLE quiet (id bigint PRIMARY KEY, n int NOT NULL)",
    schemas: [
      {
        name: "quiet",
        fields: { id: "integer", n: "integer" },
        transformations: transformationsOf(
          "quiet",
          "SELECT id, n FROM quiet WHERE id = :id",
          "SELECT :id AS id",
        ),
      },
    ],
  });
}

/** Writes WAL into a table that is not published. */
async function writeChunk(where: TestDatabase): Promise<void> {
  await where.query(
    `CREATE TABLE IF NOT EXISTS busy (id bigint, filler text);
     INSERT INTO busy SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, ${CHUNK_MEGABYTES * 1_000}) i;
     TRUNCATE busy`,
  );
}

/** Bytes of WAL that the slot holds, after a checkpoint. */
async function held(where: TestDatabase, slotName: string): Promise<number> {
  // It notes which transactions run, which is what lets a slot let go of WAL; servers make one every few minutes.
  await where.query("CHECKPOINT");
  const [row] = await where.query(
    "SELECT pg_current_wal_lsn() - restart_lsn AS held FROM pg_replication_slots WHERE slot_name = $1",
    [slotName],
  );
  return Number(row?.held);
}

/**
 * Writes megabytes of WAL, and tells the most that the slot held meanwhile. Who writes faster than the server can
 * decode waits for it: what is held may never stay above the bound.
 */
async function mostHeldWhileWriting(
  where: TestDatabase,
  slotName: string,
  megabytes: number,
): Promise<{ heldBytes: number; writtenBytes: number }> {
  const [before] = await where.query("SELECT pg_current_wal_lsn() AS lsn");
  let heldBytes = 0;
  for (let written = 0; written < megabytes; written += CHUNK_MEGABYTES) {
    await writeChunk(where);
    let now = await held(where, slotName);
    heldBytes = Math.max(heldBytes, now);
    await waitFor(
      async () => {
        if (now >= BOUND) now = await held(where, slotName);
        return now < BOUND;
      },
      { describe: () => `the slot to let go of WAL: it holds ${now} bytes after ${written} MB` },
    );
  }
  const [after] = await where.query("SELECT pg_current_wal_lsn() - $1::pg_lsn AS bytes", [before?.lsn]);
  return { heldBytes, writtenBytes: Number(after?.bytes) };
}

test("a slot whose tables are quiet lets go of WAL while other tables and databases write", async () => {
  await using server = await startOwnPostgres(SETTINGS);
  await using fixture = await published(server);
  await using elsewhere = await createDatabase({ server: server.stack.postgres });
  {
    await using source = await fixture.start({ heartbeatMs: 200 });
    await fixture.database.query("INSERT INTO quiet VALUES (1, 1)");
    await fixture.published();
    for (const where of [elsewhere, fixture.database]) {
      const { heldBytes, writtenBytes } = await mostHeldWhileWriting(where, fixture.slotName, MEGABYTES / 2);
      const [written, most] = [writtenBytes, heldBytes].map((bytes) =>
        Math.round(bytes / BYTES_PER_MEGABYTE),
      );
      if (MEGABYTES > 1_000) console.log(`${written} MB written, ${most} MB held at most`);
      expect(writtenBytes).toBeGreaterThan((MEGABYTES / 2) * BYTES_PER_MEGABYTE * 0.9);
    }
    expect(source.status).toMatchObject({ role: "active", lastError: null });
    await fixture.database.query("INSERT INTO quiet VALUES (2, 2)");
    await fixture.published();
  }
  expect((await fixture.read("quiet")).map(({ value }) => value)).toEqual([
    { id: 1, n: 1 },
    { id: 2, n: 2 },
  ]);
}, 600_000);

test("the heartbeat is what does it: without one the slot holds all that is written elsewhere", async () => {
  await using server = await startOwnPostgres(SETTINGS);
  await using fixture = await published(server);
  await using _source = await fixture.start({ heartbeatMs: 3_600_000 });
  await fixture.database.query("INSERT INTO quiet VALUES (1, 1)");
  await fixture.published();
  const before = await held(fixture.database, fixture.slotName);
  for (let written = 0; written < 64; written += CHUNK_MEGABYTES) await writeChunk(fixture.database);
  expect((await held(fixture.database, fixture.slotName)) - before).toBeGreaterThan(BOUND);
  await waitFor(async () => (await fixture.read("quiet")).length === 1, { describe: "the event" });
});
