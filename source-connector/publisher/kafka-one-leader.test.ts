import type { PartitionMetadata } from "kafkajs";
import { expect, test } from "vitest";
import { oneLeaderPartitioner } from "./kafka-one-leader.ts";

const partitionMetadata = [1, 2, 2].map(
  (leader, partitionId): PartitionMetadata => ({
    partitionErrorCode: 0,
    partitionId,
    leader,
    replicas: [],
    isr: [],
  }),
);

function partitionOf(message: object): number {
  return oneLeaderPartitioner()({ topic: "t", partitionMetadata, message: { value: null, ...message } });
}

test("a chosen partition is taken while its leader is the one the message was put together for", () => {
  expect(partitionOf({ partition: 2, leader: 2 })).toBe(2);
});

test("a partition that has moved ends the send, which would otherwise go to two brokers and be repeated in part", () => {
  expect(() => partitionOf({ partition: 2, leader: 1 })).toThrow("t/2 has moved from broker 1 to 2");
  expect(() => partitionOf({ partition: 7, leader: 1 })).toThrow("t/7 has moved from broker 1 to none");
});

test("other messages find their partition by their key", () => {
  expect(partitionOf({ key: "progress" })).toBe(partitionOf({ key: "progress" }));
});
