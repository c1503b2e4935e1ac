import { expect, inject, test } from "vitest";
import type { RejotError } from "../../shared/errors/error.ts";
import { delay } from "../../shared/lifecycle/backoff.ts";
import type { Manifest } from "../../shared/manifest/schema.ts";
import { RegistryFront } from "../faults/harness/registry-front.ts";
import { spawnConnector } from "../support/connector.ts";
import { createDatabase } from "../support/database.ts";
import { kafkaAdmin } from "../support/kafka.ts";
import { randomName } from "../support/names.ts";
import { startSink } from "../support/running-sink.ts";
import { type SinkFixture, type SinkFixtureOptions, sinkFixture } from "../support/sink-fixture.ts";
import { waitFor } from "../support/wait-for.ts";

const SCHEMA = {
  name: "item",
  properties: { id: { type: "integer" }, label: { type: "string" } },
  required: ["id", "label"],
  key: ["id"],
  partitions: 2,
};

const fixtureOf = (
  consumer: Partial<SinkFixtureOptions["consumers"][number]> = {},
  options: Partial<SinkFixtureOptions> = {},
) =>
  sinkFixture({
    schemas: [SCHEMA],
    consumers: [
      {
        name: "items",
        schema: "item",
        sql: "INSERT INTO item (id, label) VALUES (:id, :label)",
        deleteSql: "DELETE FROM item WHERE id = :id",
        ...consumer,
      },
    ],
    sql: "CREATE TABLE item (id bigint, label text)",
    ...options,
  });

const item = (id: number) => ({ key: { id }, value: { id, label: `item ${id}` } });

const count = async (fixture: SinkFixture) =>
  Number((await fixture.database.query("SELECT count(*) AS n FROM item"))[0]?.n);

test("while the destination refuses connections the sink retries, says so, and loses and repeats nothing", async () => {
  await using fixture = await fixtureOf();
  await fixture.publish("item", [item(1), item(2)]);
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(async () => (await count(fixture)) === 2, "the first events");
  const { name } = fixture.database;
  await using outside = await createDatabase();
  await outside.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
  await outside.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND application_name LIKE '%rejot.sink%'`,
  );
  await fixture.publish("item", [item(3), item(4)]);
  await sink.eventually(async () => sink.unit().role === "retrying", "the status to show the trouble");
  expect(sink.unit().lastError?.code).toBe("POSTGRES_UNREACHABLE");
  await outside.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
  await sink.eventually(async () => (await count(fixture)) === 4, "the rest");
  // Others see the commit before the sink has its answer.
  await sink.eventually(async () => sink.unit().role === "active", "the status to show that it is over");
  expect(sink.unit().lastError).toBeNull();
  expect(await sink.sink.metrics.render()).toMatch(/rejot_sink_retries_total\{[^}]*\} [1-9]/);
});

test("a lock held at the destination is waited out and shows as a retry", async () => {
  await using fixture = await fixtureOf();
  await using sink = await startSink(fixture.manifestPath, { lockTimeoutMs: 200 });
  await sink.waitForActive();
  const blocker = await fixture.database.connect();
  await blocker.query("BEGIN; LOCK TABLE item");
  await fixture.publish("item", [item(1)]);
  await sink.eventually(
    async () => sink.unit().lastError?.code === "SINK_DESTINATION_BUSY",
    "the status to show the lock",
  );
  await blocker.query("COMMIT");
  await sink.eventually(async () => (await count(fixture)) === 1, "the event");
  await sink.eventually(async () => sink.unit().role === "active", "the status to show that it is over");
});

for (const trouble of ["away", "locked"] as const)
  test(`a stop while the destination is ${trouble} ends with 0 and blames no event`, async () => {
    await using fixture = await fixtureOf();
    await fixture.publish("item", [item(1)]);
    await using sink = await spawnConnector("sink", [fixture.manifestPath], {
      env: { REJOT_SINK_LOCK_TIMEOUT_MS: "500" },
    });
    await waitFor(async () => (await count(fixture)) === 1, { describe: "the first event" });
    const { name } = fixture.database;
    await using outside = await createDatabase();
    const blocker = await fixture.database.connect();
    if (trouble === "locked") await blocker.query("BEGIN; LOCK TABLE item");
    else {
      await outside.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
      await outside.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND application_name LIKE '%rejot.sink%'`,
      );
    }
    await fixture.publish("item", [item(2), item(3)]);
    await waitFor(async () => (await sink.status()).units[0]?.role === "retrying", {
      describe: "the status to show the trouble",
    });
    sink.signal("SIGTERM");
    expect(await sink.exited).toBe(0);
    expect(sink.logTail()).not.toContain("SINK_EVENT_FAILED");
    if (trouble === "away") await outside.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
    await blocker.query("ROLLBACK");
    await using again = await startSink(fixture.manifestPath);
    await again.eventually(async () => (await count(fixture)) === 3, "the rest");
  });

test("a column that is widened while the sink runs is noticed before an event is blamed", async () => {
  await using fixture = await fixtureOf({}, { sql: "CREATE TABLE item (id int, label text)" });
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", [item(1)]);
  await sink.eventually(async () => (await count(fixture)) === 1, "the first event");
  const { database } = fixture;
  const typedAt =
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%sink%'";
  await sink.eventually(
    async () =>
      (await database.query(`${typedAt} AND backend_start < now() - interval '2.5 s'`)).length === 1,
    "the session to be old enough to be doubted",
  );
  await database.query("ALTER TABLE item ALTER id TYPE bigint");
  await fixture.publish("item", [item(5_000_000_000)]);
  await sink.eventually(async () => (await count(fixture)) === 2, "the large number");
  await sink.eventually(async () => sink.unit().role === "active", "the status to show that it is over");
});

test("without the TEMPORARY right events are applied one by one", async () => {
  await using fixture = await fixtureOf({}, plainRole("GRANT CREATE ON DATABASE %d TO %r;"));
  await fixture.publish("item", [item(1), item(2), { key: { id: 1 }, value: null }]);
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(async () => (await count(fixture)) === 1, "the events");
  expect(sink.unit().details?.applyMode).toBe("statements");
});

test("without the right to create the progress table the error holds the SQL to run, and the SQL helps", async () => {
  await using fixture = await fixtureOf({}, plainRole(""));
  await using sink = await startSink(fixture.manifestPath);
  const failure = (await sink.failure()) as RejotError;
  expect(failure.code).toBe("SINK_PROGRESS_DENIED");
  await fixture.database.query(failure.hint.slice(failure.hint.indexOf("\n")));
  await using again = await startSink(fixture.manifestPath);
  await again.waitForActive();
});

test("the progress table of an earlier version gets its column; what it says stays true", async () => {
  const earlier = `CREATE SCHEMA rejot; CREATE TABLE rejot.progress (consumer_group text, topic text, partition int,
    next_offset bigint NOT NULL, position text, updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, partition));`;
  await using denied = await fixtureOf(
    {},
    plainRole(`${earlier} GRANT USAGE ON SCHEMA rejot TO %r; GRANT ALL ON rejot.progress TO %r;`),
  );
  await using refused = await startSink(denied.manifestPath);
  const { code, hint } = (await refused.failure()) as RejotError;
  expect(code).toBe("SINK_PROGRESS_DENIED");
  await denied.database.query(hint.slice(hint.indexOf("\n")));
  const applied = `INSERT INTO rejot.progress SELECT '${denied.group}', '${denied.topic("item")}', p, 0
    FROM generate_series(0, 2) p`;
  await denied.database.query(applied);
  await using sink = await startSink(denied.manifestPath);
  await denied.publish("item", [item(1)]);
  await sink.eventually(async () => (await count(denied)) === 1, "the event");
  const [{ consumers } = {}] = await denied.database.query(
    "SELECT consumers FROM rejot.progress WHERE consumers IS NOT NULL",
  );
  expect(consumers).toBe('{"fixture/items": null}');

  await using fixture = await fixtureOf();
  await fixture.database.query(earlier);
  await using owner = await startSink(fixture.manifestPath);
  await fixture.publish("item", [item(1)]);
  await owner.eventually(async () => (await count(fixture)) === 1, "the event");
});

test("statements that cannot work end the sink at once with a code", async () => {
  const failureOf = async (consumer: Parameters<typeof fixtureOf>[0]): Promise<RejotError> => {
    await using fixture = await fixtureOf(consumer);
    try {
      await using sink = await startSink(fixture.manifestPath);
      return (await sink.failure()) as RejotError;
    } catch (error) {
      return error as RejotError;
    }
  };
  const missingColumn = await failureOf({ sql: "INSERT INTO item (id, colour) VALUES (:id, :label)" });
  expect(missingColumn.code).toBe("SINK_SQL_REJECTED");
  expect(missingColumn.message).toContain("colour");
  expect((await failureOf({ sql: "INSERT INTO item (id) VALUES (:idd)" })).code).toBe(
    "SQL_PLACEHOLDER_UNKNOWN",
  );
  expect((await failureOf({ deleteSql: "DELETE FROM item WHERE label = :label" })).code).toBe(
    "SQL_PLACEHOLDER_UNKNOWN",
  );
  expect((await failureOf({ sql: "TRUNCATE item" })).code).toBe("SINK_SQL_NOT_SUPPORTED");
  expect((await failureOf({ sql: "INSERT INTO" })).code).toBe("SQL_DOES_NOT_PARSE");
});

/** Below the time after which the registry counts as unreachable. */
const ANSWER_MS = 8_000;

/** Leaves the public schemas to the registry. */
const alone = (manifest: Manifest): void => {
  manifest.slug = "reader";
  delete manifest.publicSchemas;
};

test("a public schema that only the registry knows is read, and placeholders are checked against it", async () => {
  await using good = await fixtureOf({}, { adapt: alone });
  await good.publish("item", [item(1), item(2), { key: { id: 1 }, value: null }]);
  await using sink = await startSink(good.manifestPath);
  await sink.eventually(async () => (await count(good)) === 1, "the events");

  await using bad = await fixtureOf({ sql: "INSERT INTO item (id) VALUES (:idd)" }, { adapt: alone });
  await bad.publish("item", [item(1)]);
  await using broken = await startSink(bad.manifestPath);
  const failure = (await broken.failure()) as RejotError;
  expect(failure.code).toBe("SQL_PLACEHOLDER_UNKNOWN");
  expect(failure.message).toContain(":idd; there is :id, :label");
});

test("a sink that is stopped while it asks the registry ends before it has an answer", async () => {
  await using front = await RegistryFront.start(inject("stack").registryUrl);
  await using fixture = await fixtureOf(
    {},
    {
      adapt: (manifest) => {
        alone(manifest);
        for (const { config } of manifest.connections ?? [])
          if (config.connectionType === "kafka") config.schemaRegistry.url = front.url;
      },
    },
  );
  front.mood = { delayMs: ANSWER_MS };
  const { sink, eventually } = await startSink(fixture.manifestPath);
  await eventually(async () => front.faulted > 0, "the sink to ask");
  const stopped = sink.stop().then(() => "stopped");
  const answered = delay(ANSWER_MS).then(() => "answered");
  expect(await Promise.race([stopped, answered])).toBe("stopped");
});

test("a topic that does not exist yet is waited for, then read from its beginning", async () => {
  await using fixture = await fixtureOf({}, { withoutTopics: true });
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(
    async () => (sink.unit().details?.waitingForTopics as string[] | undefined)?.length === 1,
    "the status to name the topic",
  );
  await fixture.createTopics();
  await fixture.publish("item", [item(1)]);
  await sink.eventually(async () => (await count(fixture)) === 1, "the event");
  expect(sink.unit().details?.waitingForTopics).toEqual([]);
});

test("partitions that are added to a topic are read", async () => {
  await using fixture = await fixtureOf();
  await using sink = await startSink(fixture.manifestPath);
  await fixture.publish("item", [item(1)]);
  await sink.eventually(async () => (await count(fixture)) === 1, "the first event");
  await using admin = await kafkaAdmin();
  await admin.createPartitions({ topicPartitions: [{ topic: fixture.topic("item"), count: 4 }] });
  await sink.eventually(
    async () => (sink.unit().details?.partitions as unknown[] | undefined)?.length === 4,
    "the new partitions",
  );
  // A producer of its own: one that knows of two partitions only would drop the event without a word.
  await fixture.publish("item", [{ ...item(2), partition: 3 }], { transactional: false });
  await sink.eventually(async () => (await count(fixture)) === 2, "the event of a new partition");
});

/** Deletes the topic and makes it again, empty. */
async function makeAnew(fixture: SinkFixture): Promise<void> {
  await fixture.admin.deleteTopics({ topics: [fixture.topic("item")] });
  await using admin = await kafkaAdmin();
  await waitFor(async () => !(await admin.listTopics()).includes(fixture.topic("item")), {
    describe: "the topic to be gone",
  });
  // While brokers still forget the old one, creating it may fail.
  await waitFor(() => fixture.createTopics().then(() => true), { describe: "the topic to be created anew" });
}

test("a topic that was created anew is refused, not skipped over", async () => {
  await using fixture = await fixtureOf();
  await fixture.publish("item", [item(1), item(2), item(3), item(4)]);
  {
    await using sink = await startSink(fixture.manifestPath);
    await sink.eventually(async () => (await count(fixture)) === 4, "the events");
  }
  await makeAnew(fixture);
  await using again = await startSink(fixture.manifestPath);
  const failure = (await again.failure()) as RejotError;
  expect(failure.code).toBe("SINK_TOPIC_RECREATED");
  expect(failure.message).toContain(fixture.topic("item"));
});

test("a topic that was created anew and has grown beyond the place is refused, not read on in", async () => {
  await using fixture = await fixtureOf();
  await fixture.publish("item", [item(1), item(2), item(3), item(4)]);
  {
    await using sink = await startSink(fixture.manifestPath);
    await sink.eventually(async () => (await count(fixture)) === 4, "the events");
  }
  await makeAnew(fixture);
  const others = Array.from({ length: 40 }, (_, i) => item(100 + i));
  // A producer of its own: the other one has the old topic in mind.
  await fixture.publish("item", others, { transactional: false });
  await using again = await startSink(fixture.manifestPath);
  const failure = (await again.failure()) as RejotError;
  expect(failure.code).toBe("SINK_TOPIC_RECREATED");
  expect(failure.message).toContain(`${fixture.topic("item")} partition`);
  expect(await count(fixture)).toBe(4);
});

test("an event that was passed over by hand does not make its topic another one", async () => {
  await using fixture = await fixtureOf({}, { schemas: [{ ...SCHEMA, partitions: 1 }] });
  await fixture.publish("item", [item(1), item(2)]);
  {
    await using sink = await startSink(fixture.manifestPath);
    await sink.eventually(async () => (await count(fixture)) === 2, "the events");
  }
  await fixture.publish("item", [item(3)]);
  await fixture.publish("item", [item(4)]);
  await fixture.database.query("UPDATE rejot.progress SET next_offset = 4 WHERE next_offset = 3");
  await using sink = await startSink(fixture.manifestPath);
  await sink.eventually(async () => (await count(fixture)) === 3, "the last event");
  const ids = await fixture.database.query("SELECT id FROM item ORDER BY id");
  expect(ids.map(({ id }) => Number(id))).toEqual([1, 2, 4]);
});

test("one destination that fails does not hold up another", async () => {
  await using fixture = await fixtureOf(
    {},
    {
      consumers: [
        { name: "good", schema: "item", sql: "INSERT INTO item VALUES (:id, :label)" },
        { name: "bad", schema: "item", sql: "INSERT INTO item VALUES (:id, :label, 1)" },
      ],
      adapt: (manifest) => {
        const [destination] = manifest.connections ?? [];
        if (destination === undefined) throw new Error("no connection");
        manifest.connections?.push({ ...destination, slug: "other" });
        manifest.dataStores?.push({ connectionSlug: "other" });
        const bad = manifest.consumerSchemas?.[1];
        if (bad !== undefined) bad.config.destinationDataStoreSlug = "other";
      },
    },
  );
  await using sink = await startSink(fixture.manifestPath).then((running) => ({
    ...running,
    // Stopping throws what made one destination fail.
    [Symbol.asyncDispose]: () => expect(running.sink.stop()).rejects.toThrow("fixture/bad"),
  }));
  await fixture.publish("item", [item(1)]);
  await sink.eventually(async () => (await count(fixture)) === 1, "the good destination's event");
  expect(sink.status().units.map((unit) => unit.role)).toEqual(["active", "failed"]);
});

/** Has the sink log in as a role that may do nothing but write to the table, and what the grants add. */
function plainRole(grants: string): Partial<SinkFixtureOptions> {
  const role = randomName("role");
  return {
    sql: `CREATE TABLE item (id bigint, label text); CREATE ROLE ${role} LOGIN PASSWORD 'plain';
      GRANT ALL ON item TO ${role};
      DO $$ BEGIN
        EXECUTE replace(replace('REVOKE TEMPORARY ON DATABASE %d FROM PUBLIC; ${grants}', '%d', current_database()),
                        '%r', '${role}');
      END $$`,
    adapt: (manifest) => {
      const config = manifest.connections?.[0]?.config;
      if (config?.connectionType === "postgres") Object.assign(config, { user: role, password: "plain" });
    },
  };
}
