import type pg from "pg";
import { connectPostgres } from "../../../shared/postgres/client.ts";
import { formatLsn, type Lsn } from "../../../shared/postgres/lsn.ts";
import type { TestDatabase } from "../../support/database.ts";
import { type Fault, until } from "../harness/fault.ts";
import { ownPostgres } from "../harness/own-postgres.ts";
import { insertRows } from "../harness/tables.ts";

const MEGABYTE = 1_048_576n;
/** Room for what the databases of the run write when they are made. */
const ROOM = 48n * MEGABYTE;
/** What the workload writes in a moment. */
const CLOSE = 100_000n;
const SEGMENTS_A_CHECKPOINT = 32;

/** Skips whole segments of the WAL, so that its end comes to lie a little below a boundary. */
async function skipTo(client: pg.Client, boundary: bigint): Promise<void> {
  for (let i = 0; boundary - (await walEnd(client)) > ROOM; i++) {
    await client.query("SELECT pg_logical_emit_message(false, 'skip', ''), pg_switch_wal()");
    if (i % SEGMENTS_A_CHECKPOINT === 0) await client.query("CHECKPOINT");
  }
  await client.query("CHECKPOINT");
}

async function walEnd(database: Pick<TestDatabase, "query"> | pg.Client): Promise<bigint> {
  const answer = await database.query("SELECT pg_current_wal_insert_lsn() - '0/0' AS bytes");
  const rows: { bytes?: string | null }[] = Array.isArray(answer) ? answer : answer.rows;
  return BigInt(rows[0]?.bytes ?? 0);
}

/** Logical messages of nobody's, up to a moment before the boundary. */
async function fillUpTo(database: TestDatabase, boundary: bigint): Promise<void> {
  for (;;) {
    const room = boundary - (await walEnd(database)) - CLOSE;
    if (room <= 0n) return;
    const bytes = room > MEGABYTE ? MEGABYTE : room;
    await database.query(`SELECT pg_logical_emit_message(false, 'filler', repeat('x', ${bytes}))`);
  }
}

const crossing = (id: string, boundary: bigint): Fault => {
  const name = (lsn: bigint) => formatLsn(lsn as Lsn);
  return {
    id,
    group: "8. Transactions",
    title: `the WAL goes from ${name(boundary - 1n)} to ${name(boundary)}, where LSNs as text are out of order`,
    async servers(shared, resources) {
      const servers = await ownPostgres(shared, resources, "source", {
        settings: { fsync: "off", wal_init_zero: "off", wal_recycle: "off", max_wal_size: "1GB" },
      });
      const client = await connectPostgres(
        { connectionType: "postgres", database: "postgres", ...servers.postgres },
        { applicationName: "test" },
      );
      await skipTo(client, boundary);
      await client.end();
      return servers;
    },
    async run({ pipeline, random, last }) {
      const { database } = pipeline;
      await fillUpTo(database, boundary);
      const how = random.pick(["streaming", "down", "inside a transaction"] as const);
      if (how === "down") await pipeline.source?.kill();
      if (how === "inside a transaction") {
        await database.query(insertRows(1_000, 3_000));
      }
      await until(async () => (await walEnd(database)) > boundary, 60_000, "the boundary to be crossed");
      await last(random.int(0, 500));
      for (let i = 0; i < 2; i++) {
        await pipeline.source?.kill();
        await (await pipeline.start("source")).waitForReady();
        await last(random.int(0, 1_500));
      }
    },
  };
};

/** Trouble with LSNs. */
export const WAL: readonly Fault[] = [
  crossing("lsn-eighth-digit", 0x1000_0000n),
  crossing("lsn-upper-half", 0x1_0000_0000n),
];
