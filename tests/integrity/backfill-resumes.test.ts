import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { backfillsOf, readsByKey, statusOf, waitForBackfill } from "../support/backfill.ts";
import type { SpawnedConnector } from "../support/connector.ts";
import { latestByKey } from "../support/kafka.ts";
import { seededRandom } from "../support/random.ts";
import { createSourceFixture, expectEveryPositionOnce, transformationsOf } from "../support/source.ts";

const ROWS = 1_500;
const ITEMS = {
  backfill: "auto",
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
  config: { backfillChunkRows: 25 },
} as const;

/** Slow enough to be killed in the middle, again and again, also where everything else is slow. */
const SLOWLY = { args: ["--backfill-rows-per-second", "100"] };

/** The rows that were through when a source began to go on with a backfill. */
function resumedAt(source: SpawnedConnector): number {
  const line = source.log.find(
    (text) => text.includes("backfill: go on") || text.includes("backfill: start"),
  );
  return (JSON.parse(line ?? "{}") as { backfill?: { rows: number } }).backfill?.rows ?? 0;
}

test("ten kills with -9 in the middle: it goes on at the last chunk, and no row is read into the topic twice", async () => {
  const random = seededRandom("kills of a backfill");
  await using fixture = await createSourceFixture(ITEMS);
  const starts: number[] = [];
  let inserted = ROWS;
  for (let kill = 1; kill <= 10; kill++) {
    await using source = await fixture.spawn(SLOWLY);
    await source.waitForLog("backfill: ");
    starts.push(resumedAt(source));
    await fixture.database.query("INSERT INTO item VALUES ($1, 'new')", [++inserted]);
    await fixture.database.query("UPDATE item SET name = 'changed' WHERE id = $1", [kill * 100]);
    await delay(random.int(20, 350));
    await source.kill("SIGKILL");
  }
  await using source = await fixture.spawn();
  await waitForBackfill(statusOf(source), "item.v1");
  starts.push(resumedAt(source));
  await fixture.published();

  expect(starts).toEqual(starts.toSorted((a, b) => a - b));
  expect(starts.at(-1)).toBeGreaterThan(0);
  const records = await fixture.read("item");
  expectEveryPositionOnce(records);
  const reads = readsByKey(records);
  expect([...reads.values()].filter((times) => times > 1)).toEqual([]);
  // A row that changed before its chunk was read is read as it is then; one that changed meanwhile is not.
  expect(reads.size).toBeGreaterThanOrEqual(ROWS - 10);
  const rows = await fixture.database.query("SELECT id, name FROM item ORDER BY id");
  const state = [...latestByKey(records).values()] as { id: number; name: string }[];
  expect(state.toSorted((a, b) => a.id - b.id).map(({ id, name }) => `${id} ${name}`)).toEqual(
    rows.map(({ id, name }) => `${id} ${name}`),
  );
}, 240_000);

test("a standby that takes over goes on with it", async () => {
  await using fixture = await createSourceFixture(ITEMS);
  await using first = await fixture.spawn(SLOWLY);
  await first.waitForReady();
  await using second = await fixture.spawn();
  await second.waitForReady();
  await expect
    .poll(async () => backfillsOf(await statusOf(first)())[0]?.rows ?? 0, { timeout: 20_000 })
    .toBeGreaterThan(60);
  await first.kill("SIGKILL");
  await waitForBackfill(statusOf(second), "item.v1");
  expect(resumedAt(second)).toBeGreaterThan(50);
  const records = await fixture.read("item");
  expectEveryPositionOnce(records);
  expect([...readsByKey(records).values()]).toEqual(Array.from({ length: ROWS }, () => 1));
}, 120_000);

test("at least once: nothing is missing after kills, and what is read again comes later than before", async () => {
  const random = seededRandom("kills of a backfill, at least once");
  await using fixture = await createSourceFixture({ ...ITEMS, delivery: "at-least-once" });
  for (let kill = 1; kill <= 2; kill++) {
    await using source = await fixture.spawn(SLOWLY);
    await source.waitForLog("backfill: ");
    await delay(random.int(20, 350));
    await source.kill("SIGKILL");
  }
  await using source = await fixture.spawn();
  await waitForBackfill(statusOf(source), "item.v1");
  const records = await fixture.read("item");
  expectEveryPositionOnce(records);
  expect(latestByKey(records).size).toBe(ROWS);
}, 120_000);
