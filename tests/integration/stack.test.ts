import { SchemaRegistry, SchemaType } from "@kafkajs/confluent-schema-registry";
import { describe, expect, inject, test } from "vitest";
import { cloneDatabase, createDatabase } from "../support/database.ts";
import { createTopics, kafkaAdmin, plainKafka, readTopic } from "../support/kafka.ts";
import { randomName } from "../support/names.ts";
import { startProxy } from "../support/proxy.ts";

describe("the servers of the run", () => {
  test("Postgres decodes the WAL, and a database goes with its slots", async () => {
    let name: string;
    {
      await using database = await createDatabase({ sql: "CREATE TABLE t (id int PRIMARY KEY)" });
      name = database.name;
      await database.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [`slot_${name}`]);
      expect(await database.query("SHOW wal_level")).toEqual([{ wal_level: "logical" }]);
    }
    await using other = await createDatabase();
    expect(await other.query("SELECT 1 AS there FROM pg_database WHERE datname = $1", [name])).toEqual([]);
    expect(
      await other.query("SELECT 1 AS there FROM pg_replication_slots WHERE slot_name = $1", [`slot_${name}`]),
    ).toEqual([]);
  });

  test("a database is cloned from a template that is made once", async () => {
    const sql = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)";
    await using first = await cloneDatabase(sql);
    await using second = await cloneDatabase(sql);
    await first.query("INSERT INTO t VALUES (2)");
    expect(await first.query("SELECT id FROM t ORDER BY id")).toEqual([{ id: "1" }, { id: "2" }]);
    expect(await second.query("SELECT id FROM t")).toEqual([{ id: "1" }]);
  });

  test("a topic is read to its end, committed transactions only, decoded with the registry", async () => {
    const { registryUrl } = inject("stack");
    const topic = randomName("topic");
    await using admin = await kafkaAdmin();
    await createTopics(admin, [{ topic, numPartitions: 3 }]);
    const registry = new SchemaRegistry({ host: registryUrl });
    const schema = { type: "record", name: "Thing", fields: [{ name: "n", type: "long" }] };
    const { id } = await registry.register(
      { type: SchemaType.AVRO, schema: JSON.stringify(schema) },
      { subject: `${topic}-value` },
    );
    const producer = plainKafka().producer({
      transactionalId: topic,
      maxInFlightRequests: 1,
      idempotent: true,
    });
    await producer.connect();
    const send = async (numbers: number[], end: "commit" | "abort"): Promise<void> => {
      const transaction = await producer.transaction();
      const messages = await Promise.all(
        numbers.map(async (n) => ({ partition: n % 3, value: await registry.encode(id, { n }) })),
      );
      await transaction.send({ topic, messages });
      await transaction[end]();
    };
    await send([0, 1, 2, 3], "commit");
    await send([4, 5], "abort");
    await send([6], "commit");
    await producer.disconnect();
    const records = await readTopic(topic);
    expect(records.map(({ partition, value }) => [partition, value])).toEqual([
      [0, { n: 0 }],
      [0, { n: 3 }],
      [0, { n: 6 }],
      [1, { n: 1 }],
      [2, { n: 2 }],
    ]);
  });

  test("a proxy cuts a session and lets new ones through when healed", async () => {
    const { postgres } = inject("stack");
    await using proxy = await startProxy(postgres);
    await using database = await createDatabase({ server: { ...postgres, port: proxy.port } });
    expect(await database.query("SELECT 1 AS one")).toEqual([{ one: "1" }]);
    proxy.cut();
    await expect(database.query("SELECT 1 AS one")).rejects.toThrow();
    proxy.heal();
    expect(await database.query("SELECT 1 AS one")).toEqual([{ one: "1" }]);
  });
});
