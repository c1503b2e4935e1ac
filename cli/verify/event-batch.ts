import type { BatchComparison, DestinationCheck, TopicEvent } from "./destination.ts";
import { KIND, type Kind, type Place, placeName } from "./key-records.ts";

const BATCH_EVENTS = 1_000;
const BATCH_BYTES = 4 * 1024 * 1024;

/** Told what comparing a batch has found, and which of its events a later one may have taken the place of. */
type OnCompared = (compared: BatchComparison, isMoving: (place: Place) => boolean) => Promise<void>;

/** Events on their way to the check, about a thousand at once. */
export class EventBatch {
  readonly #check: DestinationCheck;
  readonly #onCompared: OnCompared;
  #events: TopicEvent[] = [];
  #skipped: TopicEvent[] = [];
  #moving = new Set<string>();
  #bytes = 0;

  constructor(check: DestinationCheck, onCompared: OnCompared) {
    this.#check = check;
    this.#onCompared = onCompared;
  }

  async add(event: TopicEvent, kind: Kind): Promise<void> {
    (kind === KIND.later ? this.#skipped : this.#events).push(event);
    if (kind === KIND.suspect) this.#moving.add(placeName(event));
    this.#bytes += event.key.length + (event.value?.length ?? 0);
    const count = this.#events.length + this.#skipped.length;
    if (count >= BATCH_EVENTS || this.#bytes >= BATCH_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    const [events, skipped, moving] = [this.#events, this.#skipped, this.#moving];
    this.#events = [];
    this.#skipped = [];
    this.#moving = new Set();
    this.#bytes = 0;
    if (skipped.length > 0) await this.#check.skip(skipped);
    if (events.length === 0) return;
    await this.#onCompared(await this.#check.compare(events), (place) => moving.has(placeName(place)));
  }
}
