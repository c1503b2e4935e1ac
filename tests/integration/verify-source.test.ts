import { readFile, writeFile } from "node:fs/promises";
import { type CompressionTypes, Partitioners } from "kafkajs";
import { expect, test } from "vitest";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { waitForBackfill } from "../support/backfill.ts";
import { plainKafka } from "../support/kafka.ts";
import { createSourceFixture, type SourceFixture, transformationsOf } from "../support/source.ts";
import { faultsOf, runVerify, verifyJson } from "../support/verify.ts";
import { waitFor } from "../support/wait-for.ts";

const ROWS = 20;

function createFixture(): Promise<SourceFixture> {
  return createSourceFixture({
    backfill: "auto",
    sql: `CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL, price int);
      INSERT INTO item SELECT i, 'n' || i, i FROM generate_series(1, ${ROWS}) i`,
    schemas: [
      {
        name: "item",
        fields: { id: "integer", name: "string", price: "integer?" },
        transformations: transformationsOf(
          "item",
          "SELECT id, name, price FROM item WHERE id = :id",
          "SELECT :id AS id",
        ),
      },
    ],
  });
}

/** Writes into a public schema's topic what no source wrote. */
async function produce(topic: string, records: { partition: number; key: Buffer; value: Buffer | null }[]) {
  const producer = plainKafka().producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  await producer.send({ topic, compression: 0 as CompressionTypes, messages: records });
  await producer.disconnect();
}

test("what was written behind the source's back is found, and named by key and field", async () => {
  await using fixture = await createFixture();
  await using source = await fixture.start();
  await waitForBackfill(() => source.status, "item.v1");
  expect(await verifyJson(fixture.manifestPath)).toMatchObject({
    exitCode: 0,
    comparisons: [
      { keys: ROWS, equal: ROWS, rounds: 1, position: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) },
    ],
  });

  const records = await fixture.read("item");
  const of = (id: number) => {
    const found = records.find(({ value }) => (value as { id: number }).id === id);
    if (found?.rawKey === undefined || found.rawKey === null) throw new Error(`no event of ${id}`);
    return { partition: found.partition, key: found.rawKey, value: found.rawValue };
  };
  const absentKey = Buffer.concat([of(1).key.subarray(0, 5), Buffer.from([0xd0, 0x0f])]);
  await produce(fixture.topicOf("item"), [
    // Another object's value, a tombstone, a key that the table does not have, bytes of another kind.
    { ...of(1), value: of(2).value },
    { ...of(3), value: null },
    { ...of(4), key: absentKey },
    { ...of(5), value: Buffer.from("not Avro") },
    { partition: 0, key: Buffer.from("foreign"), value: Buffer.from("foreign") },
    // Put right again.
    { ...of(6), value: null },
    of(6),
  ]);
  const { exitCode, comparisons } = await verifyJson(fixture.manifestPath);
  const [report] = comparisons;
  if (report === undefined) throw new Error("no comparison");
  expect(exitCode).toBe(1);
  expect(report).toMatchObject({ rounds: 2, keys: ROWS + 2, equal: ROWS - 3 });
  expect(report.different).toEqual({
    count: 1,
    fields: { id: 1, name: 1, price: 1 },
    first: [{ key: '{"id":1}', fields: ["id", "name", "price"] }],
  });
  expect(report.missing).toEqual({ count: 1, first: ['{"id":3}'] });
  expect(report.extra).toEqual({ count: 1, first: ['{"id":1000}'] });
  expect(report.undecodable.count).toBe(2);
  expect(report.undecodable.first.map(({ key }) => key).sort()).toEqual([
    `0x${Buffer.from("foreign").toString("hex")}`,
    '{"id":5}',
  ]);

  const { exitCode: code, stdout } = await runVerify(fixture.manifestPath, "--show", "1");
  expect(code).toBe(1);
  expect(stdout).toMatch(
    /^item\.v1: t-\w+ db → t-\w+\.item\.v1 at \S+\n {2}22 keys: 17 equal, 1 missing, 1 extra, /,
  );
  expect(stdout).toMatch(
    /\n {2}different: id \(1\), name \(1\), price \(1\)\n {4}\{"id":1\}: id, name, price\n/,
  );
  expect(stdout).toMatch(/ key \S+: .+\n {4}and 1 more\n/);
  expect(stdout).toMatch(
    /\nDIFFERENT: item\.v1: 17 equal, 1 missing, 1 extra, 1 different, 2 undecodable\n$/,
  );
});

test("what the source publishes anew is equal again", async () => {
  await using fixture = await createFixture();
  await using source = await fixture.start();
  await waitForBackfill(() => source.status, "item.v1");
  const [event] = await fixture.read("item");
  if (event?.rawKey == null) throw new Error("no event");
  const id = (event.value as { id: number }).id;
  await produce(fixture.topicOf("item"), [{ partition: event.partition, key: event.rawKey, value: null }]);
  expect((await verifyJson(fixture.manifestPath)).comparisons.map(faultsOf)).toEqual([
    { missing: [`{"id":${id}}`] },
  ]);
  await fixture.database.query(`UPDATE item SET price = NULL WHERE id = ${id}`);
  expect((await verifyJson(fixture.manifestPath)).comparisons.map(faultsOf)).toEqual([{}]);
});

test("a source that does not run is named, and leaves neither a slot nor a session behind", async () => {
  await using fixture = await createFixture();
  const never = await runVerify(fixture.manifestPath, "--timeout", "1");
  expect(never).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/SCHEMA_NOT_REGISTERED/) });
  {
    await using source = await fixture.start();
    await waitForBackfill(() => source.status, "item.v1");
  }
  const { exitCode, comparisons } = await verifyJson(fixture.manifestPath, "--timeout", "1");
  expect([exitCode, comparisons.map(faultsOf)]).toEqual([3, [{ error: "VERIFY_SOURCE_BEHIND" }]]);
  const left = () =>
    fixture.database.query(
      `SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database() AND slot_name <> $1
       UNION ALL SELECT application_name FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'rejot-verify%'`,
      [fixture.slotName],
    );
  await waitFor(async () => (await left()).length === 0, { describe: "slots and sessions to be gone" });
});

test("a transaction that stays open is named, not waited for for ever", async () => {
  await using fixture = await createFixture();
  await using source = await fixture.start();
  await waitForBackfill(() => source.status, "item.v1");
  const client = await fixture.database.connect();
  await client.query("BEGIN; UPDATE item SET price = 0 WHERE id = 1");
  const { exitCode, comparisons } = await verifyJson(fixture.manifestPath, "--timeout", "1");
  expect([exitCode, comparisons.map(faultsOf)]).toEqual([3, [{ error: "VERIFY_SNAPSHOT_LATE" }]]);
  await client.query("ROLLBACK");
  expect((await verifyJson(fixture.manifestPath)).exitCode).toBe(0);
});

test("what is asked wrongly is told", async () => {
  await using fixture = await createFixture();
  const told = async (...flags: string[]) => {
    const { exitCode, stderr } = await runVerify(fixture.manifestPath, ...flags);
    return `${exitCode} ${stderr.split("\n")[0]}`;
  };
  expect(await told("--schema", "itme")).toMatch(/^2 USAGE: .*"itme"; there are: item\.v1$/);
  expect(await told("--rounds", "1")).toMatch(/^2 USAGE: .*a whole number from 2 on is expected/);
  expect(await told("--only", "both")).toMatch(/^2 USAGE/);
  await using source = await fixture.start();
  await waitForBackfill(() => source.status, "item.v1");
  const nowhere = await runVerify(fixture.manifestPath, "--work-dir", "/no/such/folder");
  expect(nowhere).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/VERIFY_WORK_DIR: .*ENOENT/) });
});

const totals = (buyer: string) =>
  `SELECT b.id, count(p.id)::bigint AS n FROM buyer b LEFT JOIN purchase p ON p.buyer = b.id WHERE b.id = ${buyer} GROUP BY b.id`;

test.each([
  ["its SQL is run for its key", ":buyer", { keys: 6, equal: 5, extra: { count: 1, first: ['{"id":9}'] } }],
  ["no SQL can be run for a key", "(SELECT :buyer::bigint)", { keys: 4, equal: 4, extra: null }],
])("an object that outlives its rows is not too much: %s", async (_what, placeholder, expected) => {
  const sql = totals(placeholder);
  await using fixture = await createSourceFixture({
    backfill: "auto",
    sql: `CREATE TABLE buyer (id bigint PRIMARY KEY); CREATE TABLE purchase (id bigint PRIMARY KEY, buyer bigint NOT NULL);
      ALTER TABLE purchase REPLICA IDENTITY FULL;
      INSERT INTO buyer SELECT generate_series(1, 5); INSERT INTO purchase SELECT i, i FROM generate_series(1, 5) i`,
    schemas: [
      {
        name: "totals",
        fields: { id: "integer", n: "integer" },
        key: ["id"],
        transformations: [
          ...transformationsOf("purchase", sql),
          { operation: "delete", table: "purchase", emit: "upsert", sql },
          { operation: "delete", table: "buyer", sql: "SELECT :id AS id" },
        ],
      },
    ],
  });
  await using source = await fixture.start();
  await waitForBackfill(() => source.status, "totals.v1");
  await fixture.database.query("DELETE FROM purchase WHERE id = 3");
  const [record] = await fixture.read("totals");
  if (record?.rawKey == null) throw new Error("no event");
  const key = Buffer.concat([record.rawKey.subarray(0, 5), Buffer.from([18])]);
  await produce(fixture.topicOf("totals"), [{ partition: record.partition, key, value: record.rawValue }]);
  const { comparisons } = await verifyJson(fixture.manifestPath);
  expect(comparisons[0]).toMatchObject(expected);
});

test("a public schema that is not registered yet, or whose table is gone, fails alone", async () => {
  await using fixture = await createFixture();
  await using source = await fixture.start();
  await waitForBackfill(() => source.status, "item.v1");
  const manifest = JSON.parse(await readFile(fixture.manifestPath, "utf8")) as Manifest;
  const [item] = manifest.publicSchemas ?? [];
  if (item === undefined) throw new Error("no public schema");
  const gone = structuredClone(item);
  for (const transformation of gone.config.transformations) transformation.table = "gone";
  manifest.publicSchemas?.unshift({ ...item, name: "fresh" });
  manifest.publicSchemas?.push({ ...gone, version: { major: 2, minor: 0 } });
  await writeFile(fixture.manifestPath, JSON.stringify(manifest));
  const { exitCode, comparisons } = await verifyJson(fixture.manifestPath);
  expect([exitCode, ...comparisons.map(faultsOf)]).toEqual([
    1,
    { error: "SCHEMA_NOT_REGISTERED" },
    { error: "SCHEMA_NOT_REGISTERED" },
    {},
  ]);
});
