import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { PairReport } from "../../cli/verify/pair-report.ts";
import { expectedRows } from "../../cli/verify/postgres-destination-rows.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { type Bridge, type BridgeOptions, startBridge } from "../support/bridge.ts";
import { randomName } from "../support/names.ts";
import { startProxy } from "../support/proxy.ts";
import { transformationsOf } from "../support/source.ts";
import { faultsOf, runVerify, verifyJson } from "../support/verify.ts";
import { waitFor } from "../support/wait-for.ts";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const ITEM = "SELECT id, name FROM item WHERE id = :id";
const UPSERT =
  "INSERT INTO copy (id, name) VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = excluded.name";

async function bridge(
  more: Partial<Pick<BridgeOptions, "sql" | "deleteSql" | "destinationSql" | "sourceSql" | "more">> = {},
): Promise<Bridge> {
  const made = await startBridge({
    sourceSql:
      more.sourceSql ??
      "CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL); INSERT INTO item SELECT i, 'ok' FROM generate_series(1, 20) i",
    destinationSql: more.destinationSql ?? "CREATE TABLE copy (id bigint PRIMARY KEY, name text NOT NULL)",
    properties: { id: { type: "integer" }, name: { type: ["string", "null"] } },
    transformations: transformationsOf("item", ITEM, "SELECT :id AS id"),
    sql: more.sql ?? UPSERT,
    deleteSql: more.deleteSql ?? "DELETE FROM copy WHERE id = :id",
    ...(more.more === undefined ? {} : { more: more.more }),
  });
  const copied = more.destinationSql?.match(/CREATE TABLE (\S+)/)?.[1] ?? "copy";
  const items = `SELECT count(*) AS n FROM ${more.more === undefined ? "item" : "(TABLE item UNION ALL TABLE thing) x"}`;
  await made.equal(items, `SELECT count(*) AS n FROM ${copied}`);
  return made;
}

/** The path of a changed copy of the manifest, beside it. */
async function edited({ manifestPath }: Bridge, change: (manifest: Manifest) => void): Promise<string> {
  const manifest = JSON.parse(await readFile(manifestPath, "utf8")) as Manifest;
  change(manifest);
  const path = join(dirname(manifestPath), `${randomName("edited")}.json`);
  await writeFile(path, JSON.stringify(manifest));
  return path;
}

const sinkOnly = ["--only", "sink", "--timeout", "2"];

test("a sink that has stopped: what it applied is compared all the same, and that it stands still is said", async () => {
  await using made = await bridge();
  await made.sink.sink.stop();
  await made.source.query(
    "UPDATE item SET name = 'new'; INSERT INTO item SELECT i, 'n' FROM generate_series(21, 100) i",
  );
  const still = await verifyJson(made.manifestPath, "--timeout", "2");
  expect(still.exitCode).toBe(3);
  expect(still.comparisons.map(faultsOf)).toEqual([{}, { error: "VERIFY_SINK_BEHIND" }]);
  expect(still.comparisons[1]).toMatchObject({ compared: true, keys: 20, equal: 20, behind: 100 });

  await made.destination.query(
    "UPDATE copy SET name = 'WRONG'; DELETE FROM copy WHERE id = 1; INSERT INTO copy VALUES (5000, 'x')",
  );
  const wrong = await verifyJson(made.manifestPath, ...sinkOnly);
  expect(wrong.exitCode).toBe(1);
  expect(wrong.comparisons[0]).toMatchObject({
    error: { code: "VERIFY_SINK_BEHIND" },
    missing: { count: 1 },
    extra: { count: 1, first: ['{"id":5000}'] },
    different: { count: 19 },
    unsettled: { count: 0 },
  });
  const { stdout } = await runVerify(made.manifestPath, ...sinkOnly);
  expect(stdout).toMatch(/\n {2}note: the destination is 100 records behind the topic/);
});

test("where nothing can be compared, that is an error and not equal: no progress, no table, nothing published", async () => {
  await using made = await bridge();
  await made.sink.sink.stop();
  const outcome = async (path = made.manifestPath) => {
    const { exitCode, stdout } = await runVerify(path, "--json", ...sinkOnly);
    const { equal, comparisons } = JSON.parse(stdout) as { equal: boolean; comparisons: PairReport[] };
    return [exitCode, equal, comparisons.map(({ error }) => error?.code)];
  };
  await made.destination.query("TRUNCATE copy; DELETE FROM rejot.progress");
  expect(await outcome()).toEqual([3, false, ["VERIFY_SINK_BEHIND"]]);
  await made.destination.query("DROP TABLE copy");
  expect(await outcome()).toEqual([1, false, ["SINK_SQL_REJECTED"]]);
  const { stdout } = await runVerify(made.manifestPath, ...sinkOnly);
  expect(stdout).toMatch(/\nFAILED: failed: object\.v1 → copy\n$/);
  const unpublished = await edited(made, (manifest) => {
    for (const connection of manifest.connections ?? [])
      if (connection.config.connectionType === "kafka") connection.config.topicPrefix = "other.";
  });
  expect(await outcome(unpublished)).toEqual([1, false, ["VERIFY_NEVER_PUBLISHED"]]);
});

test("an event that stopped the sink does not keep the others from being compared", async () => {
  await using made = await bridge({
    sql: UPSERT.replace(":name", ":name::mood"),
    destinationSql:
      "CREATE TABLE copy (id bigint PRIMARY KEY, name text NOT NULL); CREATE TYPE mood AS ENUM ('ok', 'sad'); ALTER TABLE copy ALTER name TYPE mood USING name::mood",
  });
  await made.source.query("INSERT INTO item VALUES (1000, 'furious')");
  await made.sink.failure();
  await made.destination.query("UPDATE copy SET name = 'sad' WHERE id = 7");
  const { exitCode, comparisons } = await verifyJson(made.manifestPath, ...sinkOnly);
  expect(exitCode).toBe(1);
  expect(comparisons[0]).toMatchObject({
    error: { code: "VERIFY_SINK_BEHIND" },
    equal: 19,
    different: { count: 1, first: [{ key: '{"id":7}', fields: ["name"] }] },
    extra: { count: 0 },
  });
});

test("a value that a function refuses is one event's; its row is neither equal nor too much", async () => {
  await using made = await bridge({
    sql: UPSERT.replace(":name", "slug(:name)"),
    destinationSql: `CREATE TABLE copy (id bigint PRIMARY KEY, name text NOT NULL);
      CREATE FUNCTION slug(a text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN lower(a); END $$`,
  });
  await made.source.query("UPDATE item SET name = 'Bad' WHERE id = 5");
  await made.equal("SELECT 1 AS n", "SELECT count(*)::int AS n FROM copy WHERE name = 'bad'");
  await made.destination.query(
    `CREATE OR REPLACE FUNCTION slug(a text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
       $$ BEGIN IF a = 'Bad' THEN RAISE EXCEPTION 'no slug for %', a; END IF; RETURN lower(a); END $$;
     UPDATE copy SET name = 'WRONG' WHERE id = 7`,
  );
  const { exitCode, comparisons } = await verifyJson(made.manifestPath, ...sinkOnly);
  expect(exitCode).toBe(1);
  expect(comparisons[0]).toMatchObject({
    equal: 18,
    different: { count: 1 },
    extra: { count: 0 },
    undecodable: { count: 1, first: [{ key: '{"id":5}', reason: "no slug for Bad" }] },
  });
});

test("names that need quotes, in a schema that does", async () => {
  await using made = await bridge({
    sql: `INSERT INTO "App"."Copy" AS c ("Id", "Na me") VALUES ($1, upper($2)) ON CONFLICT ("Id") DO UPDATE SET "Na me" = excluded."Na me"`,
    deleteSql: `DELETE FROM "App"."Copy" WHERE "Id" = $1`,
    destinationSql: `CREATE SCHEMA "App"; CREATE TABLE "App"."Copy" ("Id" bigint PRIMARY KEY, "Na me" text)`,
  });
  await made.destination.query(
    `UPDATE "App"."Copy" SET "Na me" = 'x' WHERE "Id" = 7; INSERT INTO "App"."Copy" VALUES (700)`,
  );
  const { comparisons } = await verifyJson(made.manifestPath, ...sinkOnly);
  expect(comparisons[0]).toMatchObject({
    error: null,
    equal: 19,
    different: { fields: { name: 1 } },
    extra: { count: 1, first: ['{"Id":700}'] },
  });
});

test("keys with nulls, which are the same or not, as their index says", async () => {
  for (const nulls of ["NULLS NOT DISTINCT", ""]) {
    await using made = await bridge({
      sourceSql:
        "CREATE TABLE item (id bigint PRIMARY KEY, name text); INSERT INTO item SELECT i, CASE WHEN i > 3 THEN 'n' || i END FROM generate_series(1, 20) i",
      sql: "INSERT INTO copy (id, name) VALUES (:id, :name) ON CONFLICT (id, name) DO NOTHING",
      destinationSql: `CREATE TABLE copy (id bigint NOT NULL, name text, UNIQUE ${nulls} (id, name))`,
    });
    if (nulls === "") await made.destination.query("INSERT INTO copy VALUES (1, NULL)");
    await made.destination.query("DELETE FROM copy WHERE id IN (2, 5)");
    const { comparisons } = await verifyJson(made.manifestPath, ...sinkOnly);
    expect(comparisons[0]).toMatchObject({
      equal: 18,
      missing: { count: 2, first: expect.arrayContaining(['{"id":2}', '{"id":5}']) },
    });
  }
});

const THING = {
  properties: { id: { type: "integer" }, name: { type: ["string", "null"] } },
  transformations: transformationsOf("thing", ITEM.replace("item", "thing"), "SELECT :id AS id"),
};
const TWO_TABLES = `CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL); INSERT INTO item SELECT i, 'n' || i FROM generate_series(1, 20) i;
  CREATE TABLE thing (id bigint PRIMARY KEY, name text NOT NULL); INSERT INTO thing SELECT i, 't' || i FROM generate_series(101, 110) i`;

test("rows that another consumer schema may have written are not too much: by a function, from another manifest", async () => {
  await using made = await bridge({
    sourceSql: TWO_TABLES,
    destinationSql: `CREATE TABLE copy (id bigint PRIMARY KEY, name text NOT NULL);
      CREATE FUNCTION put_thing(a bigint, b text) RETURNS void LANGUAGE sql AS $$ INSERT INTO copy VALUES (a, b) ON CONFLICT (id) DO UPDATE SET name = b $$`,
    more: {
      thing: { ...THING, sql: "SELECT put_thing(:id, :name)", deleteSql: "DELETE FROM copy WHERE id = :id" },
    },
  });
  const { exitCode, comparisons } = await verifyJson(made.manifestPath, ...sinkOnly);
  expect([exitCode, comparisons[0]?.extra, comparisons[0]?.equal]).toEqual([0, null, 20]);
  expect(comparisons[0]?.notes).toEqual([
    "extra rows are not looked for: copy-thing calls put_thing, which may write anywhere",
  ]);

  // The same database under another data store's name, and a plain statement.
  const apart = await edited(made, (manifest) => {
    const sink = manifest.connections?.find(({ slug }) => slug === "sink");
    manifest.connections?.push({ slug: "again", config: structuredClone(sink?.config as never) });
    manifest.dataStores?.push({ connectionSlug: "again" });
    const [, thing] = manifest.consumerSchemas ?? [];
    Object.assign(thing?.config ?? {}, { destinationDataStoreSlug: "again", sql: UPSERT });
  });
  const other = await verifyJson(apart, ...sinkOnly, "--schema", "object");
  expect(other.comparisons[0]?.notes).toEqual([
    "extra rows are not looked for: copy-thing writes to copy too",
  ]);
});

test("constants in the key tell the rows of two consumer schemas apart: what is too much is found in both", async () => {
  const sql = (kind: string) =>
    `INSERT INTO copy (kind, id, name) VALUES ('${kind}', :id, :name) ON CONFLICT (kind, id) DO UPDATE SET name = excluded.name`;
  const deleteSql = (kind: string) => `DELETE FROM copy WHERE kind = '${kind}' AND id = :id`;
  await using made = await bridge({
    sourceSql: TWO_TABLES,
    destinationSql: "CREATE TABLE copy (kind text, id bigint, name text NOT NULL, PRIMARY KEY (kind, id))",
    sql: sql("item"),
    deleteSql: deleteSql("item"),
    more: { thing: { ...THING, sql: sql("thing"), deleteSql: deleteSql("thing") } },
  });
  await made.destination.query("INSERT INTO copy VALUES ('item', 5000, 'x')");
  const { comparisons } = await verifyJson(made.manifestPath, ...sinkOnly);
  expect(comparisons.map(({ equal, extra }) => [equal, extra?.first])).toEqual([
    [20, ['{"kind":"item","id":5000}']],
    [10, []],
  ]);
});

test("a table that is locked, and a server that falls silent, end with a code and are not waited for without end", async () => {
  await using made = await bridge();
  const client = await made.destination.connect();
  await client.query("BEGIN; LOCK TABLE copy IN ACCESS EXCLUSIVE MODE");
  const locked = await verifyJson(made.manifestPath, ...sinkOnly);
  expect([locked.exitCode, locked.comparisons.map(faultsOf)]).toEqual([3, [{ error: "VERIFY_TIMEOUT" }]]);
  await client.query("ROLLBACK");

  const source = await made.source.connect();
  await source.query("BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE");
  const lockedSource = await verifyJson(made.manifestPath, "--only", "source", "--timeout", "2");
  expect([lockedSource.exitCode, lockedSource.comparisons.map(faultsOf)]).toEqual([
    3,
    [{ error: "VERIFY_TIMEOUT" }],
  ]);
  await source.query("ROLLBACK");

  await using proxied = await throughProxy(made, "sink");
  await client.query("BEGIN; LOCK TABLE copy IN ACCESS EXCLUSIVE MODE");
  const running = verifyJson(proxied.path, ...sinkOnly);
  await waitFor(async () => (await sessionsOf(made, "wait_event_type = 'Lock'")).length > 0, {
    describe: "verify to ask for the rows",
  });
  proxied.proxy.stall();
  const silent = await running;
  expect([silent.exitCode, silent.comparisons.map(faultsOf)]).toEqual([3, [{ error: "VERIFY_TIMEOUT" }]]);
});

test("a server that is away does not lose what was found of the others", async () => {
  await using made = await bridge();
  await using proxied = await throughProxy(made, "sink");
  proxied.proxy.cut();
  const { exitCode, comparisons } = await verifyJson(proxied.path);
  expect([exitCode, comparisons.map(({ equal }) => equal)]).toEqual([3, [20, 0]]);
  expect(comparisons.map(faultsOf)).toEqual([{}, { error: "POSTGRES_UNREACHABLE" }]);
});

test("one connection to a destination is enough: what was found is not lost with a second", async () => {
  await using made = await bridge();
  await using proxied = await throughProxy(made, "sink");
  const running = verifyJson(proxied.path, ...sinkOnly);
  await waitFor(() => proxied.proxy.connections > 0, { describe: "a connection", intervalMs: 1 });
  proxied.proxy.refuse();
  const { exitCode, comparisons } = await running;
  expect([exitCode, comparisons.map(faultsOf), comparisons[0]?.equal]).toEqual([0, [{}], 20]);
});

test("a table that was never analyzed is as large as its pages say", async () => {
  await using made = await bridge();
  const client = await made.destination.connect();
  await client.query(`CREATE TABLE parted (id int) PARTITION BY HASH (id);
    CREATE TABLE part PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    ALTER TABLE part SET (autovacuum_enabled = off); INSERT INTO parted SELECT generate_series(1, 50000)`);
  const [row] = await made.destination.query("SELECT 'parted'::regclass::oid AS oid");
  const rows = await expectedRows(client, Number(row?.oid));
  expect(rows).toBeGreaterThan(10_000);
  expect(rows).toBeLessThan(200_000);
});

/** A copy of the manifest in which one connection leads through a proxy. */
async function throughProxy(made: Bridge, slug: string) {
  const manifest = JSON.parse(await readFile(made.manifestPath, "utf8")) as Manifest;
  const connection = manifest.connections?.find((each) => each.slug === slug)?.config;
  if (connection?.connectionType !== "postgres") throw new Error(`no connection ${slug}`);
  const proxy = await startProxy({ host: connection.host ?? "", port: Number(connection.port) });
  const path = await edited(made, ({ connections = [] }) => {
    for (const { slug: name, config } of connections)
      if (name === slug) Object.assign(config, { host: proxy.host, port: proxy.port });
  });
  return { proxy, path, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() };
}

test("SIGTERM ends it at once, while it waits for a lock, and its sessions with it", async () => {
  await using made = await bridge();
  const client = await made.destination.connect();
  await client.query("BEGIN; LOCK TABLE copy IN ACCESS EXCLUSIVE MODE");
  const child = spawn(process.execPath, [MAIN, "verify", made.manifestPath, "--only", "sink"]);
  const ended = once(child, "close");
  await waitFor(async () => (await sessionsOf(made, "wait_event_type = 'Lock'")).length > 0, {
    describe: "verify to wait for the lock",
  });
  const began = Date.now();
  child.kill("SIGTERM");
  expect((await ended)[0]).toBe(143);
  expect(Date.now() - began).toBeLessThan(10_000);
  await client.query("ROLLBACK");
  await waitFor(async () => (await sessionsOf(made, "true")).length === 0, {
    describe: "its sessions to be over",
  });
});

/** The sessions of verify at the destination. */
function sessionsOf({ destination }: Bridge, condition: string) {
  return destination.query(
    `SELECT pid FROM pg_stat_activity
      WHERE datname = current_database() AND application_name LIKE 'rejot-verify%' AND ${condition}`,
  );
}
