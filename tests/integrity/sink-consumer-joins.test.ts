import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { deadLetters, item, itemSchema, lettersOf } from "../support/dead-letters.ts";
import { randomName } from "../support/names.ts";
import { startSink } from "../support/running-sink.ts";
import { type FixtureConsumer, type SinkFixture, sinkFixture } from "../support/sink-fixture.ts";
import { faultsOf, verifyJson } from "../support/verify.ts";

const SQL = `CREATE TABLE early (id bigint, n int NOT NULL, times int NOT NULL DEFAULT 1, PRIMARY KEY (id, n));
  CREATE TABLE late (LIKE early INCLUDING ALL);
  CREATE TABLE copy (id bigint PRIMARY KEY, n int NOT NULL CHECK (n >= 0))`;

/** Counts how often it was run for each event. */
const adding = (name: string): FixtureConsumer => ({
  name,
  schema: "item",
  sql: `INSERT INTO ${name} VALUES (:id, :n) ON CONFLICT (id, n) DO UPDATE SET times = ${name}.times + 1`,
  deletes: "ignore",
});

const COPY: FixtureConsumer = {
  name: "copy",
  schema: "item",
  onError: "dlq",
  sql: "INSERT INTO copy VALUES (:id, :n) ON CONFLICT (id) DO UPDATE SET n = :n",
  deleteSql: "DELETE FROM copy WHERE id = :id",
};

function fixtureOf(...consumers: FixtureConsumer[]): Promise<SinkFixture> {
  return sinkFixture({
    sql: SQL,
    consumers,
    schemas: [itemSchema()],
  });
}

/** The path of another version of the manifest, with these consumer schemas only. */
async function withOnly({ manifest, manifestPath }: SinkFixture, ...names: string[]): Promise<string> {
  const consumerSchemas = manifest.consumerSchemas?.filter(({ name }) => names.includes(name)) ?? [];
  const path = join(dirname(manifestPath), `${randomName("manifest")}.json`);
  await writeFile(path, JSON.stringify({ ...manifest, consumerSchemas } satisfies Manifest));
  return path;
}

const items = (from: number, count: number, n = 0) =>
  Array.from({ length: count }, (_, i) => item(from + i, n));

/** How many events each consumer schema applied, and whether each event once. */
async function appliedBy(
  { database }: SinkFixture,
  table: string,
): Promise<{ events: number; once: boolean }> {
  const [row] = await database.query(
    `SELECT count(*)::int AS events, coalesce(bool_and(times = 1), true) AS once FROM ${table}`,
  );
  return { events: Number(row?.events), once: row?.once === "t" };
}

const all = (events: number) => ({ events, once: true });

test("a consumer schema that is added later gets the whole topic, those that were there each event once", async () => {
  await using fixture = await fixtureOf(adding("early"), adding("late"), COPY);
  const before = await withOnly(fixture, "early");
  {
    await using sink = await startSink(before);
    await fixture.publish("item", items(1, 200));
    await fixture.publish("item", [...items(1, 100, 1), item(150)]);
    await sink.eventually(async () => (await appliedBy(fixture, "early")).events === 300, "the first");
  }
  await fixture.publish("item", items(1_000, 50));
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", items(2_000, 50));
  await sink.eventually(async () => (await appliedBy(fixture, "late")).events === 400, "the one added");
  expect(await appliedBy(fixture, "early")).toEqual(all(400));
  expect(await appliedBy(fixture, "late")).toEqual(all(400));
  await sink.eventually(
    async () => (await fixture.database.query("SELECT FROM copy")).length === 299,
    "the copy",
  );
  expect(await fixture.database.query("SELECT count(*)::int AS n FROM copy WHERE n = 1")).toEqual([
    { n: "100" },
  ]);
  expect(sink.unit().details?.catchingUp).toBeUndefined();
});

test("two versions of the manifest at once, as while one is rolled out, and one after the other", async () => {
  await using fixture = await fixtureOf(adding("early"), adding("late"));
  const [old, other] = [await withOnly(fixture, "early"), await withOnly(fixture, "late")];
  let published = 0;
  const publish = async (count: number): Promise<void> => {
    await fixture.publish("item", items(published, count));
    published += count;
  };
  for (const paths of [[old], [fixture.manifestPath], [old], [old, fixture.manifestPath], [other]]) {
    await publish(40);
    const sinks = await Promise.all(paths.map((path) => startSink(path)));
    for (let i = 0; i < 8; i++) await publish(20);
    const [sink] = sinks;
    const table = paths[0] === other ? "late" : "early";
    await sink?.eventually(
      async () => (await appliedBy(fixture, table)).events === published,
      `all in ${table}`,
    );
    await Promise.all(sinks.map((each) => each.sink.stop()));
  }
  await using sink = await startSink(fixture.manifestPath);
  for (const table of ["early", "late"]) {
    await sink.eventually(
      async () => (await appliedBy(fixture, table)).events === published,
      `all in ${table}`,
    );
    expect(await appliedBy(fixture, table)).toEqual(all(published));
  }
});

test("what a publisher without transactions repeats is left out also for one that was away meanwhile", async () => {
  await using fixture = await fixtureOf(adding("early"), adding("late"));
  const publish = (from: number, commitLsn: bigint) =>
    fixture.publish("item", items(from, 30), { transactional: false, commitLsn });
  {
    await using sink = await startSink(fixture.manifestPath);
    await publish(0, 5_000n);
    await sink.eventually(async () => (await appliedBy(fixture, "late")).events === 30, "all in both");
  }
  {
    await using sink = await startSink(await withOnly(fixture, "early"));
    await publish(0, 5_000n);
    await publish(100, 6_000n);
    await sink.eventually(async () => (await appliedBy(fixture, "early")).events === 60, "all in early");
  }
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(async () => (await appliedBy(fixture, "late")).events === 60, "all in late");
  expect(await appliedBy(fixture, "early")).toEqual(all(60));
  expect(await appliedBy(fixture, "late")).toEqual(all(60));
});

test("progress that somebody has broken is named, and goes on once it is put right", async () => {
  await using fixture = await fixtureOf(adding("early"), adding("late"));
  {
    await using sink = await startSink(fixture.manifestPath);
    await fixture.publish("item", items(0, 30));
    await sink.eventually(async () => (await appliedBy(fixture, "late")).events === 30, "all in both");
  }
  const write = (consumers: string) =>
    fixture.database.query("UPDATE rejot.progress SET consumers = $1", [consumers]);
  await write('{"fixture/early": "7"}');
  {
    await using broken = await startSink(fixture.manifestPath);
    expect(await broken.failure()).toMatchObject({ code: "SINK_PROGRESS_INVALID" });
  }
  await write('{"fixture/early": null, "fixture/late": null}');
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", items(100, 30));
  await sink.eventually(async () => (await appliedBy(fixture, "late")).events === 60, "the rest");
  expect(await appliedBy(fixture, "early")).toEqual(all(60));
});

test("events that one added later cannot take are set aside and replayed, also once they are applied by others", async () => {
  await using fixture = await fixtureOf(adding("early"), COPY);
  const before = await withOnly(fixture, "early");
  {
    await using sink = await startSink(before);
    await fixture.publish("item", [item(1, -1), item(2, 2), item(3, -3)]);
    await sink.eventually(async () => (await appliedBy(fixture, "early")).events === 3, "the first");
  }
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", [item(4, 4)]);
  await sink.eventually(
    async () => (await fixture.database.query("SELECT FROM copy")).length === 2,
    "the copy",
  );
  expect((await lettersOf(fixture)).map(({ event }) => event?.key.id).sort()).toEqual([1, 3]);
  await fixture.database.query("ALTER TABLE copy DROP CONSTRAINT copy_n_check");
  expect((await deadLetters(fixture, "replay", "--all")).exitCode).toBe(0);
  expect(await fixture.database.query("SELECT id, n FROM copy ORDER BY id")).toEqual(
    [
      [1, -1],
      [2, 2],
      [3, -3],
      [4, 4],
    ].map(([id, n]) => ({ id: String(id), n: String(n) })),
  );
  expect(await appliedBy(fixture, "early")).toEqual(all(4));
});

test("one consumer schema is given the whole topic anew by taking it out of the progress, while the sink runs", async () => {
  await using fixture = await fixtureOf(adding("early"), COPY);
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", [...items(1, 30), item(500, -1)]);
  await sink.eventually(async () => (await lettersOf(fixture)).length === 1, "the letter");
  await fixture.database.query(
    "BEGIN; TRUNCATE copy; UPDATE rejot.progress SET consumers = consumers - 'fixture/copy'; COMMIT",
  );
  await fixture.publish("item", items(100, 30));
  await sink.eventually(
    async () => (await fixture.database.query("SELECT FROM copy")).length === 60,
    "the copy",
  );
  expect(await appliedBy(fixture, "early")).toEqual(all(61));
  expect(await lettersOf(fixture)).toHaveLength(1);
});

test("verify compares each consumer schema at its own place", async () => {
  await using fixture = await fixtureOf(adding("early"), COPY);
  const before = await withOnly(fixture, "early");
  {
    await using sink = await startSink(before);
    await fixture.publish("item", items(1, 20));
    await sink.eventually(async () => (await appliedBy(fixture, "early")).events === 20, "the first");
  }
  const verify = async () => {
    const { comparisons } = await verifyJson(fixture.manifestPath, "--only", "sink", "--timeout", "2");
    return comparisons.find(({ consumerSchema }) => consumerSchema === "copy");
  };
  expect(faultsOf((await verify()) as never)).toEqual({ error: "VERIFY_SINK_BEHIND" });
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(
    async () => (await fixture.database.query("SELECT FROM copy")).length === 20,
    "the copy",
  );
  await sink.sink.stop();
  await fixture.database.query(
    "UPDATE rejot.progress SET consumers = consumers || '{\"fixture/copy\": 0}'; TRUNCATE copy",
  );
  // At its own place nothing was applied yet, so nothing is missing: it is behind.
  const report = await verify();
  expect(faultsOf(report as never)).toEqual({ error: "VERIFY_SINK_BEHIND" });
  expect(report?.behind).toBe(20);
});

test("of a table without the column, all of the first start are where it says, in quiet partitions too", async () => {
  await using fixture = await fixtureOf(adding("early"), adding("late"));
  const before = await withOnly(fixture, "early");
  {
    await using sink = await startSink(before);
    await fixture.publish("item", items(1, 60));
    await sink.eventually(async () => (await appliedBy(fixture, "early")).events === 60, "the first");
  }
  await fixture.database.query("ALTER TABLE rejot.progress DROP COLUMN consumers");
  {
    await using sink = await startSink(before);
    await fixture.publish("item", [{ ...item(1_000, 0), partition: 0 }]);
    await sink.eventually(async () => (await appliedBy(fixture, "early")).events === 61, "one partition");
  }
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(async () => (await appliedBy(fixture, "late")).events === 61, "the one added");
  expect(await appliedBy(fixture, "early")).toEqual(all(61));
});

test("verify ends when the sink has not got a consumer schema yet, also while others of its topic go on", async () => {
  await using fixture = await fixtureOf(adding("early"), COPY);
  await using sink = await startSink(await withOnly(fixture, "early"));
  await fixture.publish("item", items(1, 20));
  await sink.eventually(async () => (await appliedBy(fixture, "early")).events === 20, "the first");
  const isOver = new AbortController();
  const busy = (async () => {
    for (let id = 100; !isOver.signal.aborted; id++) await fixture.publish("item", [item(id, 0)]);
  })();
  const { exitCode, comparisons } = await verifyJson(
    fixture.manifestPath,
    "--only",
    "sink",
    "--timeout",
    "2",
  );
  isOver.abort();
  await busy;
  const copy = comparisons.find(({ consumerSchema }) => consumerSchema === "copy");
  expect([exitCode, faultsOf(copy as never)]).toEqual([3, { error: "VERIFY_SINK_BEHIND" }]);
});

test("a reload of one consumer schema begins at once when a sink joins or leaves, without further events", async () => {
  await using fixture = await fixtureOf(adding("early"), COPY);
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", items(1, 30));
  const copied = async () => (await fixture.database.query("SELECT FROM copy")).length;
  await sink.eventually(async () => (await copied()) === 30, "the copy");
  await fixture.database.query(
    "BEGIN; LOCK TABLE rejot.progress IN EXCLUSIVE MODE; UPDATE rejot.progress SET consumers = consumers - 'fixture/copy'; TRUNCATE copy; COMMIT",
  );
  await using _other = await startSink(fixture.manifestPath);
  await sink.eventually(async () => (await copied()) === 30, "the copy again");
  expect(await appliedBy(fixture, "early")).toEqual(all(30));
});

test("a letter of a topic that its consumer schema does not read any more is kept", async () => {
  await using fixture = await sinkFixture({
    sql: SQL,
    consumers: [adding("early"), { ...COPY, schema: "item2" }],
    schemas: [itemSchema(), itemSchema("item2")],
  });
  const letters = async () => (await fixture.database.query("SELECT FROM rejot.dead_letters")).length;
  {
    await using sink = await startSink(fixture.manifestPath);
    await fixture.publish("item", items(1, 30));
    await sink.eventually(async () => (await appliedBy(fixture, "early")).events === 30, "the first");
  }
  await fixture.database.query(
    `INSERT INTO rejot.dead_letters (consumer_group, topic, partition, event_offset, consumer_schema, key_digest, letter_offset)
     SELECT '${fixture.group}', '${fixture.topic("item")}', p, 0, 'fixture/copy', 'x', 0 FROM generate_series(0, 2) p`,
  );
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", items(100, 30));
  await sink.eventually(async () => (await appliedBy(fixture, "early")).events === 60, "the rest");
  expect(await letters()).toBe(3);
});
