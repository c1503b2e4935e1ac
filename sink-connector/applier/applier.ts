import { RejotError } from "../../shared/errors/error.ts";
import { sqlState } from "../../shared/postgres/client.ts";
import {
  BatchTooSlow,
  CallFailed,
  type DeadLetter,
  type DeadLetters,
  type Destination,
  type EventApplier,
  type EventFailure,
  type EventRun,
  type PartitionProgress,
  type ProgressMove,
  type SinkEvent,
  type WriteOutcome,
} from "../ports.ts";
import { BatchSize } from "./batch-size.ts";
import { type FailingCall, failingCalls } from "./failing-calls.ts";
import { isSqlRejected } from "./postgres-parameters.ts";
import { ProgressBook, splitRuns } from "./progress-book.ts";

/** What the applier needs to know of a consumer schema. */
export interface ConsumerPolicy {
  /** `manifest/consumer-schema`, for messages and as the destination keeps account of it. */
  readonly name: string;
  readonly topic: string;
  readonly onError: "stop" | "dlq";
}

/** What the applier works with. */
export interface ApplierOptions {
  readonly destination: Destination;
  readonly deadLetters: DeadLetters;
  readonly consumers: readonly ConsumerPolicy[];
  /** The consumer schema of each statement. */
  readonly consumerOfStatement: readonly number[];
  /** Events that are handed over at once at most. */
  readonly maxRows: number;
  /** Told of each piece as soon as it is durable, also of a batch that then fails. */
  readonly onMoved: (moves: readonly ProgressMove[]) => void;
  /** The event's key, for a person to read. Never throws. */
  readonly describeKey: (event: SinkEvent) => Promise<string>;
}

/** Applies whole batches and, only when one fails, looks for the event that is to blame. */
export class Applier implements EventApplier {
  readonly #options: ApplierOptions;
  readonly #book: ProgressBook;
  readonly #size = new BatchSize();

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#book = new ProgressBook(options.consumers, options.consumerOfStatement);
  }

  place(places: readonly PartitionProgress[]): void {
    this.#book.place(places);
    this.#options.deadLetters.passed(places);
  }

  async apply(
    delivered: readonly EventRun[],
  ): Promise<{ outcome: WriteOutcome; moves: readonly ProgressMove[] }> {
    const moves = this.#book.movesOf(delivered);
    const runs = this.#book.due(delivered);
    const events = runs.flatMap((run) => run.events);
    const stopAt = events.findIndex((event) =>
      event.failures.some((f) => this.#policyOf(f).onError === "stop"),
    );
    if (stopAt < 0) return { outcome: await this.#applyAll(runs), moves };
    const [before] = splitRuns(runs, stopAt);
    if ((await this.#applyAll(before)) === "stale") return { outcome: "stale", moves };
    const stopper = events[stopAt] as SinkEvent;
    const failure = stopper.failures.find((f) => this.#policyOf(f).onError === "stop") as EventFailure;
    throw await this.#stopError(stopper, failure);
  }

  /** Sets aside what could not be prepared and writes the rest. An event whose letter is not taken stops its topic. */
  async #applyAll(runs: readonly EventRun[]): Promise<WriteOutcome> {
    let noted: readonly EventRun[];
    try {
      noted = await this.#setAside(runs);
    } catch (error) {
      const [before] = splitRuns(runs, Math.max(0, placeIn(runs, error)));
      if (before.length > 0 && (await this.#applyAll(before)) === "stale") return "stale";
      throw error;
    }
    return this.#write(noted);
  }

  /** Writes runs, in as many transactions as it takes. */
  async #write(runs: readonly EventRun[]): Promise<WriteOutcome> {
    let todo = runs;
    while (todo.length > 0) {
      const [piece, rest] = splitRuns(todo, this.#size.limit);
      if ((await this.#writePiece(piece)) === "stale") return "stale";
      todo = rest;
    }
    return "applied";
  }

  /** On a failure everything before the event to blame, then what its policy leaves, then the rest. */
  async #writePiece(runs: readonly EventRun[]): Promise<WriteOutcome> {
    let todo = runs;
    while (todo.length > 0) {
      const events = todo.flatMap((run) => run.events);
      const moves = this.#book.movesOf(todo);
      try {
        const outcome = await this.#options.destination.write({ events, moves });
        if (outcome === "applied") {
          this.#book.advance(moves);
          this.#options.deadLetters.passed(moves);
          this.#options.onMoved(moves);
          this.#size.inTime(events.length, this.#options.maxRows);
        }
        return outcome;
      } catch (error) {
        if (error instanceof CallFailed) {
          const [before, rest] = splitRuns(todo, error.eventIndex);
          if (before.length > 0 && (await this.#write(before)) === "stale") return "stale";
          todo = await this.#withoutFailing(rest, error.cause, error);
        } else if (error instanceof BatchTooSlow) {
          this.#size.tooSlow(events.length);
          return this.#write(todo);
        } else {
          if (!isOfEvents(error)) throw error;
          if (events.length > 1) return this.#writeHalves(todo, events.length);
          todo = await this.#withoutFailing(todo, error);
        }
      }
    }
    return "applied";
  }

  /** For errors that name no event, such as a deferred constraint that fails at commit. */
  async #writeHalves(runs: readonly EventRun[], count: number): Promise<WriteOutcome> {
    const [first, second] = splitRuns(runs, Math.ceil(count / 2));
    if ((await this.#write(first)) === "stale") return "stale";
    return this.#write(second);
  }

  /** The runs without the calls of their first event that fail, whose failure goes to the dead letters; or the end. */
  async #withoutFailing(
    runs: readonly EventRun[],
    cause: unknown,
    named?: Pick<CallFailed, "callIndex">,
  ): Promise<EventRun[]> {
    const [run, ...rest] = runs.filter((r) => r.events.length > 0);
    const event = run?.events[0];
    if (run === undefined || event === undefined || event.calls.length === 0) throw cause;
    const failing = await this.#failingCalls(event, cause, named);
    const failures = failing.map((each) => this.#failureOf(event, each));
    const stopper = failures.find((failure, i) => this.#isStopper(failure, failing[i]?.cause));
    if (stopper !== undefined) throw await this.#stopError(event, stopper);
    const offsets = await this.#options.deadLetters.send(failures.map((failure) => ({ event, failure })));
    const calls = event.calls.filter((_, i) => failing.every((each) => each.callIndex !== i));
    const left = noteSetAside({ ...event, calls }, failures, offsets);
    return [{ ...run, events: [left, ...run.events.slice(1)] }, ...rest];
  }

  /**
   * Before a letter is sent the event's other calls are tried too: one that stops the topic would leave the letter
   * without its row, and one that only shares the event with another that fails at commit is not to blame.
   */
  async #failingCalls(
    event: SinkEvent,
    cause: unknown,
    named: Pick<CallFailed, "callIndex"> | undefined,
  ): Promise<readonly FailingCall[]> {
    const known = named === undefined ? event.calls.map((_, i) => i) : [named.callIndex];
    const blamed = known.map((callIndex) => ({ callIndex, cause }));
    const isClear =
      blamed.length === 1 && this.#isStopper(this.#failureOf(event, blamed[0] as FailingCall), cause);
    if (event.calls.length === 1 || isClear) return blamed;
    const failing = await failingCalls(event, (part) => this.#options.destination.rehearse(part));
    return failing.length === 0 ? blamed : failing;
  }

  /** What fails every event alike stops whatever the policy says. */
  #isStopper(failure: EventFailure, cause: unknown): boolean {
    return isStatementsFault(cause) || this.#policyOf(failure).onError === "stop";
  }

  #failureOf(event: SinkEvent, { callIndex, cause }: FailingCall): EventFailure {
    const statement = event.calls[callIndex]?.statement ?? 0;
    const consumer = this.#options.consumerOfStatement[statement] ?? 0;
    if (isSqlRejected(cause)) return { consumer, error: cause };
    const state = sqlState(cause);
    const detail = cause instanceof Error ? cause.message : String(cause);
    const code =
      this.#policyOf({ consumer }).onError === "dlq" ? "SINK_EVENT_SET_ASIDE" : "SINK_EVENT_FAILED";
    const error = new RejotError(code, {
      detail,
      cause,
      ...(state === undefined ? {} : { context: { sqlState: state } }),
    });
    return { consumer, error };
  }

  /** Sends the letters of events that could not be prepared. */
  async #setAside(runs: readonly EventRun[]): Promise<readonly EventRun[]> {
    const letters = runs.flatMap((run) =>
      run.events.flatMap((event) => event.failures.map((failure): DeadLetter => ({ event, failure }))),
    );
    if (letters.length === 0) return runs;
    const offsets = await this.#options.deadLetters.send(letters);
    let at = 0;
    const noted = (event: SinkEvent): SinkEvent => {
      const { failures } = event;
      if (failures.length === 0) return event;
      at += failures.length;
      return noteSetAside(event, failures, offsets.slice(at - failures.length, at));
    };
    return runs.map((run) => ({ ...run, events: run.events.map(noted) }));
  }

  #policyOf({ consumer }: Pick<EventFailure, "consumer">): ConsumerPolicy {
    return this.#options.consumers[consumer] ?? { name: "?", topic: "?", onError: "stop" };
  }

  async #stopError(event: SinkEvent, { consumer, error }: EventFailure): Promise<RejotError> {
    const name = this.#options.consumers[consumer]?.name ?? "?";
    const key = await this.#options.describeKey(event);
    const { topic, partition, record } = event;
    const where = `topic ${topic}, partition ${partition}, offset ${record.offset}, key ${key}, consumer schema ${name}`;
    const sql = error.cause as { detail?: string; constraint?: string } | undefined;
    const fromServer = error.code === "SINK_EVENT_FAILED" || error.code === "SINK_EVENT_SET_ASIDE";
    const why = fromServer ? messageOf(error.cause) : `${error.code}: ${error.message}`;
    const detail = sql?.detail === undefined ? "" : ` (${sql.detail})`;
    return new RejotError("SINK_EVENT_FAILED", {
      detail: `${where}: ${why}${detail}`,
      ...(error.cause === undefined ? {} : { cause: error.cause }),
      context: { topic, partition, offset: record.offset, key, consumerSchema: name, ...error.context },
      sql: error.sql,
      ...(fromServer ? {} : { hint: error.hint }),
    });
  }
}

/**
 * A missing table, column, function or right fails every event alike: with "dlq" the whole topic would end up in the
 * dead letters.
 */
export function isStatementsFault(cause: unknown): boolean {
  return isSqlRejected(cause) || (sqlState(cause)?.startsWith("42") ?? false);
}

/**
 * Whether fewer events, or another one, could fare better: the server's refusals, and values that are too many for one
 * text of Node's. The end of a session, say, is no event's fault.
 */
function isOfEvents(error: unknown): boolean {
  return sqlState(error) !== undefined || error instanceof RangeError;
}

/** The index of the event that an error names; -1 when it names none. */
function placeIn(runs: readonly EventRun[], error: unknown): number {
  if (!(error instanceof RejotError)) return -1;
  const { topic, partition, offset } = error.context;
  return runs
    .flatMap((run) => run.events)
    .findIndex((e) => e.topic === topic && e.partition === partition && e.record.offset === offset);
}

function noteSetAside(
  event: SinkEvent,
  failures: readonly EventFailure[],
  offsets: readonly number[],
): SinkEvent {
  const added = failures.map(({ consumer }, i) => ({ consumer, letterOffset: offsets[i] ?? 0 }));
  return { ...event, failures: [], setAside: [...(event.setAside ?? []), ...added] };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
