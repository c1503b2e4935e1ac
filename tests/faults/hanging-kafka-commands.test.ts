import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, inject, test } from "vitest";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { startBridge } from "../support/bridge.ts";
import { deadLetters, item, itemFixture, waitUntilPassed } from "../support/dead-letters.ts";
import { type CliResult, runCliHere } from "../support/run-cli.ts";
import { startSink } from "../support/running-sink.ts";
import { transformationsOf } from "../support/source.ts";
import { kafkaLinks } from "./harness/pipeline.ts";

/** The path of a copy of a manifest whose Kafka is another. */
async function withBrokers(manifestPath: string, brokers: string[]): Promise<string> {
  const manifest = JSON.parse(await readFile(manifestPath, "utf8")) as Manifest;
  for (const { config } of manifest.connections ?? [])
    if (config.connectionType === "kafka") config.brokers = brokers;
  const path = join(dirname(manifestPath), "hanging.json");
  await writeFile(path, JSON.stringify(manifest));
  return path;
}

/** How a command ended, and whether it named what is wrong. */
function ending({ exitCode, stdout, stderr }: CliResult): [number, boolean] {
  return [exitCode, /KAFKA_UNREACHABLE: .*no answer for 20 s/.test(stdout + stderr)];
}

test("commands give up on a Kafka that takes connections and answers nothing, and name it", async () => {
  await using resources = new AsyncDisposableStack();
  const links = await kafkaLinks(resources, inject("stack").brokers);
  for (const link of links) link.stall();
  const brokers = links.map(({ host, port }) => `${host}:${port}`);
  await using bridge = await startBridge({
    sourceSql: "CREATE TABLE item (id bigint PRIMARY KEY); INSERT INTO item VALUES (1)",
    destinationSql: "CREATE TABLE copy (id bigint PRIMARY KEY)",
    properties: { id: { type: "integer" } },
    transformations: transformationsOf("item", "SELECT id FROM item WHERE id = :id", "SELECT :id AS id"),
    sql: "INSERT INTO copy VALUES (:id) ON CONFLICT (id) DO NOTHING",
    deleteSql: "DELETE FROM copy WHERE id = :id",
  });
  await bridge.equal("TABLE item", "TABLE copy");
  await using letters = await itemFixture();
  await using sink = await startSink(letters.manifestPath);
  await letters.publish("item", [item(1, -1), item(2, 2)]);
  await waitUntilPassed(letters, sink);
  const published = await withBrokers(bridge.manifestPath, brokers);
  const lettersPath = { manifestPath: await withBrokers(letters.manifestPath, brokers) };

  const [verify, ...others] = await Promise.all([
    runCliHere(["verify", published]),
    runCliHere(["backfill", "status", published]),
    runCliHere(["backfill", "start", published, "--schema", "object"]),
    deadLetters(lettersPath, "list"),
    deadLetters(lettersPath, "replay", "--all"),
    runCliHere(["schema", "remove", "object", "--major", "1", "--manifest", published]),
  ]);
  expect(others.map(ending)).toEqual(others.map(() => [3, true]));
  expect(ending(verify)).toEqual([3, true]);
  // The second comparison does not wait anew.
  expect(verify.stdout.match(/KAFKA_UNREACHABLE/g)?.length).toBeGreaterThanOrEqual(2);
}, 120_000);
