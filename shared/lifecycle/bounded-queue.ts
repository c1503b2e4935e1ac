import { RejotError } from "../errors/error.ts";

interface Entry<T> {
  readonly item: T;
  readonly weight: number;
}

interface Waiting<T> extends Entry<T> {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

type Closing = { readonly kind: "open" | "ended" } | { readonly kind: "failed"; readonly error: unknown };

const ACCEPTED = Promise.resolve();
/** Entries taken from the head before the array is compacted. */
const COMPACT_AFTER = 1024;

/**
 * Hands items from producers to one consumer, in order, holding no more than `capacity` weight (rows, bytes;
 * the caller's choice of unit). An item heavier than the capacity passes when the queue is empty.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #capacity: number;
  #entries: (Entry<T> | undefined)[] = [];
  #head = 0;
  #weight = 0;
  #producers: Waiting<T>[] = [];
  #consumer: { resolve: (result: IteratorResult<T>) => void; reject: (error: unknown) => void } | undefined;
  #closing: Closing = { kind: "open" };

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Items waiting to be taken. */
  get size(): number {
    return this.#entries.length - this.#head;
  }

  /** Weight of the items waiting to be taken. */
  get weight(): number {
    return this.#weight;
  }

  /**
   * Resolves when the queue holds the item; waits while it is full, behind earlier waiting producers.
   * Rejects with the error of `fail`, or when the queue has ended or its consumer has gone.
   */
  push(item: T, weight = 1): Promise<void> {
    if (this.#closing.kind === "failed") return Promise.reject(this.#closing.error);
    if (this.#closing.kind === "ended") {
      return Promise.reject(new RejotError("INTERNAL_ERROR", { detail: "the queue has ended" }));
    }
    if (this.#consumer !== undefined) {
      const consumer = this.#consumer;
      this.#consumer = undefined;
      consumer.resolve({ value: item, done: false });
      return ACCEPTED;
    }
    if (this.#producers.length === 0 && this.#fits(weight)) {
      this.#append({ item, weight });
      return ACCEPTED;
    }
    return new Promise((resolve, reject) => {
      this.#producers.push({ item, weight, resolve, reject });
    });
  }

  /** No more items come; the consumer gets those that are there, waiting producers' included, then ends. */
  end(): void {
    if (this.#closing.kind !== "open") return;
    this.#closing = { kind: "ended" };
    this.#consumer?.resolve({ value: undefined, done: true });
    this.#consumer = undefined;
  }

  /** Drops everything: consumer and producers get the error now, and at each later call. The first one counts. */
  fail(error: unknown): void {
    if (this.#closing.kind === "failed") return;
    this.#closing = { kind: "failed", error };
    this.#entries = [];
    this.#head = 0;
    this.#weight = 0;
    this.#consumer?.reject(error);
    this.#consumer = undefined;
    for (const producer of this.#producers.splice(0)) producer.reject(error);
  }

  /** For one consumer. Leaving the loop early fails the queue, so that no producer waits for ever. */
  [Symbol.asyncIterator](): AsyncIterator<T> {
    return {
      next: () => this.#take(),
      return: () => {
        this.fail(new DOMException("the queue is no longer read", "AbortError"));
        return Promise.resolve({ value: undefined, done: true });
      },
    };
  }

  #take(): Promise<IteratorResult<T>> {
    if (this.#closing.kind === "failed") return Promise.reject(this.#closing.error);
    const entry = this.#entries[this.#head];
    if (entry !== undefined) {
      this.#removeHead(entry);
      this.#admit();
      return Promise.resolve({ value: entry.item, done: false });
    }
    if (this.#closing.kind === "ended") return Promise.resolve({ value: undefined, done: true });
    if (this.#consumer !== undefined) {
      return Promise.reject(new RejotError("INTERNAL_ERROR", { detail: "two consumers on one queue" }));
    }
    return new Promise((resolve, reject) => {
      this.#consumer = { resolve, reject };
    });
  }

  #fits(weight: number): boolean {
    return this.size === 0 || this.#weight + weight <= this.#capacity;
  }

  #append(entry: Entry<T>): void {
    this.#entries.push(entry);
    this.#weight += entry.weight;
  }

  #removeHead(entry: Entry<T>): void {
    this.#entries[this.#head++] = undefined;
    this.#weight -= entry.weight;
    if (this.#head === this.#entries.length || this.#head === COMPACT_AFTER) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
    }
  }

  #admit(): void {
    for (let next = this.#producers[0]; next !== undefined && this.#fits(next.weight); ) {
      this.#producers.shift();
      this.#append(next);
      next.resolve();
      next = this.#producers[0];
    }
  }
}
