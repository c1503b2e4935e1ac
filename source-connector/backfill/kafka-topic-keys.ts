import { partitionOf } from "../../shared/kafka/kafka-key-partition.ts";
import type { KafkaReader, PartitionBounds } from "../../shared/kafka/kafka-reader.ts";
import { type KeyRecord, readKeys } from "../../shared/kafka/kafka-topic-keys.ts";
import { delay } from "../../shared/lifecycle/backoff.ts";
import type { TopicKeys } from "../ports.ts";

/** How often it is looked whether what was open at the end has been committed. */
const DECIDED_POLL_MS = 20;

/** Keys of committed records. */
export class KafkaTopicKeys implements TopicKeys {
  readonly #committed: Pick<KafkaReader, "bounds" | "fetch">;
  readonly #all: Pick<KafkaReader, "bounds">;

  /** `all` tells ends with open transactions, `committed` without. */
  constructor(committed: Pick<KafkaReader, "bounds" | "fetch">, all: Pick<KafkaReader, "bounds">) {
    this.#committed = committed;
    this.#all = all;
  }

  async bounds(topic: string, signal: AbortSignal): Promise<readonly PartitionBounds[]> {
    const wanted = await this.#all.bounds([topic], signal);
    for (;;) {
      const decided = new Map(
        (await this.#committed.bounds([topic], signal)).map(({ partition, end }) => [partition, end]),
      );
      if (wanted.every(({ partition, end }) => (decided.get(partition) ?? 0n) >= end)) return wanted;
      await delay(DECIDED_POLL_MS, signal);
    }
  }

  read(bounds: PartitionBounds, from: bigint, signal: AbortSignal): AsyncIterable<KeyRecord[]> {
    return readKeys(this.#committed, bounds, from, signal);
  }

  partitionOf(key: Buffer, partitions: number): number {
    return partitionOf(key, partitions);
  }
}
