import { Partitioners } from "kafkajs";
import { deadLetterTopic } from "../../../shared/kafka/naming.ts";
import { kafkaAdmin, plainKafka, readTopic } from "../../support/kafka.ts";
import { type Fault, type FaultContext, until, untilEqual } from "../harness/fault.ts";
import { checkVerify, compareCopies } from "../harness/oracle.ts";

/** Consumer schemas that read the items' topic. */
const ITEM_CONSUMERS = 2;

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
    const isUsed = async () => {
      const ends = await admin.fetchTopicOffsets(pipeline.topic("item"));
      return ends.some(({ partition, high }) => partition >= 3 && Number(high) > 0);
    };
    await until(isUsed, 30_000, "events in the new partitions");
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

/** Waits until the consumer schemas of items have set records aside, and the letters have the very bytes. */
async function requireSetAside({ pipeline, servers }: FaultContext, values: readonly (Buffer | null)[]) {
  const wanted = values.flatMap((value) => Array(ITEM_CONSUMERS).fill(value?.toString("hex") ?? null)).sort();
  const letters = async () => {
    const [row] = await pipeline.destination.query("SELECT count(*) AS n FROM rejot.dead_letters");
    return Number(row?.n);
  };
  await until(async () => (await letters()) === wanted.length, 60_000, `${wanted.length} dead letters`);
  const records = await readTopic(deadLetterTopic(pipeline.topic("item"), pipeline.group), {
    brokers: servers.brokers,
    registryUrl: null,
  });
  // A sink that was killed may have sent one that it did not note.
  const found = new Set(records.map(({ rawValue }) => rawValue?.toString("hex") ?? null));
  const lacking = wanted.filter((value) => !found.has(value));
  if (lacking.length > 0 || records.length < wanted.length)
    throw new Error(`the letters' topic has ${records.length} records and lacks ${lacking.join(", ")}`);
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
    const values = [Buffer.from("{}"), unknownSchema, Buffer.alloc(0), Buffer.from([0]), null];
    await intrude(context, values);
    await requireSetAside(context, values);
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
    const values = [unknownSchema, Buffer.from([1, 2, 3])];
    for (let i = 0; i < 3; i++) {
      await intrude(context, values);
      await last(random.int(0, 500));
      await pipeline.sink?.kill();
      await pipeline.start("sink");
      await last(random.int(500, 1_500));
    }
    await requireSetAside(context, [...values, ...values, ...values]);
  },
};

const foreignStops: Fault = {
  id: "foreign-records-stop",
  group: POISON,
  title:
    "undecodable bytes of a foreign producer under `stop`: their topic stands still and the other goes on; told `dlq`, it goes on",
  foreignKeys: 1,
  async run(context) {
    const { pipeline, random, last } = context;
    await intrude(context, [Buffer.from([1, 2, 3])]);
    await pipeline.requireSaid("sink", "RECORD_UNREADABLE", 40_000);
    const owners = async () => {
      const [row] = await pipeline.destination.query(
        "SELECT sum(next_offset) AS n FROM rejot.progress WHERE topic = $1",
        [pipeline.topic("owner")],
      );
      return Number(row?.n);
    };
    const before = await owners();
    await until(async () => (await owners()) > before + 20, 60_000, "the other topic to go on");
    await last(random.int(0, 2_000));
    await pipeline.change("sink", ({ consumerSchemas = [] }) => {
      for (const { config } of consumerSchemas) config.onError = "dlq";
    });
    await pipeline.sink?.kill("SIGTERM");
    await pipeline.start("sink");
    await requireSetAside(context, [Buffer.from([1, 2, 3])]);
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

/** A sink that has applied nothing of a topic cannot tell that it was another one before. */
async function untilApplied({ pipeline }: FaultContext): Promise<void> {
  const isApplied = async () => {
    const [row] = await pipeline.destination.query(
      "SELECT min(next_offset) AS n FROM rejot.progress WHERE topic = $1 HAVING count(*) = 3",
      [pipeline.topic("item")],
    );
    return Number(row?.n) > 0;
  };
  await until(isApplied, 60_000, "events of all partitions to be applied");
}

const topicDeleted: Fault = {
  id: "topic-deleted",
  group: TOPICS,
  title: "a topic is deleted: what is missing is named, nothing is passed over in silence",
  async run(context) {
    const { pipeline, servers, last } = context;
    await untilApplied(context);
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

/** What errors.md says: the progress topic is deleted, and destinations are loaded anew. */
async function repair({ pipeline, servers }: FaultContext): Promise<void> {
  await using admin = await kafkaAdmin(servers.brokers);
  for (const kind of ["source", "sink"] as const) await pipeline[kind]?.kill();
  await admin.deleteTopics({ topics: [pipeline.progressTopic] });
  await until(async () => !(await admin.listTopics()).includes(pipeline.progressTopic), 30_000, "its end");
  await pipeline.destination.query("TRUNCATE items, tally, owners, rejot.progress");
  await pipeline.startBoth();
}

const topicMadeAnew: Fault = {
  id: "topic-made-anew",
  group: TOPICS,
  title:
    "a topic is deleted and made anew: both stop and say so; after the repair that errors.md tells, all is equal",
  mayEnd: ["source", "sink"],
  // It begins anew too.
  replacesSlot: true,
  async run(context) {
    const { pipeline, servers, last, random } = context;
    await untilApplied(context);
    await last(random.int(0, 1_000));
    await using admin = await kafkaAdmin(servers.brokers);
    const topic = pipeline.topic("item");
    await admin.deleteTopics({ topics: [topic] });
    const isMade = () => admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: false });
    await until(isMade, 30_000, "the topic to be made anew");
    await pipeline.requireSaid("source", "TOPIC_LOST_EVENTS", 60_000);
    await pipeline.requireSaid("sink", "SINK_TOPIC_RECREATED", 60_000);
    await last(random.int(0, 2_000));
    await repair(context);
  },
  async judge({ pipeline }) {
    const verdict = await untilEqual(pipeline, 90_000, () => compareCopies(pipeline));
    if (verdict.complaints.length > 0) return verdict;
    return { ...verdict, complaints: await checkVerify(pipeline) };
  },
};

/** Trouble with Kafka's topics and groups. */
export const KAFKA: readonly Fault[] = [
  partitionsAdded,
  foreignRecords,
  foreignStops,
  unknownSchemaCold,
  tooLarge,
  failsSchema,
  topicDeleted,
  topicMadeAnew,
];
