import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomName } from "../support/names.ts";
import { type OwnPostgres, startOwnPostgres } from "../support/own-postgres.ts";
import {
  createSourceFixture,
  expectEveryPositionOnce,
  type SourceFixture,
  type SourceOptions,
  transformationsOf,
} from "../support/source.ts";

let server: OwnPostgres;
beforeAll(async () => {
  server = await startOwnPostgres({ max_prepared_transactions: "10" });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const COLUMNS = "id bigint PRIMARY KEY, n int NOT NULL";

function fixtureOf(
  sql: string,
  more: Partial<SourceOptions> & { table?: string; select?: string } = {},
): Promise<SourceFixture> {
  const { table = "rows", select = `SELECT id, n FROM ${table} WHERE id = :id`, ...options } = more;
  return createSourceFixture({
    stack: server.stack,
    sql,
    schemas: [
      {
        name: "row",
        fields: { id: "integer", n: "integer" },
        key: ["id"],
        transformations: transformationsOf(table, select, "SELECT :id AS id"),
      },
    ],
    ...options,
  });
}

/** What is published for the statements: operation, id and n of every event. */
async function eventsOf(fixture: SourceFixture, ...statements: string[]): Promise<string[]> {
  await using _source = await fixture.start();
  // One by one: some may not run in a transaction block.
  for (const statement of statements) await fixture.database.query(statement);
  await fixture.published();
  const records = await fixture.read("row");
  expectEveryPositionOnce(records);
  return records.map(
    ({ change, key, value }) =>
      `${change?.[0]} ${(key as { id: number }).id} ${(value as { n: number } | null)?.n ?? "-"}`,
  );
}

describe("tables and transactions of special kinds", () => {
  test("partitions are their partitioned table, also those that come later", async () => {
    await using fixture = await fixtureOf(
      `CREATE TABLE rows (${COLUMNS}) PARTITION BY RANGE (id);
       CREATE TABLE rows_1 PARTITION OF rows FOR VALUES FROM (0) TO (100)`,
    );
    expect(
      await eventsOf(
        fixture,
        "INSERT INTO rows VALUES (1, 1)",
        "CREATE TABLE rows_2 PARTITION OF rows FOR VALUES FROM (100) TO (200)",
        "INSERT INTO rows VALUES (150, 2)",
        "CREATE TABLE rows_3 (LIKE rows INCLUDING ALL)",
        "ALTER TABLE rows ATTACH PARTITION rows_3 FOR VALUES FROM (200) TO (300)",
        "INSERT INTO rows_3 VALUES (250, 3)",
        "UPDATE rows SET id = 50 WHERE id = 250",
        "DELETE FROM rows WHERE id = 1",
      ),
    ).toEqual(["c 1 1", "c 150 2", "c 250 3", "d 250 -", "c 50 3", "d 1 -"]);
  });

  test.each([
    ["a table with rows", "INSERT INTO rows_2 VALUES (150, 1)", "", true],
    [
      "one filled in the transaction that attaches it",
      "BEGIN; DROP TABLE rows_2; CREATE TABLE rows_2 (LIKE rows INCLUDING ALL); INSERT INTO rows_2 VALUES (150, 1)",
      "COMMIT",
      true,
    ],
    [
      "one that was detached",
      "ALTER TABLE rows ATTACH PARTITION rows_2 FOR VALUES FROM (100) TO (200); INSERT INTO rows VALUES (150, 1); ALTER TABLE rows DETACH PARTITION rows_2",
      "",
      true,
    ],
    ["an empty one that is filled afterwards", "", "INSERT INTO rows VALUES (150, 1)", false],
    [
      "an empty one that is filled in its transaction",
      "BEGIN",
      "INSERT INTO rows VALUES (150, 1); COMMIT",
      false,
    ],
  ])(
    "rows that ATTACH PARTITION brings along are not published, which is noticed: %s",
    async (_what, before, after, stops) => {
      await using fixture = await fixtureOf(
        `CREATE TABLE rows (${COLUMNS}) PARTITION BY RANGE (id); CREATE TABLE rows_1 PARTITION OF rows FOR VALUES FROM (0) TO (100);
       CREATE TABLE rows_2 (LIKE rows INCLUDING ALL)`,
        { config: { heartbeatMs: 100 } },
      );
      {
        await using source = await fixture.start();
        await fixture.database.query(
          `${before}; ALTER TABLE rows ATTACH PARTITION rows_2 FOR VALUES FROM (100) TO (200); ${after}`,
        );
        if (stops)
          await expect(source.connector.done).rejects.toMatchObject({
            code: "PARTITION_UNPUBLISHED",
            message: expect.stringMatching(/"rows_2", of "public"."rows"/),
          });
        else await fixture.published();
      }
      await using again = await fixture.start();
      await fixture.database.query("INSERT INTO rows VALUES (160, 2)");
      await fixture.published();
      expect(again.status.role).toBe("active");
      const streamed = before.includes("INTO rows ") || after.includes("INTO rows ");
      expect(await fixture.read("row", { decode: false })).toHaveLength(streamed ? 2 : 1);
    },
  );

  test("one partition alone is published under its own name", async () => {
    await using fixture = await fixtureOf(
      `CREATE TABLE whole (${COLUMNS}) PARTITION BY RANGE (id);
       CREATE TABLE rows PARTITION OF whole FOR VALUES FROM (0) TO (100);
       CREATE TABLE others PARTITION OF whole DEFAULT`,
    );
    await fixture.database.query(
      `CREATE PUBLICATION ${fixture.publicationName} FOR TABLE rows WITH (publish_via_partition_root = false)`,
    );
    expect(
      await eventsOf(
        fixture,
        "INSERT INTO whole VALUES (1, 1), (500, 2)",
        "UPDATE whole SET n = n + 10",
        "UPDATE whole SET id = 600 WHERE id = 1",
      ),
    ).toEqual(["c 1 1", "u 1 11", "d 1 -"]);
  });

  test("rows of tables that inherit are rows of the table, read by the same SQL", async () => {
    await using fixture = await fixtureOf(
      `CREATE TABLE rows (${COLUMNS}); CREATE TABLE special (extra text, PRIMARY KEY (id)) INHERITS (rows);
       CREATE TABLE very_special (PRIMARY KEY (id)) INHERITS (special)`,
    );
    expect(
      await eventsOf(
        fixture,
        "CREATE TEMPORARY TABLE passing () INHERITS (rows)",
        "INSERT INTO rows VALUES (1, 1)",
        "INSERT INTO special VALUES (2, 2, 'x'); INSERT INTO very_special VALUES (3, 3, 'y')",
        "UPDATE rows SET n = n + 10",
        "DELETE FROM rows WHERE id > 1",
      ),
    ).toEqual(["c 1 1", "c 2 2", "c 3 3", "u 1 11", "u 2 12", "u 3 13", "d 2 -", "d 3 -"]);
  });

  test("an heir without identity is refused, before Postgres would refuse its updates", async () => {
    await using fixture = await fixtureOf(
      `CREATE TABLE rows (${COLUMNS}); CREATE TABLE special () INHERITS (rows)`,
    );
    await expect(fixture.start()).rejects.toMatchObject({
      code: "TABLE_WITHOUT_IDENTITY",
      message: expect.stringContaining("public.special"),
    });
    await fixture.database.query("INSERT INTO special VALUES (1, 1); UPDATE special SET n = 2");
  });

  test("an unlogged table is refused; others do not disturb", async () => {
    await using fixture = await fixtureOf(`CREATE UNLOGGED TABLE rows (${COLUMNS})`);
    await expect(fixture.start()).rejects.toMatchObject({
      code: "TABLE_UNLOGGED",
      message: expect.stringContaining("public.rows"),
    });
    await fixture.database.query("ALTER TABLE rows SET LOGGED; CREATE UNLOGGED TABLE scratch (id bigint)");
    expect(
      await eventsOf(fixture, "INSERT INTO scratch VALUES (1)", "INSERT INTO rows VALUES (1, 1)"),
    ).toEqual(["c 1 1"]);
  });

  test("generated columns, stored and virtual, are read from the table", async () => {
    for (const kind of ["STORED", "VIRTUAL"]) {
      await using fixture = await fixtureOf(
        `CREATE TABLE rows (id bigint PRIMARY KEY, half int NOT NULL, n int GENERATED ALWAYS AS (half * 2) ${kind})`,
      );
      expect(await eventsOf(fixture, "INSERT INTO rows VALUES (1, 4), (2, 5)"), kind).toEqual([
        "c 1 8",
        "c 2 10",
      ]);
    }
  });

  test("row-level security that would hide rows is refused; a role that it does not bind publishes all", async () => {
    const role = randomName("role");
    await using fixture = await fixtureOf(
      `CREATE TABLE rows (${COLUMNS}); CREATE ROLE ${role}; GRANT SELECT ON rows TO ${role};
       ALTER TABLE rows ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON rows USING (n > 1)`,
      { config: { transformationRole: role } },
    );
    await expect(fixture.start()).rejects.toMatchObject({
      code: "TRANSFORMATION_REJECTED",
      message: expect.stringContaining("row-level security"),
      hint: expect.stringContaining("BYPASSRLS"),
    });
    await (await fixture.start({ rowSecurity: "apply" })).stop();
    await fixture.database.query(`ALTER ROLE ${role} BYPASSRLS`);
    expect(await eventsOf(fixture, "INSERT INTO rows VALUES (1, 1), (2, 2)")).toEqual(["c 1 1", "c 2 2"]);
  });

  test("prepared transactions are published when they are committed, in that order", async () => {
    await using fixture = await fixtureOf(`CREATE TABLE rows (${COLUMNS})`);
    expect(
      await eventsOf(
        fixture,
        "BEGIN; INSERT INTO rows VALUES (1, 1); PREPARE TRANSACTION 'first'",
        "BEGIN; INSERT INTO rows VALUES (2, 2); PREPARE TRANSACTION 'second'",
        "INSERT INTO rows VALUES (3, 3)",
        "COMMIT PREPARED 'second'",
        "ROLLBACK PREPARED 'first'",
        "INSERT INTO rows VALUES (1, 4)",
      ),
    ).toEqual(["c 3 3", "c 2 2", "c 1 4"]);
  });

  test("one that is prepared before a restart and committed after it comes once", async () => {
    await using fixture = await fixtureOf(`CREATE TABLE rows (${COLUMNS})`);
    await eventsOf(fixture, "BEGIN; INSERT INTO rows VALUES (1, 1); PREPARE TRANSACTION 'waits'");
    await fixture.database.query("COMMIT PREPARED 'waits'");
    expect(await eventsOf(fixture, "INSERT INTO rows VALUES (2, 2)")).toEqual(["c 1 1", "c 2 2"]);
  });

  test("large objects and other programs' logical messages are passed over", async () => {
    await using fixture = await fixtureOf(`CREATE TABLE rows (${COLUMNS})`);
    expect(
      await eventsOf(
        fixture,
        "SELECT lo_from_bytea(0, decode(repeat('ff', 100000), 'hex'))",
        "SELECT pg_logical_emit_message(false, 'other', repeat('x', 100000))",
        "BEGIN; SELECT pg_logical_emit_message(true, 'other', 'a'); INSERT INTO rows VALUES (1, 1); SELECT pg_logical_emit_message(true, 'rejot', 'b'); COMMIT",
        "SELECT pg_logical_emit_message(true, 'other', 'alone')",
        "INSERT INTO rows VALUES (2, 2)",
      ),
    ).toEqual(["c 1 1", "c 2 2"]);
  });
});
