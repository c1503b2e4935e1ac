import { writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import type { RejotError } from "../../shared/errors/error.ts";
import { deadLetterTopic } from "../../shared/kafka/naming.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import {
  deadLetters,
  ITEMS_SQL,
  item,
  itemFixture,
  lettersOf,
  UPSERT,
  waitUntilPassed,
} from "../support/dead-letters.ts";
import { randomName } from "../support/names.ts";
import { startSink } from "../support/running-sink.ts";
import type { SinkFixture } from "../support/sink-fixture.ts";

async function pass(fixture: SinkFixture): Promise<void> {
  await using sink = await startSink(fixture.manifestPath);
  await waitUntilPassed(fixture, sink);
}

/** Changes the manifest's file, as `collect --write` would. */
async function collect(fixture: SinkFixture, change: (config: Manifest) => void): Promise<void> {
  const manifest = structuredClone(fixture.manifest);
  change(manifest);
  await writeFile(fixture.manifestPath, JSON.stringify(manifest));
}

const setSql = (sql: string) => (manifest: Manifest) => {
  const [consumer] = manifest.consumerSchemas ?? [];
  if (consumer !== undefined) consumer.config.sql = sql;
};

test("letters are applied by the statement that the manifest has now", async () => {
  await using fixture = await itemFixture();
  await fixture.publish("item", [item(1, -1), item(2, -2)]);
  await pass(fixture);
  expect(await deadLetters(fixture, "replay", "--all", "--dry-run")).toMatchObject({
    exitCode: 1,
    stdout: expect.stringMatching(/dry run, nothing is changed: 2 failed\n.* DEAD_LETTER_FAILED: .*positive/),
  });
  const failed = await deadLetters(fixture, "replay", "--all");
  expect(failed.exitCode).toBe(1);
  expect(failed.stdout).toMatch(
    /^fixture → destination: 2 failed\n {2}failed +\S+\/0\/0 +fixture\/items +DEAD_LETTER_FAILED: /,
  );
  await collect(
    fixture,
    setSql("INSERT INTO item VALUES (:id, abs(:n::int)) ON CONFLICT (id) DO UPDATE SET n = abs(:n)"),
  );
  expect(await deadLetters(fixture, "replay", "--all", "--dry-run")).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining("dry run, nothing is changed: 2 applied\n"),
  });
  expect(await fixture.database.query("TABLE item")).toEqual([]);
  expect((await deadLetters(fixture, "replay", "--all")).stdout).toContain(
    "fixture → destination: 2 applied\n",
  );
  expect(await fixture.database.query("TABLE item")).toEqual([
    { id: "1", n: "1" },
    { id: "2", n: "2" },
  ]);
  expect((await deadLetters(fixture, "replay", "--all")).stdout).toBe(
    "fixture → destination: no dead letters wait\n",
  );
});

test("a statement that no event can be applied by fails once; one that the destination does not take at all, at once", async () => {
  await using fixture = await itemFixture();
  await fixture.publish("item", [item(1, -1), item(2, -2), item(3, -3)]);
  await pass(fixture);
  await fixture.database.query(
    "CREATE FUNCTION broken(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT 1 FROM missing); END $$",
  );
  await collect(fixture, setSql("INSERT INTO item VALUES (:id, broken(:n))"));
  const broken = await deadLetters(fixture, "replay", "--all");
  expect(broken).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("2 held back, 1 failed") });
  expect(broken.stdout).toContain("the statement fails for every event alike");
  await collect(fixture, setSql("INSERT INTO missing VALUES (:id)"));
  expect(await deadLetters(fixture, "replay", "--all")).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/^SINK_SQL_REJECTED: .*"missing" does not exist/),
  });
  await collect(fixture, (manifest) => {
    for (const consumer of manifest.consumerSchemas ?? []) consumer.name = "renamed";
  });
  expect((await deadLetters(fixture, "replay", "--all")).stdout).toContain(
    "DEAD_LETTER_WITHOUT_SCHEMA: fixture/items for",
  );
  expect((await lettersOf(fixture)).map(({ state }) => state)).toEqual(["waiting", "waiting", "waiting"]);
});

test("discarded letters are done with; ids that are none are refused before anything is done", async () => {
  await using fixture = await itemFixture();
  await fixture.publish("item", [item(1, -1), item(1, -10), item(2, -2)]);
  await pass(fixture);
  const topic = fixture.topic("item");
  expect(await deadLetters(fixture, "discard", `${topic}/0/0`, `${topic}/0/77`)).toMatchObject({
    exitCode: 2,
    stderr: expect.stringMatching(/^DEAD_LETTER_NOT_FOUND: .*\/0\/77/),
  });
  expect(await deadLetters(fixture, "discard", `${topic}/0/0`)).toMatchObject({
    exitCode: 0,
    stdout: "fixture → destination: 1 dead letter discarded\n",
  });
  expect((await deadLetters(fixture, "discard", `${topic}/0/0`)).stdout).toContain("none of them waited");
  await fixture.database.query("ALTER TABLE item DROP CONSTRAINT positive");
  expect((await deadLetters(fixture, "replay", `${topic}/0/0`, `${topic}/0/1`)).stdout).toMatch(
    /1 applied, 1 settled before\n.*discarded\n/s,
  );
  expect(await fixture.database.query("TABLE item")).toEqual([{ id: "1", n: "-10" }]);
  expect(JSON.parse((await deadLetters(fixture, "discard", "--all", "--json")).stdout)).toEqual([
    { manifest: "fixture", dataStore: "destination", discarded: 1 },
  ]);
  expect((await lettersOf(fixture, "--all")).map(({ state }) => state)).toEqual([
    "discarded",
    "replayed",
    "discarded",
  ]);
});

test("letters whose topic was deleted are named, listed without their event, and can be discarded", async () => {
  await using fixture = await itemFixture();
  await fixture.publish("item", [item(1, -1)]);
  await pass(fixture);
  await fixture.admin.deleteTopics({ topics: [deadLetterTopic(fixture.topic("item"), fixture.group)] });
  expect((await deadLetters(fixture, "list")).stdout).toContain("its record is gone");
  expect((await deadLetters(fixture, "replay", "--all")).stdout).toContain("DEAD_LETTER_GONE");
  expect((await deadLetters(fixture, "show", `${fixture.topic("item")}/0/0`)).stdout).toContain(
    "Its record is gone",
  );
  expect((await deadLetters(fixture, "discard", "--all")).exitCode).toBe(0);
});

test("with the rights that operations.md names, and without TEMPORARY, letters are kept and replayed", async () => {
  const role = randomName("role");
  await using fixture = await itemFixture(
    [UPSERT],
    `${ITEMS_SQL}; CREATE ROLE ${role} LOGIN PASSWORD 'plain'; GRANT ALL ON item TO ${role};
     DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$`,
    1,
    (manifest) => {
      const config = manifest.connections?.[0]?.config;
      if (config?.connectionType === "postgres") Object.assign(config, { user: role, password: "plain" });
    },
  );
  await fixture.publish("item", [item(1, 1), item(2, -2), item(3, -3)]);
  // The SQL that the error names, for one table after the other.
  for (const table of ["rejot.progress", "rejot.dead_letters"]) {
    await using sink = await startSink(fixture.manifestPath);
    const { code, hint } = (await sink.failure()) as RejotError;
    expect(code).toBe("SINK_PROGRESS_DENIED");
    expect(hint).toContain(`CREATE TABLE IF NOT EXISTS ${table} (`);
    await fixture.database.query(hint.slice(hint.indexOf("\n")));
  }
  await pass(fixture);
  expect(await lettersOf(fixture)).toHaveLength(2);
  await fixture.database.query("ALTER TABLE item DROP CONSTRAINT positive");
  expect(await deadLetters(fixture, "replay", "--all")).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining("2 applied"),
  });
  expect(await fixture.database.query("SELECT n FROM item ORDER BY id")).toEqual([
    { n: "1" },
    { n: "-2" },
    { n: "-3" },
  ]);
});
