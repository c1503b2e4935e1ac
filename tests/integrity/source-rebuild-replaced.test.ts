import { rename } from "node:fs/promises";
import { expect, test } from "vitest";
import { waitForBackfill } from "../support/backfill.ts";
import { createDatabase } from "../support/database.ts";
import { copyDataDirectory, type OwnPostgres, startOwnPostgres } from "../support/own-postgres.ts";
import { expectEqual } from "../support/rebuild.ts";
import { insertRows, publishTenRows, rowsFixture, TABLES } from "../support/slot-trouble.ts";
import { waitFor } from "../support/wait-for.ts";

const REBUILD = { onSlotLost: "rebuild", heartbeatMs: 200 } as const;

/** Moves the end of the server's WAL behind an LSN, a segment at a time. */
async function passWal(own: OwnPostgres, lsn: string): Promise<void> {
  await using admin = await createDatabase({ server: own.stack.postgres });
  await waitFor(
    async () => {
      const [row] = await admin.query(
        "SELECT pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal(), pg_current_wal_lsn() > $1::pg_lsn AS past",
        [lsn],
      );
      return row?.past === "t";
    },
    { intervalMs: 1, describe: "the WAL to pass" },
  );
}

async function walEnd(own: OwnPostgres): Promise<string> {
  await using admin = await createDatabase({ server: own.stack.postgres });
  return (await admin.query("SELECT pg_current_wal_lsn() AS lsn"))[0]?.lsn ?? "";
}

test("another cluster in its place waits until its LSNs have passed the published ones, then all is rebuilt", async () => {
  await using own = await startOwnPostgres();
  await using fixture = await rowsFixture(own);
  await passWal(own, "0/8000000");
  await publishTenRows(fixture);
  const published = await walEnd(own);
  await own.server.stop();
  await using other = await startOwnPostgres();
  await other.server.stop();
  await rename(own.dataDirectory, `${own.dataDirectory}-first`);
  await copyDataDirectory(other.dataDirectory, own.dataDirectory);
  await own.server.start();
  await using replacement = await createDatabase({
    name: fixture.database.name,
    server: own.stack.postgres,
    sql: `${TABLES}; INSERT INTO rows SELECT i, 3 FROM generate_series(8, 15) i`,
  });
  // One that somebody made there, behind nothing that was published.
  await replacement.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [fixture.slotName]);
  await using source = await fixture.start(REBUILD);
  await waitFor(() => source.status.lastError?.code === "REBUILD_WAITS", { describe: "the source to wait" });
  expect(source.status).toMatchObject({ role: "retrying" });
  expect(await fixture.read("row", { decode: false })).toHaveLength(10);
  await passWal(own, published);
  await waitForBackfill(() => source.status, "row.v1");
  await expectEqual({ ...fixture, database: replacement });
  expect(
    (await fixture.read("row", { decode: false })).filter(({ rawValue }) => rawValue === null),
  ).toHaveLength(7);
});

test("a server that is set back, and has grown past what was published, is rebuilt from", async () => {
  await using own = await startOwnPostgres();
  await using fixture = await rowsFixture(own);
  const copy = `${own.dataDirectory}-copy`;
  const restart = async (work: () => Promise<unknown>) => {
    await own.server.stop();
    await work();
    await own.server.start();
  };
  {
    await using source = await fixture.start(REBUILD);
    await insertRows(fixture, 1, 5);
    await fixture.published();
    await source.stop();
  }
  await restart(() => copyDataDirectory(own.dataDirectory, copy));
  {
    await using _source = await fixture.start(REBUILD);
    await insertRows(fixture, 6, 10);
    await fixture.database.query("DELETE FROM rows WHERE id = 5");
    await fixture.published();
  }
  await restart(() => copyDataDirectory(copy, own.dataDirectory));
  // Written after the setback, at the same LSNs as what was published before.
  for (let id = 100; id < 200; id++) await insertRows(fixture, id, id);
  await using source = await fixture.start(REBUILD);
  await waitForBackfill(() => source.status, "row.v1");
  expect(await source.connector.metrics.render()).toMatch(/rejot_source_rebuilds_total\{.*\} 1\n/);
  await expectEqual(fixture);
});
