import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
// Node finds no export of this name in the CommonJS module.
import kafkajs from "kafkajs";
import { expect, test } from "vitest";
import { deadLetterTopic } from "../../shared/kafka/naming.ts";
import {
  deadLetters,
  item,
  itemFixture,
  lettersOf,
  UPSERT,
  waitUntilPassed,
} from "../support/dead-letters.ts";
import { plainKafka, readTopic } from "../support/kafka.ts";
import { startSink } from "../support/running-sink.ts";
import type { FixtureConsumer, SinkFixture } from "../support/sink-fixture.ts";
import { waitFor } from "../support/wait-for.ts";

const CLI = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

/** A statement that shows every event that is applied twice, never, or out of order. Event `n` 5 waits at a gate. */
const ADDING: FixtureConsumer = {
  name: "adding",
  schema: "item",
  onError: "dlq",
  sql: "INSERT INTO log (id, n) SELECT :id, :n FROM gate(:n)",
  deletes: "ignore",
};

const GATE = 42;
const LOG_SQL = `CREATE TABLE log (seq bigint GENERATED ALWAYS AS IDENTITY, id bigint NOT NULL,
    n int NOT NULL CONSTRAINT odd CHECK (n % 2 = 1));
  CREATE FUNCTION gate(n int) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN IF n = 5 * 2 THEN PERFORM pg_advisory_xact_lock(${GATE}); END IF; END $$`;

const state = async (fixture: SinkFixture) =>
  Object.fromEntries(
    (await fixture.database.query("SELECT id, n FROM item ORDER BY id")).map((r) => [r.id, r.n]),
  );

/** Lets a sink apply and set aside everything published so far. */
async function pass(fixture: SinkFixture): Promise<void> {
  await using sink = await startSink(fixture.manifestPath);
  await waitUntilPassed(fixture, sink);
}

const replay = async (fixture: SinkFixture, ...args: readonly string[]) => {
  const result = await deadLetters(fixture, "replay", "--json", ...args);
  const [answer] = JSON.parse(result.stdout) as [Record<string, unknown>];
  const { applied, superseded, failed, settled, unpassed } = answer;
  return {
    exitCode: result.exitCode,
    counts: { applied, superseded, failed, heldBack: answer["held-back"], settled, unpassed },
    letters: answer.letters as { id: string; outcome: string; by?: number; error?: { message: string } }[],
  };
};

const counts = (given: object) => ({
  applied: 0,
  superseded: 0,
  failed: 0,
  heldBack: 0,
  settled: 0,
  unpassed: 0,
  ...given,
});

test("a repaired constraint: letters are applied once, in the order of their key, and then settled", async () => {
  await using fixture = await itemFixture();
  await fixture.publish("item", [item(1, 1), item(2, -2), item(3, -3), item(2, -20), item(4, 4)]);
  await pass(fixture);
  expect(await replay(fixture, "--all")).toMatchObject({
    exitCode: 1,
    counts: counts({ failed: 2, heldBack: 1 }),
    letters: [
      { outcome: "failed", error: { message: expect.stringContaining("positive") } },
      { outcome: "failed" },
      { outcome: "held-back", behind: 1 },
    ],
  });
  const topic = fixture.topic("item");
  expect((await deadLetters(fixture, "show", `${topic}/0/1`)).stdout).toMatch(
    /last replay +DEAD_LETTER_FAILED/,
  );
  await fixture.database.query("ALTER TABLE item DROP CONSTRAINT positive");
  expect(await replay(fixture, "--all", "--dry-run")).toMatchObject({
    exitCode: 0,
    counts: counts({ applied: 3 }),
  });
  expect(await state(fixture)).toEqual({ 1: "1", 4: "4" });
  expect(await replay(fixture, `${topic}/0/3`)).toMatchObject({
    exitCode: 1,
    counts: counts({ heldBack: 1 }),
  });
  expect(await replay(fixture, "--all")).toMatchObject({ exitCode: 0, counts: counts({ applied: 3 }) });
  expect(await state(fixture)).toEqual({ 1: "1", 2: "-20", 3: "-3", 4: "4" });
  expect(await lettersOf(fixture)).toEqual([]);
  expect((await lettersOf(fixture, "--all")).map((letter) => letter.state)).toEqual(
    Array(3).fill("replayed"),
  );
  expect(await replay(fixture, "--all")).toMatchObject({ exitCode: 0, counts: counts({}) });
  expect(await replay(fixture, `${topic}/0/1`)).toMatchObject({
    exitCode: 0,
    counts: counts({ settled: 1 }),
  });
});

test("what a newer event has replaced is not applied: no row goes back in time, none comes back to life", async () => {
  await using fixture = await itemFixture();
  await fixture.publish("item", [item(1, -1), item(2, -2), item(3, -3), item(4, 4), item(5, -5)]);
  await fixture.publish("item", [item(1, 10), item(2), item(4, -4), item(5, -50)]);
  await pass(fixture);
  await fixture.database.query("ALTER TABLE item DROP CONSTRAINT positive");
  // The records of keys 1 to 3 are taken away, as compaction would after newer ones.
  const topic = fixture.topic("item");
  await fixture.admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: kafkajs.ConfigResourceTypes.TOPIC,
        name: topic,
        configEntries: [{ name: "cleanup.policy", value: "delete" }],
      },
    ],
  });
  await fixture.admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "3" }] });
  const expected = {
    exitCode: 0,
    counts: counts({ applied: 3, superseded: 3 }),
    letters: [
      { outcome: "superseded", by: null },
      { outcome: "superseded", by: null },
      { outcome: "superseded", by: null },
      { outcome: "applied" },
      { outcome: "applied" },
      { outcome: "applied" },
    ],
  };
  expect(await replay(fixture, "--all", "--dry-run")).toMatchObject(expected);
  expect(await replay(fixture, "--all")).toMatchObject(expected);
  expect(await state(fixture)).toEqual({ 1: "10", 4: "-4", 5: "-50" });
});

test("a newer event and a newer tombstone are named; a letter of an ignored tombstone's key is still wanted", async () => {
  const keeping = { ...UPSERT, name: "keeping", deletes: "ignore" as const };
  delete (keeping as { deleteSql?: string }).deleteSql;
  keeping.sql = "INSERT INTO kept VALUES (:id, :n) ON CONFLICT (id) DO UPDATE SET n = :n";
  await using fixture = await itemFixture(
    [UPSERT, keeping],
    `CREATE TABLE item (id bigint PRIMARY KEY, n int CONSTRAINT positive CHECK (n > 0));
     CREATE TABLE kept (id bigint PRIMARY KEY, n int CONSTRAINT positive CHECK (n > 0))`,
  );
  await fixture.publish("item", [item(1, -1), item(2, -2)]);
  await fixture.publish("item", [item(1, 10), item(2)]);
  await pass(fixture);
  await fixture.database.query(
    "ALTER TABLE item DROP CONSTRAINT positive; ALTER TABLE kept DROP CONSTRAINT positive",
  );
  expect(await replay(fixture, "--all", "--schema", "items")).toMatchObject({
    letters: [
      { outcome: "superseded", by: 3 },
      { outcome: "superseded", by: 4 },
    ],
  });
  expect(await replay(fixture, "--all")).toMatchObject({
    letters: [{ outcome: "superseded", by: 3 }, { outcome: "applied" }],
  });
  expect(await state(fixture)).toEqual({ 1: "10" });
  expect(await fixture.database.query("SELECT id, n FROM kept ORDER BY id")).toEqual([
    { id: "1", n: "10" },
    { id: "2", n: "-2" },
  ]);
});

test("SQL that adds: through dead letters and replays that are killed and repeated, every event counts once", async () => {
  await using fixture = await itemFixture([ADDING], LOG_SQL, 2);
  const events = Array.from({ length: 40 }, (_, i) => item(i % 4, i));
  await fixture.publish("item", events);
  await pass(fixture);
  expect(await lettersOf(fixture)).toHaveLength(20);
  await fixture.database.query("ALTER TABLE log DROP CONSTRAINT odd");

  // Killed while an event is applied and not committed, others of its partition are done.
  const holder = await fixture.database.connect();
  await holder.query(`SELECT pg_advisory_lock(${GATE})`);
  const args = ["dead-letters", "replay", fixture.manifestPath, "--all", "--even-if-superseded"];
  const child = spawn(process.execPath, [CLI, ...args], { stdio: "ignore" });
  await waitFor(
    async () =>
      (await fixture.database.query("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        .length > 0,
    { describe: "the replay to be in the middle of an event", timeoutMs: 30_000 },
  );
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  await holder.query(`SELECT pg_advisory_unlock(${GATE})`);
  expect((await lettersOf(fixture)).length).toBeGreaterThan(0);

  // Two people at once, and one more afterwards.
  const both = await Promise.all([
    replay(fixture, "--all", "--even-if-superseded"),
    replay(fixture, "--all", "--even-if-superseded"),
  ]);
  expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  expect(await replay(fixture, "--all", "--even-if-superseded")).toMatchObject({ counts: counts({}) });
  const [row] = await fixture.database.query(
    "SELECT count(*) AS events, count(DISTINCT n) AS different FROM log",
  );
  expect(row).toEqual({ events: "40", different: "40" });
  const order = await fixture.database.query(
    `SELECT FROM (SELECT id, n, lag(n) OVER (PARTITION BY id ORDER BY seq) AS before FROM log WHERE n % 2 = 0) x
     WHERE before > n`,
  );
  expect(order).toEqual([]);
});

test("what was called superseded before can still be applied by those who want every event", async () => {
  await using fixture = await itemFixture([ADDING], LOG_SQL);
  await fixture.publish("item", [item(1, 2), item(1, 3)]);
  await pass(fixture);
  await fixture.database.query("ALTER TABLE log DROP CONSTRAINT odd");
  expect(await replay(fixture, "--all")).toMatchObject({ counts: counts({ superseded: 1 }) });
  expect(await replay(fixture, "--all")).toMatchObject({ counts: counts({}) });
  expect(await replay(fixture, "--all", "--even-if-superseded")).toMatchObject({
    counts: counts({ applied: 1 }),
  });
  expect(await replay(fixture, "--all", "--even-if-superseded")).toMatchObject({ counts: counts({}) });
  expect(await fixture.database.query("SELECT n FROM log ORDER BY seq")).toEqual([{ n: "3" }, { n: "2" }]);
});

test("replays while the sink applies newer events of the same keys: no row ever goes back in time", async () => {
  await using fixture = await itemFixture(
    [UPSERT],
    `CREATE TABLE item (id bigint PRIMARY KEY, n int NOT NULL);
     CREATE TABLE poison (on_purpose boolean NOT NULL DEFAULT true); INSERT INTO poison DEFAULT VALUES;
     CREATE TABLE regress (id bigint, was int, became int);
     CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF new.n % 7 = 3 AND (SELECT on_purpose FROM poison) THEN RAISE EXCEPTION 'poison'; END IF;
       IF tg_op = 'UPDATE' AND old.n > new.n THEN INSERT INTO regress VALUES (new.id, old.n, new.n); END IF;
       RETURN new; END $$;
     CREATE TRIGGER watch BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION watch()`,
    2,
  );
  const KEYS = 6;
  let published = 0;
  const publish = (count: number) =>
    fixture.publish(
      "item",
      Array.from({ length: count }, () => item(published % KEYS, ++published)),
    );
  await using sink = await startSink(fixture.manifestPath, { maxRows: 5 });
  for (let round = 0; round < 12; round++) {
    await fixture.database.query("UPDATE poison SET on_purpose = true");
    await publish(25);
    await sink.eventually(async () => (await lettersOf(fixture)).length > 0, "letters");
    await fixture.database.query("UPDATE poison SET on_purpose = false");
    await Promise.all([replay(fixture, "--all"), publish(25)]);
  }
  await waitUntilPassed(fixture, sink);
  expect(await replay(fixture, "--all")).toMatchObject({ exitCode: 0 });
  expect(await lettersOf(fixture)).toEqual([]);
  expect(await fixture.database.query("TABLE regress")).toEqual([]);
  const last = Object.fromEntries(
    Array.from({ length: KEYS }, (_, i) => [(published - 1 - i) % KEYS, published - i]),
  );
  expect(await state(fixture)).toEqual(
    Object.fromEntries(Object.entries(last).map(([id, n]) => [id, String(n)])),
  );
});

/** Sessions of the database that wait for a lock of any kind. */
const waiting = async (fixture: SinkFixture) =>
  (
    await fixture.database.query(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
  ).length;

test("a replay in the middle of an event holds up the sink and other replays: nothing passes it, nothing repeats it", async () => {
  const sql = "INSERT INTO item SELECT :id, :n FROM gate(:n) ON CONFLICT (id) DO UPDATE SET n = :n";
  await using fixture = await itemFixture(
    [ADDING, { ...UPSERT, sql }],
    `${LOG_SQL}; CREATE TABLE item (id bigint PRIMARY KEY, n int CONSTRAINT odd CHECK (n % 2 = 1))`,
  );
  await fixture.publish("item", [item(1, 10), item(2, 2)]);
  await using sink = await startSink(fixture.manifestPath);
  const holder = await fixture.database.connect();
  await waitUntilPassed(fixture, sink);
  await fixture.database.query("ALTER TABLE log DROP CONSTRAINT odd; ALTER TABLE item DROP CONSTRAINT odd");
  await holder.query(`SELECT pg_advisory_lock(${GATE})`);
  const replays = [replay(fixture, "--all"), replay(fixture, "--all")];
  await waitFor(async () => (await waiting(fixture)) === 2, {
    describe: "one replay to be in the middle of an event, the other to wait for it",
    timeoutMs: 30_000,
  });
  await fixture.publish("item", [item(1, 101)]);
  await sink.eventually(
    async () => (await waiting(fixture)) === 3 || (await state(fixture))[1] === "101",
    "the sink to meet a newer event of the key",
  );
  await holder.query(`SELECT pg_advisory_unlock(${GATE})`);
  for (const each of replays) expect((await each).exitCode).toBe(0);
  await waitUntilPassed(fixture, sink);
  expect(await state(fixture)).toEqual({ 1: "101", 2: "2" });
  expect(await fixture.database.query("SELECT id, n FROM log ORDER BY n")).toEqual([
    { id: "2", n: "2" },
    { id: "1", n: "10" },
    { id: "1", n: "101" },
  ]);
});

test("a letter that is in its topic twice is listed and applied once", async () => {
  await using fixture = await itemFixture([ADDING], LOG_SQL);
  await fixture.publish("item", [item(1, 2), item(2, 4)]);
  await pass(fixture);
  const topic = deadLetterTopic(fixture.topic("item"), fixture.group);
  const producer = plainKafka().producer();
  await producer.connect();
  for (const { rawKey, rawValue, headers } of await readTopic(topic, { registryUrl: null }))
    await producer.send({ topic, messages: [{ key: rawKey, value: rawValue, headers }] });
  await producer.disconnect();
  expect(await lettersOf(fixture)).toHaveLength(2);
  await fixture.database.query("ALTER TABLE log DROP CONSTRAINT odd");
  expect(await replay(fixture, "--all")).toMatchObject({ counts: counts({ applied: 2 }) });
  expect(await fixture.database.query("SELECT n FROM log ORDER BY seq")).toEqual([{ n: "2" }, { n: "4" }]);
});

test("a destination that is set back applies by itself what its letters were for", async () => {
  await using fixture = await itemFixture([ADDING], LOG_SQL);
  await fixture.publish("item", [item(1, 1), item(2, 2), item(3, 4)]);
  await pass(fixture);
  await fixture.database.query("ALTER TABLE log DROP CONSTRAINT odd");
  expect(await replay(fixture, `${fixture.topic("item")}/0/1`)).toMatchObject({
    counts: counts({ applied: 1 }),
  });
  await fixture.database.query("UPDATE rejot.progress SET next_offset = 0; TRUNCATE log");
  expect(await replay(fixture, "--all")).toMatchObject({ exitCode: 0, counts: counts({ unpassed: 1 }) });
  await pass(fixture);
  expect(await lettersOf(fixture, "--all")).toEqual([]);
  expect(await replay(fixture, "--all")).toMatchObject({ counts: counts({}) });
  expect(await fixture.database.query("SELECT n FROM log ORDER BY seq")).toEqual([
    { n: "1" },
    { n: "2" },
    { n: "4" },
  ]);
});
