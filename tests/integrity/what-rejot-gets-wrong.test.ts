import { describe, expect, test } from "vitest";
import { startStack } from "../../compose/dev-stack/stack.ts";
import { type Bridge, startBridge } from "../support/bridge.ts";
import { readTopic } from "../support/kafka.ts";
import { expectEveryPositionOnce, transformationsOf } from "../support/source.ts";

/** A copy of accounts that counts how often each row was written. */
const ACCOUNTS = {
  sourceSql: "CREATE TABLE accounts (id bigint PRIMARY KEY, name text NOT NULL, n int NOT NULL DEFAULT 0)",
  destinationSql:
    "CREATE TABLE copy (id bigint PRIMARY KEY, name text, n int, writes int NOT NULL DEFAULT 1)",
  properties: { id: { type: "integer" }, name: { type: "string" }, n: { type: "integer" } },
  transformations: transformationsOf(
    "accounts",
    "SELECT id, name, n FROM accounts WHERE id = :id",
    "SELECT :id AS id",
  ),
  sql: `INSERT INTO copy AS c (id, name, n) VALUES (:id, :name, :n)
        ON CONFLICT (id) DO UPDATE SET name = :name, n = :n, writes = c.writes + 1`,
  deleteSql: "DELETE FROM copy WHERE id = :id",
};
const WANTED = "SELECT id, name, n FROM accounts ORDER BY id";
const FOUND = "SELECT id, name, n FROM copy ORDER BY id";

const equal = (bridge: Bridge) => bridge.equal(WANTED, FOUND);

describe("what ReJot gets wrong is right here", () => {
  test("N rows of one transaction are written once each, not N times", async () => {
    await using bridge = await startBridge(ACCOUNTS);
    await bridge.source.query("INSERT INTO accounts SELECT i, 'a' || i FROM generate_series(1, 50) i");
    await equal(bridge);
    expect(await bridge.destination.query("SELECT DISTINCT writes FROM copy")).toEqual([{ writes: "1" }]);
  });

  test("a transaction of more than 100 operations arrives whole", async () => {
    await using bridge = await startBridge(ACCOUNTS);
    await bridge.source.query(
      "BEGIN; INSERT INTO accounts SELECT i, 'a' || i FROM generate_series(1, 950) i; UPDATE accounts SET n = id % 7; DELETE FROM accounts WHERE id % 10 = 0; COMMIT",
    );
    await equal(bridge);
    const records = await readTopic(bridge.topic);
    expect(records).toHaveLength(950 + 950 + 95);
    expectEveryPositionOnce(records);
  });

  test("50 transactions of 1,000 rows arrive whole, each event once", async () => {
    await using bridge = await startBridge(ACCOUNTS);
    for (let i = 0; i < 50; i++) {
      await bridge.source.query(
        `INSERT INTO accounts SELECT ${i} * 1000 + j, 'a' || j FROM generate_series(1, 1000) j`,
      );
    }
    const digest = "SELECT count(*), md5(string_agg(id || name || n, ',' ORDER BY id)) FROM";
    await bridge.equal(`${digest} accounts`, `${digest} copy`);
    expect(await bridge.destination.query("SELECT writes, count(*) FROM copy GROUP BY 1")).toEqual([
      { writes: "1", count: "50000" },
    ]);
    expectEveryPositionOnce(await readTopic(bridge.topic, { registryUrl: null }));
  });

  test("transactions of several writers at once do not lose each other's rows", async () => {
    await using bridge = await startBridge(ACCOUNTS);
    const writers = await Promise.all([1, 2, 3, 4].map(() => bridge.source.connect()));
    await Promise.all(
      writers.map(async (writer, w) => {
        for (let i = 0; i < 40; i++) {
          await writer.query("BEGIN");
          await writer.query("INSERT INTO accounts VALUES ($1, 'a')", [w * 1000 + i]);
          await writer.query("UPDATE accounts SET n = n + 1 WHERE id = $1", [w * 1000 + i]);
          await writer.query("COMMIT");
        }
      }),
    );
    await equal(bridge);
    expect(await bridge.destination.query("SELECT count(*) FROM copy")).toEqual([{ count: "160" }]);
  });

  test("of two interleaved transactions, the one that began first and committed last is not lost", async () => {
    await using bridge = await startBridge(ACCOUNTS);
    const [first, second] = [await bridge.source.connect(), await bridge.source.connect()];
    await first.query("BEGIN; INSERT INTO accounts VALUES (1, 'first')");
    await second.query("BEGIN; INSERT INTO accounts VALUES (2, 'second')");
    await first.query("INSERT INTO accounts VALUES (3, 'first')");
    await second.query("COMMIT");
    await first.query("INSERT INTO accounts VALUES (4, 'first'); COMMIT");
    await equal(bridge);
    expect(await bridge.destination.query("SELECT count(*) FROM copy")).toEqual([{ count: "4" }]);
  });

  test("a row that is updated and then deleted does not stop anything", async () => {
    await using bridge = await startBridge(ACCOUNTS);
    await bridge.source.query("INSERT INTO accounts VALUES (1, 'a'), (2, 'b')");
    await bridge.source.query("UPDATE accounts SET name = 'x' WHERE id = 1");
    await bridge.source.query("DELETE FROM accounts WHERE id = 1");
    await bridge.source.query("BEGIN; UPDATE accounts SET n = 9; DELETE FROM accounts; COMMIT");
    await bridge.source.query("INSERT INTO accounts VALUES (3, 'c')");
    await equal(bridge);
    expect(bridge.sink.unit().role).toBe("active");
  });

  test("a key that is deleted and inserted in one transaction keeps its row", async () => {
    await using bridge = await startBridge(ACCOUNTS);
    await bridge.source.query("INSERT INTO accounts VALUES (1, 'before')");
    await bridge.source.query(
      "BEGIN; DELETE FROM accounts WHERE id = 1; INSERT INTO accounts VALUES (1, 'after'); COMMIT",
    );
    await equal(bridge);
    expect(await bridge.destination.query("SELECT name FROM copy")).toEqual([{ name: "after" }]);
  });

  test("a destination that is down and a Postgres that restarts do not end the process", async () => {
    await using stack = await startStack({ env: process.env });
    const { host, port, user, password } = stack.postgres;
    const addresses = {
      postgres: { host, port, user, password },
      brokers: stack.kafka.brokers,
      registryUrl: stack.registry.url,
    };
    await using bridge = await startBridge({ ...ACCOUNTS, stack: addresses });
    await bridge.source.query("INSERT INTO accounts SELECT i, 'a' FROM generate_series(1, 100) i");
    await equal(bridge);
    // Source and destination are databases of the same server: both connectors lose it in mid-stream.
    await bridge.source.query("INSERT INTO accounts SELECT i, 'b' FROM generate_series(101, 5000) i");
    await stack.postgres.restart();
    await bridge.source.query("INSERT INTO accounts SELECT i, 'c' FROM generate_series(5001, 5100) i");
    await equal(bridge);
    expect(await bridge.destination.query("SELECT DISTINCT writes FROM copy")).toEqual([{ writes: "1" }]);
  });
});

describe("values arrive as they are", () => {
  const VALUES = {
    sourceSql: `CREATE TABLE things (id bigint PRIMARY KEY, at timestamptz, early timestamptz, big bigint, exact numeric, doc jsonb,
                raw json, bytes bytea, span interval, list text[])`,
    destinationSql: `CREATE TABLE copy (id bigint PRIMARY KEY, at timestamptz, early timestamptz, big bigint, exact numeric, doc jsonb,
                raw json, bytes bytea, span interval, list text[])`,
    properties: {
      id: { type: "integer" },
      at: { type: ["string", "null"], format: "date-time" },
      early: { type: ["string", "null"] },
      big: { type: ["integer", "null"] },
      exact: { type: ["string", "null"] },
      doc: {},
      raw: {},
      bytes: { type: ["string", "null"], contentEncoding: "base64" },
      span: { type: ["string", "null"] },
      list: { anyOf: [{ type: "array", items: { type: ["string", "null"] } }, { type: "null" }] },
    },
    transformations: transformationsOf(
      "things",
      "SELECT id, at, early, big, exact, doc, raw, bytes, span, list FROM things WHERE id = :id",
      "SELECT :id AS id",
    ),
    sql: `INSERT INTO copy VALUES (:id, :at, :early, :big, :exact, :doc, :raw, :bytes, :span, :list)
          ON CONFLICT (id) DO UPDATE SET at = :at, early = :early, big = :big, exact = :exact, doc = :doc, raw = :raw, bytes = :bytes,
          span = :span, list = :list`,
    deleteSql: "DELETE FROM copy WHERE id = :id",
  };

  test("microseconds, big numbers, jsonb scalars, bytea, intervals and arrays are neither cut nor rounded", async () => {
    await using bridge = await startBridge(VALUES);
    await bridge.source.query(`INSERT INTO things VALUES
      (1, '2024-02-29 23:59:59.123456+05:30', 'infinity', 9223372036854775807, 12345678901234567890.123456789012345678901234567890,
       '{"n": 12345678901234567890.12345678901234567890, "u": "\\u00e9\\"", "deep": [1, [2, null], {"a": true}]}',
       '{"a": 1,  "a": 2}', '\\x0001ff80', '1 year 2 mons -3 days +04:05:06.789012', ARRAY['a', NULL, 'NULL', '"q"', 'b\\c', '']),
      (2, '0001-01-01 12:00:00.000001+00', '0044-03-15 12:00:00.000001+00 BC', -9223372036854775808, 'NaN', '"a scalar"', '3', '', 'P1Y', '{}'),
      (3, NULL, NULL, NULL, '-0.000', '17', 'true', NULL, NULL, NULL),
      (4, '1970-01-01 00:00:00+00', '-infinity', 0, '1e-30', 'null', 'null', '\\x5c', '-00:00:00.000001', '{a}'),
      (5, '9999-12-31 23:59:59.999999+00', now(), 1, '1e100', '[]', '"text"', '\\x22', '178000000 years', '{"{}"}')`);
    const columns = "id, at, early, big, exact, doc::text, raw::text, bytes, span, list FROM";
    await bridge.equal(`SELECT ${columns} things ORDER BY id`, `SELECT ${columns} copy ORDER BY id`);
  });
});

describe("a commit reaches the stream before other snapshots see it", () => {
  test("300 inserts and 300 updates at 50 a second, read back from tables: no stale row", async () => {
    await using bridge = await startBridge({
      ...ACCOUNTS,
      sourceSql: `CREATE TABLE owners (id bigint PRIMARY KEY, title text NOT NULL);
        CREATE TABLE accounts (id bigint PRIMARY KEY, owner bigint NOT NULL REFERENCES owners, n int NOT NULL);
        INSERT INTO owners SELECT i, 'o' || i FROM generate_series(1, 10) i`,
      // Twice in the FROM clause: the row image is not allowed, so the table itself is read.
      transformations: transformationsOf(
        "accounts",
        `SELECT a.id, o.title AS name, a.n FROM accounts a JOIN owners o ON o.id = a.owner
         JOIN accounts same ON same.id = a.id WHERE a.id = :id`,
        "SELECT :id AS id",
      ),
    });
    const writer = await bridge.source.connect();
    await writer.query("SET synchronous_commit = on");
    const startedAt = performance.now();
    for (let i = 0; i < 600; i++) {
      const waitMs = startedAt + i * 20 - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const id = i % 300;
      if (i < 300) await writer.query("INSERT INTO accounts VALUES ($1, $2, 0)", [id, (id % 10) + 1]);
      else await writer.query("UPDATE accounts SET n = $1 WHERE id = $2", [i, id]);
    }
    await bridge.equal(
      "SELECT a.id, o.title AS name, a.n FROM accounts a JOIN owners o ON o.id = a.owner ORDER BY a.id",
      FOUND,
    );
    const records = await readTopic(bridge.topic);
    expect(records).toHaveLength(600);
    const updates = records.filter((record) => record.change?.startsWith("u"));
    expect(updates.every((record) => (record.value as { n: number }).n >= 300)).toBe(true);
  });
});
