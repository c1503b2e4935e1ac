import { setTimeout as delay } from "node:timers/promises";
import { createEndReader } from "../../../shared/kafka/kafka-reader.ts";
import { decodeProgress, PROGRESS_KEYS } from "../../../shared/kafka/progress-record.ts";
import { formatLsn, type Lsn, parseLsn } from "../../../shared/postgres/lsn.ts";
import { plainKafka, readTopic } from "../../support/kafka.ts";
import type { Complaints } from "./oracle.ts";
import type { Pipeline } from "./pipeline.ts";

const EVERY_MS = 100;

/** What Postgres was told to forget at one moment, and where the progress topic ended after that moment. */
interface Sample {
  readonly confirmedLsn: Lsn;
  readonly end: number;
}

/**
 * Looks at the slot again and again: no LSN may be confirmed to Postgres before the progress that covers it is in the
 * progress topic, in a Kafka transaction that is committed. `complaints` ends the looking and judges.
 */
export class Confirmations implements AsyncDisposable {
  readonly #pipeline: Pipeline;
  readonly #samples: Sample[] = [];
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
    this.#running = this.#look();
  }

  async complaints(): Promise<Complaints> {
    await this[Symbol.asyncDispose]();
    if (this.#samples.length === 0) return ["nobody could ask what was confirmed"];
    const { progressTopic, servers } = this.#pipeline;
    const records = await readTopic(progressTopic, { brokers: servers.brokers, registryUrl: null });
    const progress = records
      .filter(({ rawKey }) => rawKey?.toString() === PROGRESS_KEYS.progress)
      .map(({ offset, rawValue }) => ({ offset, endLsn: decodeProgress(String(rawValue)).endLsn }));
    const first = this.#samples[0]?.confirmedLsn;
    for (const { confirmedLsn, end } of this.#samples) {
      // Where the slot was made.
      if (confirmedLsn === first) continue;
      if (!progress.some(({ offset, endLsn }) => offset < end && endLsn >= confirmedLsn))
        return [
          `${formatLsn(confirmedLsn)} was confirmed, but progress before offset ${end} does not cover it`,
        ];
    }
    return [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  async #look(): Promise<void> {
    const { database, progressTopic, servers, slotName } = this.#pipeline;
    const { signal } = this.#ending;
    const reader = createEndReader(plainKafka(servers.brokers));
    while (!signal.aborted) {
      try {
        const [slot] = await database.query(
          "SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE slot_name = $1",
          [slotName],
        );
        const [bounds] = await reader.bounds([progressTopic], signal);
        if (slot?.lsn != null && bounds !== undefined)
          this.#samples.push({ confirmedLsn: parseLsn(slot.lsn), end: Number(bounds.end) });
      } catch {
        // The server asked is the one that the fault is about.
      }
      await delay(EVERY_MS, undefined, { signal }).catch(() => {});
    }
    await reader.close();
  }
}
