import { Partitioners, type PartitionMetadata } from "kafkajs";

/** As Java clients do it: murmur2 of the key. */
const choose = Partitioners.DefaultPartitioner();
const lists = new Map<number, PartitionMetadata[]>();

/** The partition that records of a key go to in a topic of so many. */
export function partitionOf(key: Buffer, partitions: number): number {
  let partitionMetadata = lists.get(partitions);
  if (partitionMetadata === undefined) {
    partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => {
      return { partitionErrorCode: 0, partitionId, leader: 0, replicas: [], isr: [] };
    });
    lists.set(partitions, partitionMetadata);
  }
  return choose({ topic: "", partitionMetadata, message: { key, value: null } });
}
