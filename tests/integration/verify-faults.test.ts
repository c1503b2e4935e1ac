import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { PairReport } from "../../cli/verify/pair-report.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { type Bridge, type BridgeOptions, startBridge } from "../support/bridge.ts";
import { randomName } from "../support/names.ts";
import { transformationsOf } from "../support/source.ts";
import { faultsOf, runVerify, verifyJson } from "../support/verify.ts";

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
