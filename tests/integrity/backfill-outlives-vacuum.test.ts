import { expect, test } from "vitest";
import { waitForBackfill } from "../support/backfill.ts";
import { latestByKey } from "../support/kafka.ts";
import { createSourceFixture, expectEveryPositionOnce, transformationsOf } from "../support/source.ts";
import { waitFor } from "../support/wait-for.ts";

const ROWS = 2_500;
/** All but the first rewrite the table under an exclusive lock; plain VACUUM gives pages at its end back. */
const UPKEEP = [
  "VACUUM entry",
  "VACUUM FULL entry",
  "CLUSTER entry USING entry_n",
  "VACUUM (FREEZE, ANALYZE) entry",
];

test("a table that grows, shrinks, is vacuumed and rewritten meanwhile is published as it is, each row once or by its change", async () => {
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `CREATE TABLE entry (id bigint PRIMARY KEY, n bigint NOT NULL, filler text);
      CREATE INDEX entry_n ON entry (n);
      INSERT INTO entry SELECT i, -i, repeat('x', 200) FROM generate_series(1, ${ROWS}) i`,
    schemas: [
      {
        name: "entry",
        fields: { id: "integer", n: "integer" },
        transformations: transformationsOf(
          "entry",
          "SELECT id, n FROM entry WHERE id = :id",
          "SELECT :id AS id",
        ),
      },
    ],
    config: { backfillChunkRows: 50, backfillRowsPerSecond: 600 },
  });
  await using source = await fixture.start();
  const [writer, keeper] = [await fixture.database.connect(), await fixture.database.connect()];
  let over = false;
  let upkeeps = 0;
  const writing = (async () => {
    for (let i = 1; !over; i++) {
      await writer.query(
        `INSERT INTO entry SELECT i, ${i}, 'new' FROM generate_series(${ROWS + 10 * i}, ${ROWS + 10 * i + 9}) i;
         DELETE FROM entry WHERE id % 400 = ${i % 400};
         DELETE FROM entry WHERE id > (SELECT max(id) FROM entry) - 7;
         UPDATE entry SET n = n + 1 WHERE id % 300 = ${i % 300}`,
      );
    }
  })();
  const keeping = (async () => {
    for (; !over; upkeeps++) await keeper.query(UPKEEP[upkeeps % UPKEEP.length] as string);
  })();
  try {
    await waitForBackfill(() => source.status, "entry.v1");
    await waitFor(() => upkeeps >= UPKEEP.length, { describe: "each kind of upkeep to be done" });
  } finally {
    over = true;
    await Promise.all([writing, keeping]);
    await Promise.all([writer.end(), keeper.end()]);
  }
  await fixture.published();
  expect(source.status).toMatchObject({ role: "active", lastError: null });
  const records = await fixture.read("entry");
  expectEveryPositionOnce(records);
  const rows = await fixture.database.query("SELECT id, n FROM entry ORDER BY id");
  const latest = ([...latestByKey(records).values()] as { id: number; n: number }[]).sort(
    (a, b) => a.id - b.id,
  );
  expect(latest).toEqual(rows.map(({ id, n }) => ({ id: Number(id), n: Number(n) })));
});
