import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { waitForBackfill } from "../support/backfill.ts";
import { createSourceFixture, transformationsOf } from "../support/source.ts";

/** About 80 MB of values. */
const ROWS = 20_000;
const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const runFile = promisify(execFile);

test("a large table is compared with a heap that does not hold it", async () => {
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `CREATE TABLE item (id uuid PRIMARY KEY, name text NOT NULL, body text NOT NULL);
      INSERT INTO item SELECT md5(i::text)::uuid, 'n' || i, repeat(md5(i::text), 128) FROM generate_series(1, ${ROWS}) i;
      ANALYZE item`,
    schemas: [
      {
        name: "item",
        fields: { id: { type: "string", format: "uuid" }, name: "string", body: "string" },
        key: ["id"],
        transformations: transformationsOf(
          "item",
          "SELECT id, name, body FROM item WHERE id = :id",
          "SELECT :id AS id",
        ),
      },
    ],
    config: { backfillChunkRows: 10_000 },
  });
  await using source = await fixture.start();
  await waitForBackfill(() => source.status, "item.v1");
  const args = ["--max-old-space-size=64", MAIN, "verify", fixture.manifestPath, "--json"];
  const { stdout } = await runFile(process.execPath, args, { maxBuffer: 1e8 });
  expect(JSON.parse(stdout)).toMatchObject({
    equal: true,
    comparisons: [{ keys: ROWS, equal: ROWS, rounds: 1 }],
  });
}, 90_000);
