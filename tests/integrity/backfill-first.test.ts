import { expect, test } from "vitest";
import { latestByKey } from "../support/kafka.ts";
import { createSourceFixture, expectEveryPositionOnce, opsOf, transformationsOf } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

test("rows that are already there are published, while changes go on", async () => {
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: "CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL); INSERT INTO item SELECT i, 'n' || i FROM generate_series(1, 2500) i",
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
    config: { backfillChunkRows: 300 },
  });
  await using source = await fixture.start();
  const backfills = () => source.status.details?.backfills as { state: string; rows: number }[] | undefined;
  await fixture.database.query("UPDATE item SET name = 'changed' WHERE id = 2400");
  await waitFor(() => backfills()?.[0]?.state === "done", {
    describe: () => JSON.stringify(source.status),
    timeoutMs: 20_000,
  });
  const records = await fixture.read("item");
  expectEveryPositionOnce(records);
  expect(latestByKey(records).size).toBe(2500);
  expect(opsOf(records).filter((op) => op === "r").length).toBeGreaterThan(2490);
});
