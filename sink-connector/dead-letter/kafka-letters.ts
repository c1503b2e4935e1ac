import type { FetchedPage, KafkaReader, PartitionBounds } from "../../shared/kafka/kafka-reader.ts";
import { deadLetterTopic } from "../../shared/kafka/naming.ts";
import { LETTER_PARTITION, type LetterContent, readLetter } from "./letter.ts";

const PAGE_BYTES = 1024 * 1024;

interface Page extends FetchedPage {
  readonly from: bigint;
}

/**
 * Reads dead letters by their offsets. Keeps one page of each topic, so that letters asked for in the order in which
 * they were sent cost one request a page.
 */
export class KafkaLetters {
  readonly #reader: KafkaReader;
  readonly #group: string;
  readonly #bounds = new Map<string, PartitionBounds | undefined>();
  readonly #pages = new Map<string, Page>();

  constructor(reader: KafkaReader, group: string) {
    this.#reader = reader;
    this.#group = group;
  }

  /** The letter of an event, or undefined when its record is not there any more. Throws KAFKA_*. */
  async read(of: {
    readonly topic: string;
    readonly partition: number;
    readonly offset: number;
    readonly consumerName: string;
    readonly letterOffset: number;
  }): Promise<LetterContent | undefined> {
    const page = await this.#page(deadLetterTopic(of.topic, this.#group), BigInt(of.letterOffset));
    const record = page?.records.find(({ offset }) => offset === BigInt(of.letterOffset));
    const letter = record === undefined ? undefined : readLetter(record);
    if (letter === undefined) return undefined;
    // A topic that was deleted and made anew has other letters at its offsets.
    const isIt =
      letter.topic === of.topic &&
      letter.partition === of.partition &&
      letter.offset === of.offset &&
      letter.consumerName === of.consumerName;
    return isIt ? letter : undefined;
  }

  async #page(topic: string, offset: bigint): Promise<Page | undefined> {
    const kept = this.#pages.get(topic);
    if (kept !== undefined && offset >= kept.from && offset < kept.nextOffset) return kept;
    let bounds = this.#bounds.get(topic);
    if (bounds === undefined || offset >= bounds.end) {
      const all = await this.#reader.bounds([topic]);
      bounds = all.find(({ partition }) => partition === LETTER_PARTITION);
      this.#bounds.set(topic, bounds);
    }
    if (bounds === undefined || offset < bounds.start || offset >= bounds.end) return undefined;
    const page = { from: offset, ...(await this.#reader.fetch(bounds, offset, PAGE_BYTES)) };
    this.#pages.set(topic, page);
    return page;
  }
}
