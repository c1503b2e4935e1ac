import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { OwnPostgres } from "./own-postgres.ts";
import { createSourceFixture, type SourceFixture } from "./source.ts";
import { TICKS } from "./ticks.ts";
import { waitFor } from "./wait-for.ts";

/** A manifest that names both servers, the standby first: the one that takes writes is to be found. */
export function fixtureOver(primary: OwnPostgres, standbyPort: number): Promise<SourceFixture> {
  const { host, port } = primary.server;
  return createSourceFixture({
    ...TICKS,
    stack: primary.stack,
    connection: () => ({ host: `${host},${host}`, port: `${standbyPort},${port}` }),
  });
}

/** A session on one of the servers, which the test ends; it may be lost. */
export async function connectTo(server: OwnPostgres, database: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: server.server.url(database) });
  client.on("error", () => {});
  await client.connect();
  return client;
}

/** Resolves when the standby has a copy of the slot that a promotion keeps. */
export async function slotIsSynchronised(standby: pg.Client, slotName: string): Promise<void> {
  await waitFor(
    async () => {
      const { rows } = await standby.query(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = $1 AND synced AND NOT temporary AND invalidation_reason IS NULL",
        [slotName],
      );
      return rows.length === 1;
    },
    { timeoutMs: 45_000, describe: "the standby to have a copy of the slot" },
  );
}

/** Resolves when the standby has replayed all that the primary has. */
export async function caughtUp(fixture: SourceFixture, standby: pg.Client): Promise<void> {
  const [row] = await fixture.database.query("SELECT pg_current_wal_flush_lsn() AS lsn");
  await waitFor(
    async () => {
      const { rows } = await standby.query("SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS done", [
        row?.lsn,
      ]);
      return rows[0].done === true;
    },
    { describe: "the standby to catch up" },
  );
}

/** Inserts one row after the other; ids whose commit was not answered may or may not be there. */
export function startTicking(client: pg.Client): { stop(): Promise<void> } {
  let stopped = false;
  const running = (async () => {
    for (let id = 1; !stopped; id++) {
      await client.query("INSERT INTO ticks VALUES ($1, 1)", [id]);
      await delay(3);
    }
  })().catch(() => {});
  return {
    stop: () => {
      stopped = true;
      return running;
    },
  };
}

/** Inserts rows and waits until they are published. */
export async function insertTicks(fixture: SourceFixture, from: number, to: number): Promise<void> {
  await fixture.database.query("INSERT INTO ticks SELECT i, 1 FROM generate_series($1::int, $2) i", [
    from,
    to,
  ]);
  await fixture.published();
}
