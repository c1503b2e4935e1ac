import { KafkaJSNonRetriableError } from "kafkajs";
import { expect, test } from "vitest";
import { RejotError } from "../errors/error.ts";
import { kafkaError } from "./kafka-client.ts";

test("an error of ours that kafkajs has wrapped keeps its code; any other is Kafka's", () => {
  const ours = new RejotError("REGISTRY_REFUSED", { detail: "schema 7: status 404" });
  const wrapped = Object.assign(new KafkaJSNonRetriableError(ours.message), { cause: ours });
  expect(kafkaError(wrapped, "reading")).toBe(ours);
  expect(kafkaError(new Error("Connection timeout"), "reading")).toMatchObject({
    code: "KAFKA_UNREACHABLE",
    detail: "reading: Connection timeout",
  });
});

test("why a topic could not be made is told, and gives the code", () => {
  const failed = (type: string, message: string) => {
    const each = Object.assign(new Error(message), { type });
    return kafkaError(
      Object.assign(new Error("Topic creation errors"), { errors: [each] }),
      "creating topics",
    );
  };
  expect(failed("INVALID_TOPIC_EXCEPTION", "an invalid topic")).toMatchObject({
    code: "TOPIC_NAME_INVALID",
    retryable: false,
    detail: "creating topics: Topic creation errors: an invalid topic",
  });
  expect(failed("TOPIC_AUTHORIZATION_FAILED", "not authorized").code).toBe("KAFKA_DENIED");
  expect(failed("INVALID_REPLICATION_FACTOR", "too few brokers").code).toBe("KAFKA_UNREACHABLE");
});
