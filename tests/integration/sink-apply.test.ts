import { expect, test } from "vitest";
import { startSink } from "../support/running-sink.ts";
import { sinkFixture } from "../support/sink-fixture.ts";

const PERSON = {
  name: "person",
  properties: {
    id: { type: "integer" },
    name: { type: "string" },
    tags: { type: "array", items: { type: "string" } },
    detail: {},
    balance: { type: "number" },
    nickname: { type: "string" },
  },
  required: ["id", "name", "tags", "detail", "balance"],
  key: ["id"],
};

const person = (id: number, name: string, nickname: string | null = null) => ({
  key: { id },
  value: { id, name, tags: ["a b", 'c"d'], detail: '{"k":[1,2]}', balance: 1.5, nickname },
});

const PERSON_SQL = `INSERT INTO person (id, name, code, tags, detail, balance, nickname)
  VALUES (:id, :name, :name, :tags, :detail, :balance, :nickname)
  ON CONFLICT (id) DO UPDATE SET name = :name, code = :name, tags = :tags, detail = :detail, balance = :balance,
    nickname = :nickname -- a comment; at the end`;

const EVENTS_TOTAL = /^rejot_sink_events_total\{.*\} (\d+)$/m;

const PERSON_TABLE = `CREATE TABLE person (id bigint PRIMARY KEY, name varchar(40) NOT NULL, code char(8),
  tags text[], detail jsonb, balance numeric, nickname text)`;

test("upserts and deletes arrive, every type as it was published", async () => {
  await using fixture = await sinkFixture({
    schemas: [PERSON],
    consumers: [
      { name: "people", schema: "person", sql: PERSON_SQL, deleteSql: "DELETE FROM person WHERE id = :id" },
    ],
    sql: PERSON_TABLE,
  });
  await fixture.publish("person", [person(1, "Ada"), person(2, "Bob", "bobby"), person(3, "Cyd")]);
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("person", [person(1, "Ada II"), { key: { id: 3 }, value: null }]);
  const expected = [
    { id: "1", name: "Ada II", code: "Ada II  ", tag: 'c"d', k: "2", balance: "1.5", nickname: null },
    { id: "2", name: "Bob", code: "Bob     ", tag: 'c"d', k: "2", balance: "1.5", nickname: "bobby" },
  ];
  const applied = async (): Promise<number> =>
    Number((await sink.sink.metrics.render()).match(EVENTS_TOTAL)?.[1]);
  await sink.eventually(async () => (await applied()) === 5, "five events");
  const rows = await fixture.database.query(
    "SELECT id, name, code, tags[2] AS tag, detail->'k'->>1 AS k, balance, nickname FROM person ORDER BY id",
  );
  expect(rows).toEqual(expected);
  expect(sink.unit().details?.applyMode).toBe("function");
});

test("several consumer schemas of one topic run in the manifest's order for each event", async () => {
  await using fixture = await sinkFixture({
    schemas: [PERSON],
    consumers: [
      { name: "first", schema: "person", sql: "INSERT INTO log (what) VALUES ('first ' || :name)" },
      { name: "second", schema: "person", sql: "INSERT INTO log (what) VALUES ('second ' || :name)" },
    ],
    sql: "CREATE TABLE log (n bigint GENERATED ALWAYS AS IDENTITY, what text)",
  });
  await fixture.publish("person", [
    { ...person(1, "a"), partition: 0 },
    { ...person(2, "b"), partition: 0 },
  ]);
  await using sink = await startSink(fixture.manifestPath);
  const rows = await sink.eventually(async () => {
    const found = await fixture.database.query("SELECT what FROM log ORDER BY n");
    return found.length === 4 ? found : undefined;
  }, "the rows");
  expect(rows.map((row) => row.what)).toEqual(["first a", "second a", "first b", "second b"]);
});

test("statements that return rows run: SELECT of a function, RETURNING, WITH, MERGE", async () => {
  await using fixture = await sinkFixture({
    schemas: [PERSON],
    consumers: [
      { name: "select", schema: "person", sql: "SELECT note('select', :name)" },
      {
        name: "returning",
        schema: "person",
        sql: "INSERT INTO log VALUES ('returning', :name) RETURNING what",
      },
      {
        name: "with",
        schema: "person",
        sql: "WITH x AS (INSERT INTO log VALUES ('with', :name) RETURNING *) SELECT count(*) FROM x;",
      },
      {
        name: "merge",
        schema: "person",
        sql: `MERGE INTO log USING (VALUES (:name)) AS v(name) ON log.what = 'merge' AND log.name = v.name
              WHEN NOT MATCHED THEN INSERT VALUES ('merge', v.name)`,
      },
      { name: "update", schema: "person", sql: "UPDATE log SET name = upper(name) WHERE name = $2" },
    ],
    sql: `CREATE TABLE log (what text, name text);
      CREATE FUNCTION note(what text, name text) RETURNS SETOF int LANGUAGE sql AS
        $$ INSERT INTO log VALUES (what, name) RETURNING 1 $$`,
  });
  await fixture.publish("person", [person(1, "ada")]);
  await using sink = await startSink(fixture.manifestPath);
  const rows = await sink.eventually(async () => {
    const found = await fixture.database.query("SELECT what, name FROM log ORDER BY what");
    return found.length >= 4 ? found : undefined;
  }, "the rows");
  expect(rows).toEqual([
    { what: "merge", name: "ADA" },
    { what: "returning", name: "ADA" },
    { what: "select", name: "ADA" },
    { what: "with", name: "ADA" },
  ]);
});

test("no name of a table, column or field collides with the names the sink uses", async () => {
  await using fixture = await sinkFixture({
    schemas: [
      {
        name: "odd",
        properties: { id: { type: "integer" }, found: { type: "string" }, _rejot_i: { type: "string" } },
        required: ["id", "found", "_rejot_i"],
        key: ["id"],
      },
    ],
    consumers: [
      {
        name: "odd",
        schema: "odd",
        sql: `INSERT INTO _rejot_values (id, found, sqlstate, _rejot_at, _rejot_base, _rejot_v0_1)
          VALUES (:id, :found, :_rejot_i, :found, :found, :found) ON CONFLICT (id) DO UPDATE
          SET found = _rejot_values.found || :found, _rejot_at = _rejot_values._rejot_v0_1 || :_rejot_i`,
      },
    ],
    sql: `CREATE TABLE _rejot_values (id bigint PRIMARY KEY, found text, sqlstate text, _rejot_at text,
      _rejot_base text, _rejot_v0_1 text)`,
  });
  const event = (found: string) => ({ key: { id: 1 }, value: { id: 1, found, _rejot_i: "i" } });
  await fixture.publish("odd", [event("a"), event("b")]);
  await using sink = await startSink(fixture.manifestPath);
  const rows = await sink.eventually(async () => {
    const found = await fixture.database.query("SELECT * FROM _rejot_values");
    return found[0]?.found === "ab" ? found : undefined;
  }, "the rows");
  expect(rows[0]).toEqual({
    id: "1",
    found: "ab",
    sqlstate: "i",
    _rejot_at: "ai",
    _rejot_base: "a",
    _rejot_v0_1: "a",
  });
});

test("an ignored delete moves on, and what a publisher without transactions repeats is left out", async () => {
  await using fixture = await sinkFixture({
    schemas: [{ ...PERSON, partitions: 1 }],
    consumers: [
      { name: "log", schema: "person", sql: "INSERT INTO log (name) VALUES (:name)", deletes: "ignore" },
    ],
    sql: "CREATE TABLE log (n bigint GENERATED ALWAYS AS IDENTITY, name text)",
  });
  await fixture.publish("person", [person(1, "a"), person(2, "b")], {
    transactional: false,
    commitLsn: 100n,
  });
  await using sink = await startSink(fixture.manifestPath);
  const names = async () =>
    (await fixture.database.query("SELECT name FROM log ORDER BY n")).map((r) => r.name);
  await sink.eventually(async () => (await names()).length === 2, "the first events");
  // As after a crash: the same transaction again, then what follows it.
  await fixture.publish("person", [person(1, "a"), person(2, "b"), person(3, "c")], {
    transactional: false,
    commitLsn: 100n,
  });
  await fixture.publish("person", [{ key: { id: 1 }, value: null }, person(4, "d")], {
    transactional: false,
    commitLsn: 108n,
  });
  await sink.eventually(async () => (await names()).includes("d"), "the last event");
  expect(await names()).toEqual(["a", "b", "c", "d"]);
});
