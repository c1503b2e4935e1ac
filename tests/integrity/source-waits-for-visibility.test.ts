import { join } from "node:path";
import type { Client } from "pg";
import { expect, inject, test } from "vitest";
import { freePort } from "../../compose/dev-stack/ports.ts";
import { startPostgres } from "../../compose/dev-stack/postgres-server.ts";
import { makeStackDirectory, removeStackDirectory } from "../../compose/dev-stack/stack.ts";
import { createSourceFixture, opsOf, transformationsOf } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

/**
 * With a synchronous standby that never answers, a commit is in the WAL stream while every other session still has
 * to wait for it: the window between the two, else microseconds wide, stays open until the test closes it.
 */
test("a commit that others cannot see yet is waited for: no stale row, no tombstone for a row to come", async () => {
  const directory = await makeStackDirectory("/tmp");
  const server = await startPostgres({ directory: join(directory, "postgres"), port: await freePort() });
  try {
    const { host, port, user, password } = server;
    await using fixture = await createSourceFixture({
      sql: `CREATE TABLE owners (id bigint PRIMARY KEY, title text NOT NULL);
        CREATE TABLE accounts (id bigint PRIMARY KEY, owner bigint NOT NULL);
        CREATE TABLE probes (id bigint);
        INSERT INTO owners VALUES (1, 'before')`,
      schemas: [
        {
          name: "account",
          fields: { id: "integer", title: "string" },
          // Twice in the FROM clause: the row image is not allowed, so the tables themselves are read.
          transformations: transformationsOf(
            "accounts",
            `SELECT a.id, o.title FROM accounts a JOIN owners o ON o.id = a.owner JOIN accounts same ON same.id = a.id
             WHERE a.id = :id`,
            "SELECT :id AS id",
          ),
        },
      ],
      stack: { ...inject("stack"), postgres: { host, port, user, password } },
    });
    await using source = await fixture.start();
    const [writer, observer, probe] = await Promise.all([
      fixture.database.connect(),
      fixture.database.connect(),
      fixture.database.connect(),
    ]);
    try {
      await setStandby(observer, "nobody");
      await showsStandby(writer, "nobody");
      await untilCommitsWait(observer, probe);

      const committed = writer.query("UPDATE owners SET title = 'after'; INSERT INTO accounts VALUES (1, 1)");
      // The source has the transaction, and nobody sees it.
      await waitFor(async () => (source.status.lagMs ?? 0) > 500, { describe: "the source to wait" });
      expect((await observer.query("SELECT FROM accounts")).rowCount).toBe(0);
      expect(await fixture.read("account")).toEqual([]);

      await setStandby(observer, null);
      await committed;
    } finally {
      // Otherwise nothing that commits on this server, dropping the database included, would ever end.
      await setStandby(observer, null);
    }
    await fixture.published();
    const records = await fixture.read("account");
    expect(opsOf(records)).toEqual(["c"]);
    expect(records[0]?.value).toEqual({ id: 1, title: "after" });
  } finally {
    await server.stop();
    await removeStackDirectory(directory);
  }
});

async function setStandby(observer: Client, name: "nobody" | null): Promise<void> {
  await observer.query(
    name === null
      ? "ALTER SYSTEM RESET synchronous_standby_names"
      : `ALTER SYSTEM SET synchronous_standby_names = '${name}'`,
  );
  await observer.query("SELECT pg_reload_conf()");
  await showsStandby(observer, name ?? "");
}

async function showsStandby(session: Client, expected: string): Promise<void> {
  const shown = async () =>
    (await session.query("SHOW synchronous_standby_names")).rows[0]?.synchronous_standby_names;
  await waitFor(async () => (await shown()) === expected, { describe: "the setting to be read" });
}

/** Sessions wait for a standby only once the checkpointer, too, has read the setting: it tells them to. */
async function untilCommitsWait(observer: Client, probe: Client): Promise<void> {
  const pid = (await probe.query("SELECT pg_backend_pid() AS pid")).rows[0]?.pid;
  let running = false;
  const isWaiting = async () => {
    if (!running) {
      running = true;
      const ended = () => {
        running = false;
      };
      probe.query("INSERT INTO probes VALUES (1)").then(ended, ended);
    }
    const activity = await observer.query("SELECT wait_event FROM pg_stat_activity WHERE pid = $1", [pid]);
    return activity.rows[0]?.wait_event === "SyncRep";
  };
  await waitFor(isWaiting, { describe: "commits to wait for a standby", intervalMs: 20 });
}
