import { expect, test } from "vitest";
import { createLogger } from "../../shared/observability/logger.ts";
import { parseTemplate } from "../../shared/postgres/sql/template.ts";
import { consumerPlaces } from "../../sink-connector/applier/consumer-places.ts";
import { PostgresSession } from "../../sink-connector/applier/postgres-session.ts";
import {
  CallFailed,
  type ConsumerPlaces,
  type EventBatch,
  type ProgressMove,
  type SinkEvent,
} from "../../sink-connector/ports.ts";
import { createDatabase, type TestDatabase } from "../support/database.ts";
import { placesRow } from "../support/places.ts";
import { waitFor } from "../support/wait-for.ts";

const TOPIC = "t";

async function openSession(database: TestDatabase, user?: { user: string; password: string }) {
  const statements = [
    {
      consumerName: "test/adding",
      purpose: "sql" as const,
      template: await parseTemplate("INSERT INTO log (what) VALUES (:what)"),
    },
  ];
  const session = await PostgresSession.open({
    connection: { ...database.connection, ...user },
    group: "g",
    statements,
    consumers: [{ name: CONSUMER, topic: TOPIC }],
    keepsLetters: false,
    lockTimeoutMs: 10_000,
    applyTimeoutMs: 30_000,
    logger: createLogger("test"),
  });
  return Object.assign(session, { [Symbol.asyncDispose]: () => session.close() });
}

const event = (offset: number, what: string | null): SinkEvent => ({
  topic: TOPIC,
  partition: 0,
  record: { offset, key: null, value: null, timestampMs: 0, change: undefined, transactional: true },
  calls: [{ statement: 0, values: [what] }],
  failures: [],
});

const CONSUMER = "fixture/consumer";

const inStep = (nextOffset: number, position: string | null = null) =>
  consumerPlaces(placesRow(nextOffset, { position, consumers: { [CONSUMER]: null } }), [CONSUMER], 0);

const batch = (expectedOffset: number, ...texts: (string | null)[]): EventBatch => ({
  events: texts.map((what, i) => event(expectedOffset + i, what)),
  moves: [
    {
      topic: TOPIC,
      partition: 0,
      nextOffset: expectedOffset + texts.length,
      from: inStep(expectedOffset),
      places: inStep(expectedOffset + texts.length, "0/1:0"),
    },
  ],
});

const BOUNDS = [{ topic: TOPIC, partition: 0, firstOffset: 0, endOffset: 0 }];

const lines = async (database: TestDatabase) =>
  (await database.query("SELECT what FROM log ORDER BY n")).map((row) => row.what);

const TABLE = "CREATE TABLE log (n bigint GENERATED ALWAYS AS IDENTITY, what text NOT NULL)";

for (const mode of ["function", "statements"] as const) {
  test(`a write that expects another progress changes nothing (${mode})`, async () => {
    await using database = await createDatabase({ sql: TABLE });
    const role = await withoutTemp(database, mode);
    await using session = await openSession(database, role);
    expect(session.mode).toBe(mode);
    await session.progress(BOUNDS);
    expect(await session.write(batch(0, "a", "b"))).toBe("applied");
    expect(await session.write(batch(0, "a", "b"))).toBe("stale");
    expect(await session.write(batch(1, "b"))).toBe("stale");
    expect(await session.write(batch(3, "d"))).toBe("stale");
    const consumers = { [CONSUMER]: null };
    expect(await session.progress(BOUNDS)).toMatchObject([
      {
        topic: TOPIC,
        partition: 0,
        nextOffset: 2,
        places: { row: { nextOffset: 2, position: "0/1:0", consumers } },
      },
    ]);
    expect(await lines(database)).toEqual(["a", "b"]);
  });

  test(`a write that expects other consumer schemas at their place changes nothing (${mode})`, async () => {
    await using database = await createDatabase({ sql: TABLE });
    await using session = await openSession(database, await withoutTemp(database, mode));
    await session.progress(BOUNDS);
    await database.query(`UPDATE rejot.progress SET consumers = consumers || '{"fixture/other": null}'`);
    expect(await session.write(batch(0, "a"))).toBe("stale");
    const [progress] = await session.progress(BOUNDS);
    const from = progress?.places as ConsumerPlaces;
    const [move] = batch(0, "a").moves;
    const places = from.movedTo(1, undefined);
    const aware = { ...batch(0, "a"), moves: [{ ...(move as ProgressMove), from, places }] };
    expect(await session.write(aware)).toBe("applied");
    expect(await database.query("SELECT next_offset, consumers FROM rejot.progress")).toEqual([
      { next_offset: "1", consumers: '{"fixture/other": 0, "fixture/consumer": null}' },
    ]);
  });

  test(`of two sinks that hold the same partition one writes, the other is refused (${mode})`, async () => {
    await using database = await createDatabase({ sql: TABLE });
    const role = await withoutTemp(database, mode);
    await using first = await openSession(database, role);
    await using second = await openSession(database, role);
    await first.progress(BOUNDS);
    // The lock holds the first write back after it has moved the progress, so that the second meets it in mid-flight.
    const blocker = await database.connect();
    await blocker.query("BEGIN; LOCK TABLE log IN EXCLUSIVE MODE");
    const writes = [first.write(batch(0, "first")), second.write(batch(0, "second"))];
    await waitFor(
      async () => {
        const [row] = await database.query(
          "SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())",
        );
        return row?.n === "2";
      },
      { describe: "both to wait" },
    );
    await blocker.query("COMMIT");
    expect((await Promise.all(writes)).sort()).toEqual(["applied", "stale"]);
    expect(await lines(database)).toHaveLength(1);
  });

  test(`a failing call is named, and nothing of its batch is applied (${mode})`, async () => {
    await using database = await createDatabase({ sql: TABLE });
    await using session = await openSession(database, await withoutTemp(database, mode));
    await session.progress(BOUNDS);
    const failure = await session.write(batch(0, "a", "b", null, "d")).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CallFailed);
    expect(failure).toMatchObject({ eventIndex: 2, callIndex: 0, cause: { code: "23502" } });
    expect(await lines(database)).toEqual([]);
    expect(await session.write(batch(0, "a"))).toBe("applied");
  });
}

/** A role that may not create temporary functions, where the mode asks for it. */
async function withoutTemp(database: TestDatabase, mode: "function" | "statements") {
  if (mode === "function") return undefined;
  const user = `${database.name}_plain`;
  await database.query(`CREATE ROLE ${user} LOGIN PASSWORD 'plain';
    REVOKE TEMPORARY ON DATABASE ${database.name} FROM PUBLIC;
    GRANT CREATE ON DATABASE ${database.name} TO ${user};
    GRANT ALL ON log TO ${user}`);
  return { user, password: "plain" };
}
