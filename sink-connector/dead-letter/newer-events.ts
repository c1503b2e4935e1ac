/** An event of the topic, as far as it matters here. */
export interface SeenEvent {
  readonly offset: number;
  readonly keyDigest: string;
  readonly isTombstone: boolean;
  /** The `rejot.change` header. */
  readonly change: string | undefined;
}

/** What is asked about. */
export interface JudgedLetter {
  readonly offset: number;
  readonly keyDigest: string;
  readonly consumerName: string;
  readonly change: string | undefined;
  /** The consumer schema leaves tombstones out on purpose, so they change nothing for it. */
  readonly ignoresDeletes: boolean;
}

/**
 * Whether a letter's event is still what its key wants: `newest`; or an event at this offset has come after it; or the
 * topic does not hold it any more, which compaction does only to events that a newer one has replaced.
 */
export type Verdict =
  | { readonly kind: "newest" }
  | { readonly kind: "superseded"; readonly by: number | null };

/** The newest of each kind that a consumer schema applies, or will. */
interface Newest {
  upsert: number;
  tombstone: number;
}

/** Records without a key are all different objects, as far as anybody knows. */
const NO_KEY = "";

/**
 * Remembers, of the events that a partition holds, the newest of each key that has a letter: memory grows with the
 * letters, not with the events.
 */
export class NewerEvents {
  readonly #byKey = new Map<string, Map<string, Newest>>();
  readonly #present = new Map<number, string | undefined>();
  readonly #offsets = new Set<number>();

  /** Names the letters that will be asked about, before the first event is seen. */
  constructor(letters: Iterable<Pick<JudgedLetter, "offset" | "keyDigest" | "consumerName">>) {
    for (const { offset, keyDigest, consumerName } of letters) {
      this.#offsets.add(offset);
      const ofKey = this.#byKey.get(keyDigest) ?? new Map<string, Newest>();
      ofKey.set(consumerName, { upsert: -1, tombstone: -1 });
      this.#byKey.set(keyDigest, ofKey);
    }
  }

  /** Whether a key has a letter; events of all others need not be seen. */
  concerns(keyDigest: string): boolean {
    return this.#byKey.has(keyDigest);
  }

  /** Takes note of an event. `unappliedBy` names the consumer schemas that have set it aside themselves. */
  see(event: SeenEvent, unappliedBy: ReadonlySet<string>): void {
    const { offset, keyDigest, isTombstone, change } = event;
    if (this.#offsets.has(offset)) this.#present.set(offset, change);
    for (const [consumerName, newest] of this.#byKey.get(keyDigest) ?? []) {
      if (unappliedBy.has(consumerName)) continue;
      if (isTombstone) newest.tombstone = Math.max(newest.tombstone, offset);
      else newest.upsert = Math.max(newest.upsert, offset);
    }
  }

  judge({ offset, keyDigest, consumerName, change, ignoresDeletes }: JudgedLetter): Verdict {
    const isThere = this.#present.has(offset) && this.#present.get(offset) === change;
    if (!isThere) return { kind: "superseded", by: null };
    const newest = this.#byKey.get(keyDigest)?.get(consumerName);
    if (newest === undefined || keyDigest === NO_KEY) return { kind: "newest" };
    const by = ignoresDeletes ? newest.upsert : Math.max(newest.upsert, newest.tombstone);
    return by > offset ? { kind: "superseded", by } : { kind: "newest" };
  }
}
