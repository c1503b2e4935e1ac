import { RejotError } from "../../shared/errors/error.ts";
import type { CommittedRecord } from "../../shared/kafka/committed-records.ts";
import type { KafkaReader, PartitionBounds } from "../../shared/kafka/kafka-reader.ts";
import { keyDigest } from "../../shared/kafka/key-digest.ts";
import { CHANGE_HEADER } from "../../shared/kafka/position.ts";
import type { TopicPartition } from "../ports.ts";
import type { JudgedLetter, SeenEvent, Verdict } from "./newer-events.ts";
import { NewerEvents } from "./newer-events.ts";

const PAGE_BYTES = 4 * 1024 * 1024;

/** Which consumer schemas have not applied which of the events: their letters that are not replayed. */
export type UnappliedLookUp = (
  offsets: readonly number[],
) => Promise<ReadonlyMap<number, ReadonlySet<string>>>;

/** Reads a partition from the first of some letters on, to tell which of them newer events have replaced. */
export class PartitionScan {
  readonly #reader: KafkaReader;
  readonly #partition: TopicPartition;
  readonly #unapplied: UnappliedLookUp;
  readonly #newer: NewerEvents;
  #next: bigint;

  constructor(
    reader: KafkaReader,
    partition: TopicPartition,
    letters: readonly Pick<JudgedLetter, "offset" | "keyDigest" | "consumerName">[],
    unapplied: UnappliedLookUp,
  ) {
    this.#reader = reader;
    this.#partition = partition;
    this.#unapplied = unapplied;
    this.#newer = new NewerEvents(letters);
    this.#next = BigInt(Math.min(...letters.map(({ offset }) => offset)));
  }

  /**
   * Reads to the end, twice: compaction may take an event from under the first reading only when a newer one of its
   * key was there already, which the second then meets. Throws KAFKA_*.
   */
  async read(): Promise<void> {
    await this.#readToEnd();
    await this.#readToEnd();
  }

  /** Reads on if something before this offset was not read yet. Throws KAFKA_*, SINK_TOPIC_RECREATED. */
  async reach(offset: number): Promise<void> {
    if (this.#next >= BigInt(offset)) return;
    const end = await this.#readToEnd();
    if (end >= BigInt(offset)) return;
    const { topic, partition } = this.#partition;
    const detail = `${topic}/${partition} ends at ${end}, the destination has read up to ${offset}`;
    throw new RejotError("SINK_TOPIC_RECREATED", { detail });
  }

  judge(letter: JudgedLetter): Verdict {
    return this.#newer.judge(letter);
  }

  async #readToEnd(): Promise<bigint> {
    const all = await this.#reader.bounds([this.#partition.topic]);
    const bounds = all.find(({ partition }) => partition === this.#partition.partition);
    if (bounds === undefined) return 0n;
    if (this.#next < bounds.start) this.#next = bounds.start;
    while (this.#next < bounds.end) await this.#readPage(bounds);
    return bounds.end;
  }

  async #readPage(bounds: PartitionBounds): Promise<void> {
    const page = await this.#reader.fetch(bounds, this.#next, PAGE_BYTES);
    const events = page.records.map(seenEvent).filter((event) => this.#newer.concerns(event.keyDigest));
    const unapplied = events.length === 0 ? NONE : await this.#unapplied(events.map(({ offset }) => offset));
    for (const event of events) this.#newer.see(event, unapplied.get(event.offset) ?? NOBODY);
    this.#next = page.nextOffset;
  }
}

const NONE: ReadonlyMap<number, ReadonlySet<string>> = new Map();
const NOBODY: ReadonlySet<string> = new Set();

function seenEvent({ offset, key, value, headers }: CommittedRecord): SeenEvent {
  const change = headers[CHANGE_HEADER];
  return {
    offset: Number(offset),
    keyDigest: keyDigest(key),
    isTombstone: value === null,
    change: change === undefined ? undefined : String(change),
  };
}
