import { describe, expect, test } from "vitest";
import { parseLsn } from "../../shared/postgres/lsn.ts";
import { randomName } from "../support/names.ts";
import {
  createSourceFixture,
  expectEveryPositionOnce,
  type SourceFixture,
  type SourceOptions,
  transformationsOf,
} from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

const ROWS: SourceOptions = {
  sql: `CREATE TABLE rows (id bigint PRIMARY KEY, text text NOT NULL);
        CREATE TABLE gate (open boolean NOT NULL); INSERT INTO gate VALUES (true);
        CREATE TABLE unpublished (id bigint PRIMARY KEY, text text NOT NULL)`,
  schemas: [
    {
      name: "row",
      fields: { id: "integer", size: "integer" },
      key: ["id"],
      transformations: transformationsOf(
        "rows",
        "SELECT id, length(text) AS size FROM rows, gate WHERE rows.id = :id AND gate.open",
        "SELECT :id AS id",
      ),
    },
  ],
};

/** How far the server has sent the WAL, and how many bytes are left. */
async function sent(fixture: SourceFixture): Promise<{ lsn: string; left: number }> {
  const [row] = await fixture.database.query(
    `SELECT sent_lsn AS lsn, pg_current_wal_lsn() - sent_lsn AS bytes FROM pg_stat_replication
      WHERE pid = (SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1)`,
    [fixture.slotName],
  );
  return { lsn: row?.lsn ?? "", left: Number(row?.bytes) };
}

describe("a source at rest and under pressure", () => {
  test("a heartbeat moves the slot while only other tables are written", async () => {
    await using fixture = await createSourceFixture(ROWS);
    await using source = await fixture.start({ heartbeatMs: 200 });
    await fixture.database.query(
      "INSERT INTO unpublished SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i",
    );
    const [row] = await fixture.database.query("SELECT pg_current_wal_lsn() AS lsn");
    const target = parseLsn(row?.lsn ?? "");
    await waitFor(
      async () => {
        const [slot] = await fixture.database.query(
          "SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE slot_name = $1",
          [fixture.slotName],
        );
        return parseLsn(slot?.lsn ?? "0/0") >= target;
      },
      { describe: "the slot to pass what was written to other tables" },
    );
    await waitFor(() => (source.status.lagBytes ?? Number.NaN) < 100_000, {
      describe: "a small lag in bytes",
    });
    expect(await fixture.read("row")).toEqual([]);
  });

  test("reading pauses while transformations are held up, the lag is told, and all of it comes afterwards", async () => {
    await using fixture = await createSourceFixture(ROWS);
    await using source = await fixture.start({ maxBufferedBytes: 1_000_000, maxRows: 500 });
    const gate = await fixture.database.connect();
    await gate.query("BEGIN; LOCK TABLE gate IN ACCESS EXCLUSIVE MODE");
    const count = 40_000;
    for (let i = 0; i < 40; i++) {
      await fixture.database.query(
        "INSERT INTO rows SELECT $1 * 1000 + g, repeat('x', 1000) FROM generate_series(1, 1000) g",
        [i],
      );
    }
    // What fits into sockets and the buffer is sent, the rest waits in the WAL.
    let before = "";
    const waiting = await waitFor(
      async () => {
        const { lsn, left } = await sent(fixture);
        const settled = lsn === before;
        before = lsn;
        return settled ? left : undefined;
      },
      { intervalMs: 1_000, describe: "the stream to stand still" },
    );
    expect(waiting).toBeGreaterThan(15_000_000);
    expect(source.status.role).toBe("active");
    expect(source.status.lagMs).toBeGreaterThan(1_000);
    await gate.query("COMMIT");
    await fixture.published(60_000);
    const records = await fixture.read("row", { decode: false });
    expect(records).toHaveLength(count);
    expectEveryPositionOnce(records);
    expect(source.status).toMatchObject({ role: "active", lastError: null });
  });

  test("two sources that start for the first time together: one becomes active, the other stands by", async () => {
    await using fixture = await createSourceFixture(ROWS);
    const [a, b] = await Promise.all([fixture.start(), fixture.start()]);
    try {
      await waitFor(() => [a.status.role, b.status.role].toSorted().join() === "active,standby", {
        describe: () => `one active and one standby: ${a.status.role}, ${b.status.role}`,
      });
      await fixture.database.query("INSERT INTO rows VALUES (1, 'x')");
      await fixture.published();
      expect(await fixture.read("row")).toHaveLength(1);
    } finally {
      await Promise.all([a.stop(), b.stop()]);
    }
  });

  test("while one source waits for the slot to be created, another stands by, and a third can be stopped", async () => {
    await using fixture = await createSourceFixture(ROWS);
    const early = await fixture.database.connect();
    await early.query("BEGIN; INSERT INTO rows VALUES (1, 'x')");
    const starting = fixture.start({ takeoverMs: 500 });
    const creating =
      "SELECT FROM pg_replication_slots WHERE slot_name = $1 AND confirmed_flush_lsn IS NULL AND active_pid IS NOT NULL";
    await waitFor(async () => (await fixture.database.query(creating, [fixture.slotName])).length > 0, {
      describe: "the slot to be in the making",
    });
    await using second = await fixture.start({ takeoverMs: 500 });
    expect(second.status).toMatchObject({ role: "standby", lastError: null });
    await using third = await fixture.start();
    const stoppedAt = Date.now();
    await third.stop();
    expect(Date.now() - stoppedAt).toBeLessThan(5_000);
    await early.query("COMMIT");
    await using first = await starting;
    await waitFor(() => [first.status.role, second.status.role].toSorted().join() === "active,standby", {
      describe: () => `one active and one standby: ${first.status.role}, ${second.status.role}`,
    });
    await fixture.database.query("INSERT INTO rows VALUES (2, 'x')");
    await fixture.published();
    expect((await fixture.read("row")).map(({ key }) => key)).toEqual([{ id: 2 }]);
  });

  test("a source that waits for the slot to be created can be stopped", async () => {
    await using fixture = await createSourceFixture(ROWS);
    const early = await fixture.database.connect();
    await early.query("BEGIN; INSERT INTO rows VALUES (1, 'x')");
    const connector = await fixture.create();
    const starting = connector.start(new AbortController().signal);
    await waitFor(
      async () =>
        (
          await fixture.database.query("SELECT FROM pg_replication_slots WHERE slot_name = $1", [
            fixture.slotName,
          ])
        ).length > 0,
      { describe: "the slot to be in the making" },
    );
    await connector.stop();
    await starting;
    await connector.done;
    await early.query("COMMIT");
    await using source = await fixture.start();
    // The server goes on making the slot for the one that was stopped; what is written until then is before it.
    await waitFor(() => source.status.role === "active", { describe: "the source to be active" });
    await fixture.database.query("INSERT INTO rows VALUES (2, 'x')");
    await fixture.published();
    expect((await fixture.read("row")).map(({ key }) => key)).toEqual([{ id: 2 }]);
  });

  test("a standby whose own connection to Postgres breaks goes on standing by", async () => {
    await using fixture = await createSourceFixture(ROWS);
    await using active = await fixture.start();
    await using standby = await fixture.start();
    expect([active.status.role, standby.status.role]).toEqual(["active", "standby"]);
    await fixture.database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'rejot-source%' AND pid <> ALL (
           SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1)`,
      [fixture.slotName],
    );
    await waitFor(() => [active.status.role, standby.status.role].toSorted().join() === "active,standby", {
      describe: () => `one active and one standby again: ${active.status.role}, ${standby.status.role}`,
    });
    await fixture.database.query("INSERT INTO rows VALUES (1, 'x')");
    await fixture.published();
    expect(await fixture.read("row")).toHaveLength(1);
  });
});

describe("tables that are altered while the source runs", () => {
  test("columns come, change their type and go; every row shows what its transaction saw", async () => {
    await using fixture = await createSourceFixture({
      sql: "CREATE TABLE things (id int PRIMARY KEY, name varchar(20) NOT NULL, old text)",
      schemas: [
        {
          name: "thing",
          fields: { id: "integer", name: "string" },
          transformations: transformationsOf(
            "things",
            "SELECT id, name FROM things WHERE id = :id",
            "SELECT :id AS id",
          ),
        },
      ],
    });
    await using source = await fixture.start();
    await fixture.database.query(`
      INSERT INTO things VALUES (1, 'before', 'x');
      BEGIN; INSERT INTO things VALUES (2, 'same', 'x'); ALTER TABLE things ADD extra jsonb DEFAULT '{}'; INSERT INTO things VALUES (3, 'same', 'x', '[]'); COMMIT;
      ALTER TABLE things ALTER id TYPE bigint, ALTER name TYPE text; UPDATE things SET name = name || ' more than twenty characters' WHERE id = 2;
      ALTER TABLE things DROP old; INSERT INTO things VALUES (5000000000, 'large'); DELETE FROM things WHERE id = 1`);
    await fixture.published();
    expect(source.status).toMatchObject({ role: "active", lastError: null });
    expect(
      (await fixture.read("thing")).map(({ change, key, value }) => [
        change?.[0],
        key,
        (value as { name: string } | null)?.name,
      ]),
    ).toEqual([
      ["c", { id: 1 }, "before"],
      ["c", { id: 2 }, "same"],
      ["c", { id: 3 }, "same"],
      ["u", { id: 2 }, "same more than twenty characters"],
      ["c", { id: 5_000_000_000 }, "large"],
      ["d", { id: 1 }, undefined],
    ]);
  });
});

describe("the role of the transformations", () => {
  test("reads only what it was granted", async () => {
    const role = randomName("reader");
    await using fixture = await createSourceFixture({ ...ROWS, config: { transformationRole: role } });
    await fixture.database.query(`CREATE ROLE ${role}; GRANT SELECT ON rows TO ${role}`);
    try {
      await expect(fixture.start()).rejects.toMatchObject({
        code: "TRANSFORMATION_REJECTED",
        message: expect.stringContaining("permission denied for table gate"),
      });
      await fixture.database.query(`GRANT SELECT ON gate TO ${role}`);
      await using _source = await fixture.start();
      await fixture.database.query("INSERT INTO rows VALUES (1, 'abc')");
      await fixture.published();
      expect((await fixture.read("row")).map(({ value }) => value)).toEqual([{ id: 1, size: 3 }]);
    } finally {
      await fixture.database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });
});
