import { expect, test } from "vitest";
import { runCli } from "../../cli/program.ts";
import { backfillsOf, waitForBackfill } from "../support/backfill.ts";
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

/** Runs `backfill <action> <manifest> <flags>`. */
async function backfill(fixture: SourceFixture, action: string, ...flags: string[]) {
  const output = { stdout: "", stderr: "" };
  const exitCode = await runCli(["backfill", action, fixture.manifestPath, ...flags], {
    env: {},
    print: (text) => {
      output.stdout += `${text}\n`;
    },
    warn: (text) => {
      output.stderr += `${text}\n`;
    },
  });
  return { exitCode, ...output };
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
