import { expect, test } from "vitest";
import { type Bridge, startBridge } from "../support/bridge.ts";
import { faultsOf, runVerify, verifyJson } from "../support/verify.ts";

const ITEM = "SELECT id, name, price, tags FROM item WHERE id = :id";

function bridge(sql: string, more: { deleteSql?: string; destinationSql?: string } = {}): Promise<Bridge> {
  return startBridge({
    sourceSql: `CREATE TABLE item (id uuid PRIMARY KEY, name text NOT NULL, price numeric(10,2), tags jsonb NOT NULL);
      INSERT INTO item SELECT md5(i::text)::uuid, 'n' || i, i / 3.0, jsonb_build_array(i) FROM generate_series(1, 50) i`,
    destinationSql:
      more.destinationSql ??
      "CREATE TABLE copy (id uuid PRIMARY KEY, label varchar(20) NOT NULL, price numeric(10,2), tags jsonb, seen timestamptz)",
    properties: {
      id: { type: "string", format: "uuid" },
      name: { type: "string" },
      price: { type: ["string", "null"] },
      tags: {},
    },
    transformations: [
      { operation: "insert", table: "item", sql: ITEM.replace("price", "price::text") },
      { operation: "update", table: "item", sql: ITEM.replace("price", "price::text") },
      { operation: "delete", table: "item", sql: "SELECT :id::uuid AS id" },
    ],
    sql,
    deleteSql: more.deleteSql ?? "DELETE FROM copy WHERE id = :id",
  });
}

const UPSERT = `INSERT INTO copy (id, label, price, tags, seen) VALUES (:id, upper(:name), :price, :tags, now())
  ON CONFLICT (id) DO UPDATE SET label = excluded.label, price = excluded.price, tags = excluded.tags, seen = now()`;
const ID = (n: number) => `md5('${n}')::uuid`;

async function filled(made: Bridge): Promise<Bridge> {
  await made.equal("SELECT count(*) AS n FROM item", "SELECT count(*) AS n FROM copy");
  return made;
}

const sinkOnly = ["--only", "sink"];

test("rows that were changed, deleted or added at the destination are found, and named by key and field", async () => {
  await using made = await filled(await bridge(UPSERT));
  const { manifestPath, destination, source } = made;
  const before = await verifyJson(manifestPath);
  expect(before.comparisons.map((report) => [report.kind, report.keys, faultsOf(report)])).toEqual([
    ["source", 50, {}],
    ["destination", 50, {}],
  ]);
  expect(before.exitCode).toBe(0);
  expect(before.comparisons[1]?.notes).toEqual([
    expect.stringMatching(/^column seen is not compared: it calls now/),
  ]);

  await destination.query(`UPDATE copy SET label = 'X' WHERE id = ${ID(1)};
    UPDATE copy SET price = NULL, tags = '[]' WHERE id = ${ID(2)};
    UPDATE copy SET seen = NULL WHERE id = ${ID(3)};
    DELETE FROM copy WHERE id = ${ID(4)};
    INSERT INTO copy VALUES (${ID(1000)}, 'foreign')`);
  const [row] = await source.query(`SELECT ${ID(1)} AS a, ${ID(2)} AS b, ${ID(4)} AS d, ${ID(1000)} AS x`);
  const { exitCode, comparisons } = await verifyJson(manifestPath, ...sinkOnly);
  const [report] = comparisons;
  if (report === undefined) throw new Error("no comparison");
  expect(exitCode).toBe(1);
  expect(report).toMatchObject({
    kind: "destination",
    consumerSchema: "copy",
    rounds: 2,
    keys: 51,
    equal: 47,
  });
  expect(report.missing).toEqual({ count: 1, first: [`{"id":"${row?.d}"}`] });
  expect(report.extra).toEqual({ count: 1, first: [`{"id":"${row?.x}"}`] });
  expect(report.different.fields).toEqual({ name: 1, price: 1, tags: 1 });
  expect(Object.fromEntries(report.different.first.map(({ key, fields }) => [key, fields]))).toEqual({
    [`{"id":"${row?.a}"}`]: ["name"],
    [`{"id":"${row?.b}"}`]: ["price", "tags"],
  });

  const { stdout } = await runVerify(manifestPath);
  expect(stdout).toMatch(/\nDIFFERENT: object\.v1 → copy: 47 equal, 1 missing, 1 extra, 2 different\n$/);
});

test("while the source is written to, a destination that is behind is compared at the place where it is", async () => {
  await using made = await filled(await bridge(UPSERT));
  let stopped = false;
  const writing = (async () => {
    const client = await made.source.connect();
    for (let i = 0; !stopped; i++) {
      const id = ID(1 + (i % 60));
      await client.query(
        i % 5 === 0
          ? `DELETE FROM item WHERE id = ${id}`
          : `INSERT INTO item VALUES (${id}, 'w${i}', ${i}, '{"i": ${i}}') ON CONFLICT (id) DO UPDATE SET name = excluded.name, tags = excluded.tags`,
      );
    }
  })();
  for (let i = 0; i < 4; i++) {
    const { exitCode, comparisons } = await verifyJson(made.manifestPath, ...sinkOnly);
    expect([exitCode, comparisons.map(faultsOf)]).toEqual([0, [{}]]);
  }
  stopped = true;
  await writing;
});

test("statements that do not tell their rows are named, not judged", async () => {
  await using made = await filled(
    await bridge("INSERT INTO copy (id, label) SELECT :id, :name WHERE :name <> ''"),
  );
  const { exitCode, stdout } = await runVerify(made.manifestPath, ...sinkOnly);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/\n {2}not compared: what it inserts is a SELECT with a WHERE clause\n/);
  expect(stdout).toMatch(/\nNOTHING COMPARED: not compared: object\.v1 → copy\n$/);
});

test("a table that others write to as well: its rows are compared, and none is called too much", async () => {
  await using made = await filled(await bridge(UPSERT, { deleteSql: "SELECT :id" }));
  await made.destination.query(`INSERT INTO copy VALUES (${ID(1000)}, 'foreign')`);
  const { exitCode, comparisons } = await verifyJson(made.manifestPath, ...sinkOnly);
  expect([exitCode, comparisons.map(faultsOf)]).toEqual([0, [{}]]);
  expect(comparisons[0]).toMatchObject({ extra: null, keys: 50 });
  expect(comparisons[0]?.notes).toEqual(
    expect.arrayContaining([expect.stringMatching(/^extra rows are not looked for: deleteSql is no DELETE/)]),
  );
});
