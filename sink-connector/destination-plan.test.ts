import { expect, test } from "vitest";
import type { ConsumerSchema } from "../shared/manifest/schema.ts";
import { planDestination } from "./destination-plan.ts";

const planWith = (onError: "stop" | "dlq", topicPrefix: string) => {
  const consumerSchema: ConsumerSchema = {
    name: "copy",
    sourceManifestSlug: "team",
    publicSchema: { name: "things", majorVersion: 1 },
    config: {
      consumerSchemaType: "postgres",
      destinationDataStoreSlug: "db",
      sql: "INSERT INTO t VALUES (:id)",
      onError,
    },
  };
  return planDestination({
    manifestSlug: "reader",
    dataStoreSlug: "db",
    connection: { connectionType: "postgres", host: "h", user: "u", database: "d" },
    eventStore: {
      connectionType: "kafka",
      brokers: ["one:9092"],
      schemaRegistry: { url: "http://registry" },
      topicPrefix,
    },
    consumers: [{ consumerSchema, publicSchema: undefined, topic: `${topicPrefix}team.things.v1` }],
  });
};

test("events that could not be set aside, because Kafka takes no topic of that name, are refused at the start", async () => {
  await expect(planWith("dlq", "p".repeat(106))).rejects.toMatchObject({
    code: "TOPIC_NAME_INVALID",
    detail: expect.stringContaining("reader/copy"),
  });
  await expect(planWith("dlq", "p".repeat(105))).resolves.toBeDefined();
  await expect(planWith("stop", "p".repeat(106))).resolves.toBeDefined();
});
