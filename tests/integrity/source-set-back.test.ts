import { rename } from "node:fs/promises";
import { expect, test } from "vitest";
import { createDatabase } from "../support/database.ts";
import { copyDataDirectory, startOwnPostgres } from "../support/own-postgres.ts";
import { expectRefused, insertRows, publishTenRows, rowsFixture, TABLES } from "../support/slot-trouble.ts";

test("a server that is set back to an earlier state is named, also once it has grown past what was published", async () => {
  await using own = await startOwnPostgres();
  await using fixture = await rowsFixture(own);
  const copy = `${own.dataDirectory}-copy`;
  const restart = async (work: () => Promise<unknown>) => {
    await own.server.stop();
    await work();
    await own.server.start();
  };
  {
    await using source = await fixture.start();
    await insertRows(fixture, 1, 5);
    await fixture.published();
    await source.stop();
  }
  await restart(() => copyDataDirectory(own.dataDirectory, copy));
  {
    await using _source = await fixture.start();
    await insertRows(fixture, 6, 10);
    await fixture.published();
  }
  await restart(() => copyDataDirectory(copy, own.dataDirectory));
  await expectRefused(fixture, { code: "SOURCE_REPLACED", message: expect.stringContaining("WAL ends") });
  // Written after the setback, and hidden by what was published before at the same LSNs.
  for (let id = 100; id < 200; id++) await insertRows(fixture, id, id);
  await using source = await fixture.start();
  await expect(source.connector.done).rejects.toMatchObject({
    code: "SOURCE_REPLACED",
    message: expect.stringContaining("is not in its WAL"),
  });
  expect(await fixture.read("row", { decode: false })).toHaveLength(10);
});

test("another cluster in its place is named as that, with a slot of the same name and without", async () => {
  await using own = await startOwnPostgres();
  await using fixture = await rowsFixture(own);
  await publishTenRows(fixture);
  await own.server.stop();
  await using other = await startOwnPostgres();
  await other.server.stop();
  await rename(own.dataDirectory, `${own.dataDirectory}-first`);
  await copyDataDirectory(other.dataDirectory, own.dataDirectory);
  await own.server.start();
  await using replacement = await createDatabase({
    name: fixture.database.name,
    server: own.stack.postgres,
    sql: TABLES,
  });
  const expected = { code: "SOURCE_REPLACED", message: expect.stringContaining("system identifier") };
  await expectRefused(fixture, expected);
  await replacement.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [fixture.slotName]);
  await expectRefused(fixture, expected);
});
