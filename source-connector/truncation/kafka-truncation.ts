import { RejotError } from "../../shared/errors/error.ts";
import type { KafkaReader, PartitionBounds } from "../../shared/kafka/kafka-reader.ts";
import { type KeyRecord, readKeys } from "../../shared/kafka/kafka-topic-keys.ts";
import { formatChange } from "../../shared/kafka/position.ts";
import type { EncodedEvent, Relation, Transformer, TruncatedPiece, Truncation } from "../ports.ts";
import { clearedSchemas, type DeleteUse } from "./cleared-schemas.ts";

/** What it is made with. */
export interface TruncationOptions {
  readonly delivery: "exactly-once" | "at-least-once";
  readonly uses: readonly DeleteUse[];
  /** Topics of the public schemas, by their index. */
  readonly topics: readonly string[];
  /** Sees what is committed. */
  readonly committed: Pick<KafkaReader, "bounds" | "fetch">;
  /** Sees what the publisher's open transaction has sent too. */
  readonly all: Pick<KafkaReader, "bounds" | "fetch">;
  readonly numbers: Pick<Transformer, "number">;
  readonly signal: AbortSignal;
}

/** Keys held in memory: a key whose records lie further apart may get a second tombstone, which changes nothing. */
const WINDOW_KEYS = 200_000;
const WINDOW_BYTES = 32 * 1024 * 1024;

/**
 * Makes tombstones of what the topics hold, where a TRUNCATE has emptied the tables that a public schema's objects come
 * from. Every key that is alive gets one, at the TRUNCATE's own position.
 */
export class KafkaTruncation implements Truncation {
  readonly #options: TruncationOptions;

  constructor(options: TruncationOptions) {
    this.#options = options;
  }

  topics(piece: TruncatedPiece): string[] {
    const { uses, topics } = this.#options;
    return clearedSchemas(piece.truncated, uses).map((schema) => topics[schema] ?? "");
  }

  async *tombstones(piece: TruncatedPiece): AsyncGenerator<EncodedEvent[]> {
    const { delivery, uses, topics } = this.#options;
    const schemas = clearedSchemas(piece.truncated, uses);
    // Half of the tombstones may be there already after a failure: the others would get positions of theirs.
    if (delivery === "at-least-once" && schemas.length > 0) {
      throw new RejotError("TRUNCATE_STOPS", {
        detail: `${namesOf(piece.truncated)}; with delivery at-least-once tombstones for them could be lost`,
      });
    }
    for (const schema of schemas) {
      const topic = topics[schema] ?? "";
      for await (const keys of this.#liveKeys(topic)) yield this.#events(piece, topic, keys);
    }
  }

  #events(piece: TruncatedPiece, topic: string, keys: readonly Buffer[]): EncodedEvent[] {
    const { commitLsn, commitTimeMs: timestampMs } = piece;
    const first = this.#options.numbers.number(commitLsn, keys.length);
    return keys.map((key, i) => {
      const position = { commitLsn, index: first + i };
      return { topic, key, value: null, change: formatChange("d", position), position, timestampMs };
    });
  }

  async *#liveKeys(topic: string): AsyncGenerator<Buffer[]> {
    const { committed, all, signal } = this.#options;
    const stable = await committed.bounds([topic], signal);
    // Taken before the first tombstone is sent: those are not to be read again.
    const ends = await all.bounds([topic], signal);
    for (const partition of stable) {
      const end = ends.find((bounds) => bounds.partition === partition.partition)?.end ?? partition.end;
      yield* windows(this.#records(partition, end));
    }
  }

  /** What is committed, then what the open transaction has sent. */
  async *#records(stable: PartitionBounds, end: bigint): AsyncGenerator<readonly KeyRecord[]> {
    const { committed, all, signal } = this.#options;
    yield* readKeys(committed, stable, stable.start, signal);
    yield* readKeys(all, { ...stable, end }, stable.end, signal);
  }
}

/** Keys that are alive at the end of each window of records. */
async function* windows(pages: AsyncIterable<readonly KeyRecord[]>): AsyncGenerator<Buffer[]> {
  let alive = new Map<string, boolean>();
  let bytes = 0;
  const take = (): Buffer[] => {
    const keys = [...alive].flatMap(([key, isAlive]) => (isAlive ? [Buffer.from(key, "latin1")] : []));
    alive = new Map();
    bytes = 0;
    return keys;
  };
  for await (const page of pages) {
    for (const record of page) {
      // A string is a copy: the buffer belongs to the whole fetched page.
      const key = record.key.toString("latin1");
      if (!alive.has(key)) bytes += key.length;
      alive.set(key, record.alive);
      if (alive.size >= WINDOW_KEYS || bytes >= WINDOW_BYTES) yield take();
    }
  }
  if (alive.size > 0) yield take();
}

function namesOf(relations: readonly Relation[]): string {
  return relations.map((relation) => `${relation.schema}.${relation.name}`).join(", ");
}
