import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { waitForBackfill } from "../support/backfill.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";
import { createTopics, kafkaAdmin } from "../support/kafka.ts";
import { startSink } from "../support/running-sink.ts";
import { createSourceFixture, type SourceFixture, transformationsOf } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

const ROWS = 600;
const PARTITIONS = 3;
const SEGMENT_MS = 100;

/** Adds a copy of the items to the manifest. */
async function addConsumer(fixture: SourceFixture, destination: TestDatabase): Promise<void> {
  const manifest = JSON.parse(await readFile(fixture.manifestPath, "utf8")) as Manifest;
  manifest.connections?.push({ slug: "sink", config: destination.connection });
  manifest.dataStores?.push({ connectionSlug: "sink" });
  manifest.consumerSchemas = [
    {
      name: "copy",
      sourceManifestSlug: manifest.slug,
      publicSchema: { name: "item", majorVersion: 1 },
      config: {
        consumerSchemaType: "postgres",
        destinationDataStoreSlug: "sink",
        sql: "INSERT INTO copy VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = :name",
        deleteSql: "DELETE FROM copy WHERE id = :id",
      },
    },
  ];
  await writeFile(fixture.manifestPath, JSON.stringify(manifest));
}

test("a sink that starts on an old, compacted topic gets all of the source's state from it alone", async () => {
  await using fixture = await createSourceFixture({
    backfill: "auto",
    partitions: PARTITIONS,
    sql: `CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL);
      INSERT INTO item SELECT i, 'n' || i FROM generate_series(1, ${ROWS}) i`,
    schemas: [
      {
        name: "item",
        fields: { id: "integer", name: "string" },
        transformations: transformationsOf(
          "item",
          "SELECT id, name FROM item WHERE id = :id",
          "SELECT :id AS id",
        ),
      },
    ],
    config: { backfillChunkRows: 100 },
  });
  const topic = fixture.topicOf("item");
  await using admin = await kafkaAdmin();
  // As old as a topic can get in seconds: everything but the last segment is compacted as soon as possible.
  const config = {
    "cleanup.policy": "compact",
    "segment.ms": `${SEGMENT_MS}`,
    "min.cleanable.dirty.ratio": "0",
  };
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  await createTopics(admin, [{ topic, numPartitions: PARTITIONS, configEntries }]);
  await fixture.database.query("DELETE FROM item WHERE id % 10 = 0");
  {
    await using source = await fixture.start();
    await waitForBackfill(() => source.status, "item.v1");
    for (let round = 1; round <= 3; round++) {
      await fixture.database.query("UPDATE item SET name = name || '+' WHERE id % 3 > 0");
      await fixture.database.query("DELETE FROM item WHERE id % 10 = $1", [round]);
      await fixture.published();
    }
    // A segment that is written to is never compacted: later events close those of the rounds.
    await delay(3 * SEGMENT_MS);
    await fixture.database.query("UPDATE item SET name = name || '.' WHERE id % 20 = 9");
    await fixture.published();
  }
  // The first events of the rows that changed are gone.
  await waitFor(async () => (await fixture.read("item", { decode: false })).length < ROWS * 1.5, {
    describe: "the topic to be compacted",
    timeoutMs: 60_000,
    intervalMs: 1_000,
  });

  await using destination = await createDatabase({
    sql: "CREATE TABLE copy (id bigint PRIMARY KEY, name text NOT NULL)",
  });
  await addConsumer(fixture, destination);
  await using sink = await startSink(fixture.manifestPath);
  const all = (table: string) => `SELECT id, name FROM ${table} ORDER BY id`;
  const expected = await fixture.database.query(all("item"));
  expect(expected.length).toBeGreaterThan(ROWS / 2);
  await sink.eventually(
    async () => JSON.stringify(await destination.query(all("copy"))) === JSON.stringify(expected),
    "the destination to equal the source",
  );
}, 120_000);
