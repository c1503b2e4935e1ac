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
