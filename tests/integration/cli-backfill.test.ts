import { expect, test } from "vitest";
import { ProgressTopic } from "../../cli/backfill/progress-topic.ts";
import { loadManifests } from "../../shared/manifest/load.ts";
import { type ResolvedSource, resolveWorkspace } from "../../shared/manifest/workspace.ts";
import { runBackfill as backfill, backfillsOf, waitForBackfill } from "../support/backfill.ts";
import { kafkaAdmin } from "../support/kafka.ts";
import { createSourceFixture, opsOf, type SourceFixture, transformationsOf } from "../support/source.ts";

const ROWS = 400;

const item = (name: string) => ({
  name,
  fields: { id: "integer", name: "string" } as const,
  transformations: transformationsOf("item", "SELECT id, name FROM item WHERE id = :id", "SELECT :id AS id"),
});

function createFixture(): Promise<SourceFixture> {
  return createSourceFixture({
    sql: `CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL);
      INSERT INTO item SELECT i, 'n' || i FROM generate_series(1, ${ROWS}) i`,
    schemas: [item("item"), item("other")],
    config: { backfillChunkRows: 20, backfillPollMs: 100 },
  });
}

test("start, for a schema, again, and for a condition; status, as text and as JSON", async () => {
  await using fixture = await createFixture();
  {
    await using _first = await fixture.start();
    expect(await backfill(fixture, "status")).toMatchObject({
      exitCode: 0,
      stdout: "item.v1: there was none yet\nother.v1: there was none yet\n",
    });
  }
  // It is kept until a source runs.
  const started = backfill(fixture, "start", "--schema", "item", "--watch");
  await using source = await fixture.start();
  expect(await started).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/item\.v1: done {2}\[#{20}\] 100 % {2}400 rows\n$/),
  });
  expect(backfillsOf(source.status)).toMatchObject([{ schema: "item.v1", state: "done", rows: ROWS }]);
  expect(opsOf(await fixture.read("item"))).toHaveLength(ROWS);

  const where = "id <= 30 AND name LIKE 'n1%' -- the first";
  const some = await backfill(fixture, "start", "--schema", "item.v1", "--where", where, "--watch", "--json");
  expect(some).toMatchObject({ exitCode: 0, stderr: "" });
  expect(JSON.parse(some.stdout)).toMatchObject([
    { schema: "item.v1", state: "done", rows: 11, events: 11, where },
  ]);
  expect(opsOf(await fixture.read("item"))).toHaveLength(ROWS + 11);
  expect(await fixture.read("other")).toEqual([]);

  const metrics = await source.connector.metrics.render();
  expect(metrics).toMatch(/^rejot_source_backfill_rows\{.*public_schema="item.v1"\} 11$/m);
  expect(metrics).toMatch(/^rejot_source_backfill_state\{.*public_schema="item.v1",state="done"\} 1$/m);
});

test("a start that no source has followed is shown, and can be taken back", async () => {
  await using fixture = await createFixture();
  {
    await using _first = await fixture.start();
  }
  const where = ["--where", "id < 10", "--rate", "5"];
  expect(await backfill(fixture, "start", "--schema", "item", ...where)).toMatchObject({
    exitCode: 0,
    stdout:
      "item.v1: there was none yet\n  asked for and not followed yet: start  WHERE id < 10  5 rows/s at most\n",
    stderr: expect.stringMatching(/^No source has followed yet/),
  });
  const { stdout } = await backfill(fixture, "status", "--schema", "item", "--json");
  expect(JSON.parse(stdout)).toMatchObject([{ state: null, asked: { action: "start", where: "id < 10" } }]);
  expect(await backfill(fixture, "pause", "--schema", "item")).toMatchObject({ exitCode: 1 });
  const none = { exitCode: 0, stdout: "item.v1: there was none yet\n" };
  expect(await backfill(fixture, "cancel", "--schema", "item")).toMatchObject({ ...none, stderr: "" });
  await using source = await fixture.start();
  await fixture.database.query("INSERT INTO item VALUES (0, 'last')");
  await fixture.published();
  expect(await backfill(fixture, "status", "--schema", "item")).toMatchObject(none);
  expect(backfillsOf(source.status)).toEqual([]);
  expect(await backfill(fixture, "start", "--schema", "item", "--watch")).toMatchObject({
    stdout: expect.stringMatching(/done .* 401 rows\n$/),
  });
}, 60_000);

test("pause, resume and cancel, with a rate", async () => {
  await using fixture = await createFixture();
  await using source = await fixture.start();
  const status = () => source.status;
  expect(await backfill(fixture, "start", "--schema", "other", "--rate", "100")).toMatchObject({
    exitCode: 0,
  });
  await expect.poll(() => backfillsOf(status())[0]?.rows).toBeGreaterThan(0);
  const paused = await backfill(fixture, "pause");
  expect(paused).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/other\.v1: paused/) });
  const { rows } = await waitForBackfill(status, "other.v1", "paused");
  expect(rows).toBeLessThan(ROWS);
  await fixture.published();
  expect(backfillsOf(status())).toMatchObject([{ rows, state: "paused" }]);
  expect(await backfill(fixture, "pause")).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/^BACKFILL_NOT_UNDER_WAY: .*other\.v1 paused/),
  });

  expect(await backfill(fixture, "resume", "--schema", "other")).toMatchObject({ exitCode: 0 });
  await expect.poll(() => backfillsOf(status())[0]?.rows).toBeGreaterThan(rows);
  expect(await backfill(fixture, "cancel")).toMatchObject({ exitCode: 0 });
  await waitForBackfill(status, "other.v1", "cancelled");
  const read = (await fixture.read("other")).length;
  expect(read).toBeLessThan(ROWS);
  expect(await backfill(fixture, "start", "--schema", "other", "--watch")).toMatchObject({ exitCode: 0 });
  expect(await fixture.read("other")).toHaveLength(read + ROWS);
});

test("a backfill that waits for transactions to end says so, and can be cancelled", async () => {
  await using fixture = await createFixture();
  await using source = await fixture.start();
  const writer = await fixture.database.connect();
  await writer.query("BEGIN; INSERT INTO item VALUES (0, 'not committed')");
  await backfill(fixture, "start", "--schema", "item");
  await expect
    .poll(() => backfillsOf(source.status)[0]?.waitsForTransactions, { timeout: 20_000 })
    .toBe(true);
  expect(await backfill(fixture, "status", "--schema", "item")).toMatchObject({
    stdout: expect.stringMatching(/running .* waits for transactions to end that were writing when it began/),
  });
  expect(await backfill(fixture, "cancel")).toMatchObject({ exitCode: 0 });
  expect(backfillsOf(source.status)).toMatchObject([{ state: "cancelled", waitsForTransactions: false }]);
  await writer.query("ROLLBACK");
  expect(await backfill(fixture, "start", "--schema", "item", "--watch")).toMatchObject({
    stdout: expect.stringMatching(/done .* 400 rows/),
  });
});

test("what is asked wrongly is told, before or by the source", async () => {
  await using fixture = await createFixture();
  await using source = await fixture.start();
  const told = async (...args: [string, ...string[]]) => {
    const { exitCode, stderr } = await backfill(fixture, ...args);
    return `${exitCode} ${stderr.split("\n")[0]}`;
  };
  expect(await told("start")).toMatch(/^2 USAGE: .*item\.v1, other\.v1$/);
  expect(await told("start", "--schema", "itme")).toMatch(
    /^2 USAGE: .*"itme"; there are: item\.v1, other\.v1$/,
  );
  expect(await told("start", "--schema", "item", "--rate", "0")).toMatch(/^2 USAGE/);
  expect(await told("start", "--schema", "item", "--rate", "0.0000001")).toMatch(
    /^2 USAGE: .*0\.01 at least/,
  );
  expect(await told("resume")).toMatch(/^1 BACKFILL_NOT_UNDER_WAY/);
  const drop = "true); DROP TABLE item; --";
  expect(await told("start", "--schema", "item", "--where", drop)).toMatch(/^2 BACKFILL_CONDITION_INVALID/);

  const unknown = await backfill(
    fixture,
    "start",
    "--schema",
    "item",
    "--where",
    "colour = 'red'",
    "--watch",
  );
  expect(unknown).toMatchObject({
    exitCode: 1,
    stdout: expect.stringMatching(/BACKFILL_CONDITION_INVALID: .*column "colour" does not exist/),
  });
  expect(source.status.role).toBe("active");
  expect(await backfill(fixture, "start", "--schema", "item", "--watch")).toMatchObject({ exitCode: 0 });
});

test("a command that comes before the first start that works is kept, and does not look like an earlier source", async () => {
  await using fixture = await createFixture();
  await fixture.database.query("ALTER TABLE item RENAME name TO title");
  await expect(fixture.start()).rejects.toMatchObject({ code: "TRANSFORMATION_REJECTED" });
  const asked = backfill(fixture, "start", "--schema", "item", "--watch");
  await using admin = await kafkaAdmin();
  await expect
    .poll(() => admin.fetchTopicOffsets(fixture.progressTopic), { timeout: 20_000 })
    .toMatchObject([{ high: "1" }]);
  await fixture.database.query("ALTER TABLE item RENAME title TO name");
  await using source = await fixture.start();
  expect(source.status.role).toBe("active");
  expect(await asked).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/done .* 400 rows/) });
});

test("a condition does not take the place of all rows that are still to be read: it is refused, by the source too", async () => {
  await using fixture = await createFixture();
  await using source = await fixture.start();
  const status = () => source.status;
  expect(await backfill(fixture, "start", "--schema", "item", "--rate", "50")).toMatchObject({ exitCode: 0 });
  const some = ["--schema", "item", "--where", "id > 390"];
  const refused = await backfill(fixture, "start", ...some);
  expect(refused).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/^BACKFILL_UNFINISHED: .*item\.v1: running after \d+ rows/),
  });
  // The command of a program that did not look.
  const workspace = await resolveWorkspace(await loadManifests([fixture.manifestPath]), {}, ["source"]);
  const topic = new ProgressTopic(workspace.sources[0] as ResolvedSource);
  await topic.send("item.v1", { id: "x", action: "start", where: "id > 390", rowsPerSecond: null });
  await expect
    .poll(() => topic.refresh().then(() => topic.records.get("item.v1")), { timeout: 20_000 })
    .toMatchObject({ command: "x", state: "running", where: null });
  await topic.close();

  expect(await backfill(fixture, "cancel", "--schema", "item")).toMatchObject({ exitCode: 0 });
  expect(await backfill(fixture, "start", ...some, "--watch")).toMatchObject({ exitCode: 0 });
  expect(await waitForBackfill(status, "item.v1")).toMatchObject({ rows: 10 });
});
