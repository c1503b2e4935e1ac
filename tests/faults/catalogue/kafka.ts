import { Partitioners } from "kafkajs";
import { kafkaAdmin, plainKafka } from "../../support/kafka.ts";
import { type Fault, type FaultContext, until, untilEqual } from "../harness/fault.ts";

const TOPICS = "7. Groups and topics";
const POISON = "10. Poison";

const partitionsAdded: Fault = {
  id: "partitions-added",
  group: TOPICS,
  title: "partitions are added to a topic, and the source is started again",
  async run({ pipeline, servers, random, last }) {
    await using admin = await kafkaAdmin(servers.brokers);
    await admin.createPartitions({ topicPartitions: [{ topic: pipeline.topic("item"), count: 7 }] });
    await last(random.int(0, 1_000));
    // The sink lags, so that events of one key in two partitions would be applied in the wrong order.
    const sink = pipeline.sink;
    sink?.signal("SIGSTOP");
    await pipeline.source?.kill();
    await (await pipeline.start("source")).waitForReady();
    await last(2_000);
    sink?.signal("SIGCONT");
  },
};

/** Writes bytes into a topic as a program would that has nothing to do with us. */
async function intrude(
  { pipeline, servers }: FaultContext,
  values: readonly (Buffer | null)[],
): Promise<void> {
  const producer = plainKafka(servers.brokers).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  await producer.send({
    topic: pipeline.topic("item"),
    messages: values.map((value, i) => ({ key: `intruder-${i}`, value, headers: { foreign: "1" } })),
  });
  await producer.disconnect();
}

/** Confluent's frame with a schema that nobody knows. */
const unknownSchema = Buffer.concat([Buffer.from([0, 0x7f, 0xff, 0xff, 0xf0]), Buffer.from("body")]);

const foreignRecords: Fault = {
  id: "foreign-records-dlq",
  group: POISON,
  title: "a foreign producer writes undecodable bytes and an unknown schema id: `dlq`, the rest goes on",
  quickSeed: 52,
  foreignKeys: 4,
  options: () => ({ onError: "dlq" as const }),
  async run(context) {
    await intrude(context, [Buffer.from("{}"), unknownSchema, Buffer.alloc(0), Buffer.from([0]), null]);
    await context.last(1_500);
  },
};

const unknownSchemaCold: Fault = {
  id: "foreign-records-restart",
  group: POISON,
  title: "the same while sinks are killed and started again",
  foreignKeys: 2,
  options: () => ({ onError: "dlq" as const }),
  async run(context) {
    const { pipeline, random, last } = context;
    for (let i = 0; i < 3; i++) {
      await intrude(context, [unknownSchema, Buffer.from([1, 2, 3])]);
      await last(random.int(0, 500));
      await pipeline.sink?.kill();
      await pipeline.start("sink");
      await last(random.int(500, 1_500));
    }
  },
};

const tooLarge: Fault = {
  id: "record-too-large",
  group: POISON,
  title: "a record that the broker does not take stops the source; the limit is raised, it goes on",
  mayEnd: ["source"],
  async run({ pipeline, servers }) {
    await pipeline.database.query(
      `INSERT INTO items SELECT 5000, 1, 1, nextval('versions'), string_agg(md5(i::text), '') FROM generate_series(1, 60000) i`,
    );
    const source = pipeline.source;
    await until(() => source?.running === false, 40_000, "the source to stop");
    if (source?.log.some((line) => line.includes("KAFKA_RECORD_TOO_LARGE")) !== true)
      throw new Error(`no KAFKA_RECORD_TOO_LARGE in\n${source?.logTail()}`);
    await using admin = await kafkaAdmin(servers.brokers);
    await admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: 2,
          name: pipeline.topic("item"),
          configEntries: [
            { name: "cleanup.policy", value: "compact" },
            { name: "max.message.bytes", value: "8000000" },
          ],
        },
      ],
    });
  },
};

const failsSchema: Fault = {
  id: "value-fails-schema",
  group: POISON,
  title: "a value that the public schema does not allow stops the source; the SQL is mended, it goes on",
  mayEnd: ["source"],
  options: () => ({ sourceSql: "ALTER TABLE items ALTER owner DROP NOT NULL" }),
  async run({ pipeline, random, last }) {
    await pipeline.database.query("INSERT INTO items VALUES (5000, NULL, 1, nextval('versions'), NULL)");
    const source = pipeline.source;
    await until(() => source?.running === false, 40_000, "the source to stop");
    if (source?.log.some((line) => line.includes("VALUE_NULL")) !== true)
      throw new Error(`no VALUE_NULL in\n${source?.logTail()}`);
    await last(random.int(0, 1_000));
    await pipeline.change("source", ({ publicSchemas = [] }) => {
      for (const { name, config } of publicSchemas) {
        for (const transformation of name === "item" ? config.transformations : [])
          transformation.sql = transformation.sql.replace(" owner,", " coalesce(owner, 1) AS owner,");
      }
    });
    await pipeline.start("source");
    await pipeline.database.query("UPDATE items SET owner = 1, v = nextval('versions') WHERE owner IS NULL");
  },
};

const topicDeleted: Fault = {
  id: "topic-deleted",
  group: TOPICS,
  title: "a topic is deleted: what is missing is named, nothing is passed over in silence",
  async run({ pipeline, servers, last }) {
    await last(500);
    await using admin = await kafkaAdmin(servers.brokers);
    await admin.deleteTopics({ topics: [pipeline.topic("item")] });
    await last(8_000);
  },
  mayEnd: ["source", "sink"],
  judge: ({ pipeline }) =>
    untilEqual(pipeline, 60_000, async () => {
      await pipeline.requireSaid("source", "TOPIC_LOST_EVENTS", 0);
      await pipeline.requireSaid("sink", "SINK_TOPIC_RECREATED", 0);
      return [];
    }),
};

/** Trouble with Kafka's topics and groups. */
export const KAFKA: readonly Fault[] = [
  partitionsAdded,
  foreignRecords,
  unknownSchemaCold,
  tooLarge,
  failsSchema,
  topicDeleted,
];
