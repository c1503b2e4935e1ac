import { expect, test } from "vitest";
import type { PublicSchema } from "../../shared/manifest/schema.ts";
import { backfillsOf, runBackfill, waitForBackfill } from "../support/backfill.ts";
import { latestByKey } from "../support/kafka.ts";
import {
  changeSchemas,
  createSourceFixture,
  type SourceFixture,
  transformationsOf,
} from "../support/source.ts";

const schema = (name: string) => ({
  name,
  fields: { id: "integer", n: "integer" } as const,
  key: ["id"],
  transformations: transformationsOf(name, `SELECT id, n FROM ${name} WHERE id = :id`, "SELECT :id AS id"),
});

const SQL = `CREATE TABLE a (id bigint PRIMARY KEY, n int); CREATE TABLE b (id bigint PRIMARY KEY, n int);
  INSERT INTO b SELECT i, 1 FROM generate_series(1, 5) i`;
const MISSED = "UPDATE b SET n = 2 WHERE id < 3; DELETE FROM b WHERE id = 5; INSERT INTO b VALUES (6, 1)";

/** The topic's latest events are what the table has. */
async function expectEqual(fixture: SourceFixture): Promise<void> {
  const rows = await fixture.database.query("SELECT id, n FROM b ORDER BY id");
  const latest = [...latestByKey(await fixture.read("b")).values()] as ({ id: number; n: number } | null)[];
  const alive = latest.filter((value) => value !== null).sort((x, y) => x.id - y.id);
  expect(alive).toEqual(rows.map(({ id, n }) => ({ id: Number(id), n: Number(n) })));
}

/** A source runs with the public schema `b`, then one without. Puts it back into the manifest. */
async function takeOutForAWhile(fixture: SourceFixture, first: () => Promise<void>): Promise<void> {
  await first();
  const kept: PublicSchema[] = [];
  await changeSchemas(fixture, (schemas) => kept.push(...schemas.splice(1)));
  {
    await using _source = await fixture.start();
    await fixture.database.query(MISSED);
    await fixture.published();
  }
  await changeSchemas(fixture, (schemas) => schemas.push(...kept));
}

test("a public schema that was out of the manifest for a while has, when it is back, what changed meanwhile", async () => {
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: SQL,
    schemas: [schema("a"), schema("b")],
  });
  await takeOutForAWhile(fixture, async () => {
    await using source = await fixture.start();
    await waitForBackfill(() => source.status, "b.v1");
  });
  {
    await using source = await fixture.start();
    expect(await waitForBackfill(() => source.status, "b.v1")).toMatchObject({ rows: 5, removed: 1 });
    await expectEqual(fixture);
  }
  // Nothing is missing now.
  const records = (await fixture.read("b")).length;
  await using source = await fixture.start();
  await fixture.published();
  expect(backfillsOf(source.status)).toMatchObject([{ state: "done" }, { state: "done", rows: 5 }]);
  expect(await fixture.read("b")).toHaveLength(records);
});

test("so has one that uses a table again", async () => {
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: SQL,
    schemas: [
      {
        name: "b",
        fields: { id: "integer", n: "integer" },
        key: ["id"],
        transformations: [
          ...transformationsOf("a", "SELECT id, n FROM a WHERE id = :id", "SELECT :id AS id"),
          ...transformationsOf("b", "SELECT id, n FROM b WHERE id = :id", "SELECT :id AS id"),
        ],
      },
    ],
  });
  const start = async () => {
    await using source = await fixture.start();
    await waitForBackfill(() => source.status, "b.v1");
    await fixture.published();
  };
  await start();
  const kept: PublicSchema["config"]["transformations"] = [];
  await changeSchemas(fixture, ([first]) => kept.push(...(first?.config.transformations.splice(3) ?? [])));
  await start();
  await fixture.database.query(MISSED);
  await start();
  await changeSchemas(fixture, ([first]) => first?.config.transformations.push(...kept));
  await using source = await fixture.start();
  await expect
    .poll(() => backfillsOf(source.status)[0], { timeout: 30_000 })
    .toMatchObject({
      state: "done",
      removed: 1,
    });
  await expectEqual(fixture);
});

test("with manual it is told, at every start, until an operator resumes it", async () => {
  await using fixture = await createSourceFixture({ sql: SQL, schemas: [schema("a"), schema("b")] });
  await takeOutForAWhile(fixture, async () => {
    await using _source = await fixture.start();
    await fixture.database.query("UPDATE b SET n = 0");
    await fixture.published();
  });
  for (let i = 0; i < 2; i++) {
    await using source = await fixture.start();
    await fixture.published();
    expect(backfillsOf(source.status)).toMatchObject([
      { state: "paused", rows: 0, error: expect.stringMatching(/^SCHEMA_MISSED_CHANGES: .*b\.v1/) },
    ]);
  }
  await using source = await fixture.start({ backfillPollMs: 100 });
  expect(await runBackfill(fixture, "status", "--schema", "b")).toMatchObject({
    stdout: expect.stringMatching(/rebuild paused.*\n.*SCHEMA_MISSED_CHANGES/),
  });
  expect(await runBackfill(fixture, "resume", "--schema", "b", "--watch")).toMatchObject({ exitCode: 0 });
  expect(await waitForBackfill(() => source.status, "b.v1")).toMatchObject({ rows: 5, removed: 1 });
  await expectEqual(fixture);
});
