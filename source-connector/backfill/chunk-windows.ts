import { formatChange } from "../../shared/kafka/position.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import type { Batch, EncodedEvent, Interleaver, ProgressNote, TransactionPiece } from "../ports.ts";

/** A chunk that has been read and waits for its mark. */
export interface ReadChunk {
  /** What the mark says: a name that was never used before. */
  readonly mark: string;
  /** What its events say: rows that were read, or keys that are gone. */
  readonly op: "r" | "d";
  readonly events: readonly EncodedEvent[];
  /** What the progress topic gets to know; made when it is known how many events a change had overtaken. */
  readonly note: (counts: { readonly events: number; readonly overtaken: number }) => ProgressNote;
}

/** The time between the beginning of a chunk's reading and its place in the stream. */
export interface Window {
  /** More keys have changed than are kept: the chunk has to be read again, with fewer rows. */
  readonly overflown: boolean;
  /** Hands the chunk over. From now on its mark may come; `landed` then tells where it stands. */
  hold(chunk: ReadChunk): void;
  /** The commit LSN of the mark, once it has come. */
  readonly landedAt: Lsn | undefined;
  /** Ends a window whose chunk is not used. */
  close(): void;
}

/** Keys that one window keeps while its chunk is read: 32 bytes or so each. */
const MAX_CHANGED = 200_000;
/** Keys that are kept for a topic while its backfill is under way. */
const MAX_PUBLISHED = 100_000;

/**
 * Puts chunks into the stream so that no key goes back in time.
 *
 * A chunk is read in a snapshot that contains everything merged before its window opened. What changes later comes
 * through `merge` while the window is open, and takes the key's event out of the chunk: the change is newer, or as new.
 * When reading is done, a mark is sent through the WAL. It stands behind every commit that the snapshot could see, so
 * at its place what is left of the chunk is what those keys are, and whatever follows is newer.
 *
 * Keys are compared as they are in the topic, not as rows: so an object that another table's change has published, a
 * tombstone, or a row that has become another object counts as well.
 */
export class ChunkWindows implements Interleaver {
  readonly #open = new Set<OpenWindow>();
  readonly #published = new Map<string, Set<string>>();

  /**
   * Notes, from now on, the keys of a topic whose backfill begins or goes on: what the stream publishes need not come again
   * out of a chunk. Beyond MAX_PUBLISHED keys some do, which repeats an object and harms nothing. Nothing may be on its way
   * that says less of its object than a chunk can.
   */
  watch(topic: string): void {
    this.#published.set(topic, new Set());
  }

  /** Forgets the keys of a topic whose backfill has ended. */
  unwatch(topic: string): void {
    this.#published.delete(topic);
  }

  /** Begins to watch a topic's keys. Everything merged so far has to be in the snapshot that the chunk is read in. */
  open(topic: string): Window {
    const published = () => this.#published.get(topic);
    const window = new OpenWindow(topic, published, () => this.#open.delete(window));
    this.#open.add(window);
    return window;
  }

  emptied(topic: string): void {
    for (const window of this.#open) window.emptied(topic);
  }

  merge(
    batch: Batch,
    events: readonly EncodedEvent[],
  ): { readonly events: readonly EncodedEvent[]; readonly notes: readonly ProgressNote[] } {
    if (this.#open.size === 0 && this.#published.size === 0) return { events, notes: [] };
    const merged: EncodedEvent[] = [];
    const notes: ProgressNote[] = [];
    let next = 0;
    const passUpTo = (commitLsn: Lsn | undefined): void => {
      for (let event = events[next]; event !== undefined; event = events[++next]) {
        if (commitLsn !== undefined && event.position.commitLsn > commitLsn) return;
        this.#note(event);
        for (const window of this.#open) window.changed(event);
        merged.push(event);
      }
    };
    for (const piece of batch) {
      for (const window of this.#markedBy(piece)) {
        passUpTo(piece.commitLsn);
        const landed = window.land(piece);
        for (const event of landed.events) merged.push(event);
        notes.push(landed.note);
      }
    }
    passUpTo(undefined);
    return { events: merged, notes };
  }

  #note({ topic, key }: EncodedEvent): void {
    const published = this.#published.get(topic);
    if (published !== undefined && published.size < MAX_PUBLISHED) published.add(key.toString("latin1"));
  }

  #markedBy({ marks }: TransactionPiece): OpenWindow[] {
    if (marks === undefined) return [];
    return [...this.#open].filter((window) => window.mark !== undefined && marks.includes(window.mark));
  }
}

class OpenWindow implements Window {
  readonly #topic: string;
  readonly #published: () => ReadonlySet<string> | undefined;
  readonly #close: () => void;
  #changed: Set<string> | undefined = new Set();
  #events = new Map<string, EncodedEvent>();
  #chunk: ReadChunk | undefined;
  #distinct = 0;
  #emptied = false;
  overflown = false;
  landedAt: Lsn | undefined;

  constructor(topic: string, published: () => ReadonlySet<string> | undefined, close: () => void) {
    this.#topic = topic;
    this.#published = published;
    this.#close = close;
  }

  get mark(): string | undefined {
    return this.#chunk?.mark;
  }

  changed({ topic, key }: EncodedEvent): void {
    if (topic !== this.#topic || this.overflown) return;
    const name = key.toString("latin1");
    if (this.#changed === undefined) {
      this.#events.delete(name);
      return;
    }
    this.#changed.add(name);
    if (this.#changed.size <= MAX_CHANGED) return;
    this.overflown = true;
    this.#changed.clear();
  }

  /** Whatever is there after it comes through the stream. */
  emptied(topic: string): void {
    if (topic !== this.#topic) return;
    this.#emptied = true;
    this.#events.clear();
  }

  hold(chunk: ReadChunk): void {
    this.#chunk = chunk;
    // Rows of one snapshot that make the same object make the same event: one will do.
    for (const event of chunk.events) this.#events.set(event.key.toString("latin1"), event);
    this.#distinct = this.#events.size;
    if (this.#emptied) this.#events.clear();
    for (const name of this.#changed ?? []) this.#events.delete(name);
    const published = this.#published();
    for (const name of this.#events.keys()) if (published?.has(name)) this.#events.delete(name);
    this.#changed = undefined;
  }

  land({ commitLsn, commitTimeMs }: TransactionPiece): { events: EncodedEvent[]; note: ProgressNote } {
    const chunk = this.#chunk as ReadChunk;
    const events = [...this.#events.values()].map((event, index) => {
      const position = { commitLsn, index };
      return { ...event, position, change: formatChange(chunk.op, position), timestampMs: commitTimeMs };
    });
    this.landedAt = commitLsn;
    this.#events = new Map();
    this.#close();
    return { events, note: chunk.note({ events: events.length, overtaken: this.#distinct - events.length }) };
  }

  close(): void {
    this.#close();
  }
}
