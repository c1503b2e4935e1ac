import { readFile } from "node:fs/promises";
import { expect, inject, test } from "vitest";
import { runToEnd, writeFiles } from "../support/connector.ts";
import { createDatabase } from "../support/database.ts";
import { startSync } from "../support/sync.ts";
import { waitFor } from "../support/wait-for.ts";

const WRITTEN_BY_REJOT = new URL("./fixtures/rejot-manifest.json", import.meta.url);

const ACCOUNTS = `CREATE TABLE accounts (
  id bigint PRIMARY KEY, email text NOT NULL, first_name text NOT NULL, last_name text NOT NULL,
  status text NOT NULL, balance numeric(12,2) NOT NULL, created_at timestamptz NOT NULL)`;
const CUSTOMER = `CREATE TABLE customer (
  id bigint PRIMARY KEY, email text, name text, status text, balance numeric(12,2), created_at timestamptz)`;

test("a manifest that ReJot's own command line wrote runs unchanged, with an event store added", async () => {
  const { brokers, registryUrl } = inject("stack");
  await using source = await createDatabase({ sql: ACCOUNTS });
  await using sink = await createDatabase({ sql: CUSTOMER });
  const original = await readFile(WRITTEN_BY_REJOT, "utf8");
  await using folder = await writeFiles({ "rejot-manifest.json": original });
  const run = async (...args: string[]) => {
    const result = await runToEnd("cli/bin.js", ["manifest", ...args], { cwd: folder.directory });
    expect(result.exitCode, result.stderr).toBe(0);
  };
  await run("connection", "update", "source", "--connection-string", source.url);
  await run("connection", "update", "sink", "--connection-string", sink.url);
  const kafka = ["--type", "kafka", "--brokers", brokers.join(","), "--schema-registry", registryUrl];
  await run("connection", "add", "--slug", "events", ...kafka);
  await run("eventstore", "add", "--connection", "events");
  const { publicSchemas, consumerSchemas, dataStores } = JSON.parse(original);
  expect(JSON.parse(await readFile(folder.path("rejot-manifest.json"), "utf8"))).toMatchObject({
    publicSchemas,
    consumerSchemas,
    dataStores,
  });

  await using sync = startSync(folder.directory);
  await sync.waitForReady();
  await source.query(
    `INSERT INTO accounts SELECT n, n || '@x', 'First', 'Last' || n, 'active', n / 4.0, '2024-02-29 23:59:59.123456+00'
       FROM generate_series(1, 300) n;
     UPDATE accounts SET status = 'closed', balance = 0.1 WHERE id % 3 = 0;
     DELETE FROM accounts WHERE id % 10 = 0`,
  );
  const expected = await source.query(
    "SELECT id, email, first_name || ' ' || last_name AS name, status, balance, created_at FROM accounts ORDER BY id",
  );
  expect(expected).toHaveLength(270);
  await waitFor(
    async () =>
      JSON.stringify(await sink.query("SELECT * FROM customer ORDER BY id")) === JSON.stringify(expected),
    { timeoutMs: 60_000, describe: () => `the accounts to arrive; the log:\n${sync.log()}` },
  );
  expect(await sync.stop()).toBe(0);
});
