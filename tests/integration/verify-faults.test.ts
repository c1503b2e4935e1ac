import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { PairReport } from "../../cli/verify/pair-report.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { type Bridge, startBridge } from "../support/bridge.ts";
import { randomName } from "../support/names.ts";
import { faultsOf, runVerify, verifyJson } from "../support/verify.ts";

const ITEM = "SELECT id, name FROM item WHERE id = :id";
const UPSERT =
  "INSERT INTO copy (id, name) VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = excluded.name";

async function bridge(more: { sql?: string; destinationSql?: string } = {}): Promise<Bridge> {
  const made = await startBridge({
    sourceSql:
      "CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL); INSERT INTO item SELECT i, 'ok' FROM generate_series(1, 20) i",
    destinationSql: more.destinationSql ?? "CREATE TABLE copy (id bigint PRIMARY KEY, name text NOT NULL)",
    properties: { id: { type: "integer" }, name: { type: "string" } },
    transformations: [
      { operation: "insert", table: "item", sql: ITEM },
      { operation: "update", table: "item", sql: ITEM },
      { operation: "delete", table: "item", sql: "SELECT :id AS id" },
    ],
    sql: more.sql ?? UPSERT,
    deleteSql: "DELETE FROM copy WHERE id = :id",
  });
  await made.equal("SELECT count(*) AS n FROM item", "SELECT count(*) AS n FROM copy");
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
