import { expect, test } from "vitest";
import { backfillsOf, waitForBackfill } from "../support/backfill.ts";
import { latestByKey } from "../support/kafka.ts";
import {
  createSourceFixture,
  type RunningSource,
  type SourceFixture,
  transformationsOf,
} from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

const SLOW = { backfillChunkRows: 5, backfillRowsPerSecond: 20 };

function wordsFixture(type: string, words: string): Promise<SourceFixture> {
  return createSourceFixture({
    backfill: "auto",
    sql: `CREATE TABLE words (k ${type} PRIMARY KEY, n int); INSERT INTO words SELECT w, 1 FROM ${words} w`,
    schemas: [
      {
        name: "word",
        fields: { k: "string", n: "integer" },
        key: ["k"],
        transformations: transformationsOf(
          "words",
          "SELECT k::text AS k, n FROM words WHERE k = :k",
          "SELECT :k::text AS k",
        ),
      },
    ],
    config: { backfillPollMs: 100 },
  });
}

async function untilUnderWay(source: RunningSource): Promise<void> {
  await waitFor(() => (backfillsOf(source.status)[0]?.rows ?? 0) > 10, {
    describe: "the backfill to be under way",
  });
}

async function expectAll(fixture: SourceFixture, source: RunningSource, count: number): Promise<void> {
  await waitForBackfill(() => source.status, "word.v1");
  expect(latestByKey(await fixture.read("word")).size).toBe(count);
}

const LETTERS = "unnest(string_to_array('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ', NULL))";
const ALTERED = [
  ["collation", 'text COLLATE "und-x-icu"', LETTERS, 52, 'ALTER TABLE words ALTER k TYPE text COLLATE "C"'],
  ["type", "bigint", "generate_series(1, 120)", 120, "ALTER TABLE words ALTER k TYPE text"],
] as const;

test.each(ALTERED)(
  "a key that is altered while no source runs: rows that stand elsewhere in its new order are read too: %s",
  async (_what, type, words, count, ddl) => {
    await using fixture = await wordsFixture(type, words);
    {
      await using source = await fixture.start(SLOW);
      await untilUnderWay(source);
    }
    await fixture.database.query(ddl);
    await using source = await fixture.start();
    await expectAll(fixture, source, count);
  },
);

test.each(ALTERED)(
  "and one that is altered between two portions: %s",
  async (_what, type, words, count, ddl) => {
    await using fixture = await wordsFixture(type, words);
    await using source = await fixture.start({ ...SLOW, backfillRowsPerSecond: 40 });
    await untilUnderWay(source);
    await fixture.database.query(ddl);
    await expectAll(fixture, source, count);
  },
);

test("a table that is rewritten between a portion's snapshot and its reading is not taken for empty", async () => {
  await using fixture = await wordsFixture("bigint", "generate_series(1, 120)");
  await using source = await fixture.start({ ...SLOW, backfillRowsPerSecond: 100 });
  await untilUnderWay(source);
  const writer = await fixture.database.connect();
  await writer.query("BEGIN; ALTER TABLE words ALTER n TYPE bigint");
  await waitFor(
    async () =>
      (
        await fixture.database.query(
          "SELECT FROM pg_locks WHERE relation = 'words'::regclass AND NOT granted",
        )
      ).length > 0,
    { describe: "a portion to wait for the table" },
  );
  await writer.query("COMMIT");
  await expectAll(fixture, source, 120);
});
