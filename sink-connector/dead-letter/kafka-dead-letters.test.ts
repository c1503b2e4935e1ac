import { KafkaJSProtocolError } from "kafkajs";
import { expect, test } from "vitest";
import { RejotError } from "../../shared/errors/error.ts";
import type { Kafka } from "../../shared/kafka/kafka-client.ts";
import { placesAt } from "../../tests/support/places.ts";
import type { DeadLetter } from "../ports.ts";
import { KafkaDeadLetters } from "./kafka-dead-letters.ts";

/** A broker with topics that are as large as memory, but batches of a few records; `refuse` is asked before each. */
class FakeKafka {
  readonly topics = new Map<string, string[]>();
  refuse: (topic: string, offsets: readonly string[]) => string | undefined = () => undefined;

  admin() {
    return {
      connect: async () => {},
      disconnect: async () => {},
      listTopics: async () => [...this.topics.keys()],
      createTopics: async ({ topics }: { topics: { topic: string }[] }) => {
        for (const { topic } of topics) this.topics.set(topic, []);
      },
    };
  }

  producer() {
    return {
      connect: async () => {},
      disconnect: async () => {},
      send: async (request: { topic: string; messages: { headers: Record<string, string> }[] }) => {
        const offsets = request.messages.map(({ headers }) => headers["rejot.dlq.offset"] ?? "?");
        const log = this.topics.get(request.topic);
        const type = log === undefined ? "UNKNOWN_TOPIC_OR_PARTITION" : this.refuse(request.topic, offsets);
        if (type !== undefined || log === undefined)
          throw new KafkaJSProtocolError(Object.assign(new Error(type), { type }));
        return [{ baseOffset: String(log.push(...offsets) - offsets.length) }];
      },
    };
  }
}

function lettersTo(kafka: FakeKafka) {
  const sent: number[] = [];
  const letters = new KafkaDeadLetters({
    kafka: kafka as unknown as Kafka,
    group: "g",
    consumerNames: ["m/c"],
    replicationFactor: undefined,
    signal: new AbortController().signal,
    onRetry: () => {},
    onSent: (each) => sent.push(...each.map(({ event }) => event.record.offset)),
  });
  return { letters, sent };
}

const letter = (offset: number, topic = "t"): DeadLetter => ({
  event: {
    topic,
    partition: 3,
    record: { offset, key: null, value: null, timestampMs: 0, change: undefined, transactional: true },
    calls: [],
    failures: [],
  },
  failure: { consumer: 0, error: new RejotError("SINK_EVENT_SET_ASIDE") },
});

const some = (count: number) => Array.from({ length: count }, (_, i) => letter(i));

test("letters that are too large together are sent in smaller portions; one that is too large alone is named", async () => {
  const kafka = new FakeKafka();
  kafka.refuse = (_, offsets) =>
    offsets.length > 3 || offsets.includes("21") ? "MESSAGE_TOO_LARGE" : undefined;
  const { letters, sent } = lettersTo(kafka);
  expect(await letters.send(some(20))).toEqual(some(20).map((_, i) => i));
  await expect(letters.send([letter(20), letter(21), letter(22)])).rejects.toMatchObject({
    code: "KAFKA_RECORD_TOO_LARGE",
    context: { topic: "t", partition: 3, offset: 21 },
    hint: expect.stringContaining("t.dlq.g"),
  });
  expect(kafka.topics.get("t.dlq.g")).toHaveLength(21);
  expect(sent).toHaveLength(21);
});

test("a letter is sent once until its event is passed, however often it is tried", async () => {
  const kafka = new FakeKafka();
  const { letters, sent } = lettersTo(kafka);
  for (let attempt = 0; attempt < 3; attempt++) expect(await letters.send(some(2))).toEqual([0, 1]);
  letters.passed([{ topic: "t", partition: 3, nextOffset: 1, places: placesAt(1, { names: ["m/c"] }) }]);
  expect(await letters.send(some(2))).toEqual([2, 1]);
  expect(sent).toEqual([0, 1, 0]);
});

test("a topic of letters that was deleted is made anew, and letters that went with it are sent again", async () => {
  const kafka = new FakeKafka();
  const { letters } = lettersTo(kafka);
  await letters.send([letter(0)]);
  kafka.topics.clear();
  expect(await letters.send([letter(0), letter(1)])).toEqual([1, 0]);
  expect(kafka.topics.get("t.dlq.g")).toEqual(["1", "0"]);
});

test.each([
  ["TOPIC_AUTHORIZATION_FAILED", "KAFKA_DENIED"],
  ["INVALID_TOPIC_EXCEPTION", "TOPIC_NAME_INVALID"],
  ["NOT_ENOUGH_REPLICAS", "KAFKA_UNREACHABLE"],
])("%s for one topic of letters names an event of that topic", async (type, code) => {
  const kafka = new FakeKafka();
  kafka.refuse = (topic) => (topic === "bad.dlq.g" ? type : undefined);
  const { letters, sent } = lettersTo(kafka);
  await expect(letters.send([letter(1), letter(5, "bad"), letter(6, "bad")])).rejects.toMatchObject({
    code,
    context: { topic: "bad", partition: 3, offset: 5 },
  });
  expect(sent).toEqual([1]);
});
