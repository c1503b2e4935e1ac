import { RejotError } from "../shared/errors/error.ts";
import { retry } from "../shared/lifecycle/backoff.ts";
import { createLogger } from "../shared/observability/logger.ts";
import { isTransientPostgresError, sqlState } from "../shared/postgres/client.ts";
import { isStatementsFault } from "./applier/applier.ts";
import { readPlace } from "./applier/postgres-progress.ts";
import { PostgresSession } from "./applier/postgres-session.ts";
import { sinkSettings } from "./config.ts";
import { PartitionScan } from "./dead-letter/kafka-newer-events.ts";
import type { LetterContent } from "./dead-letter/letter.ts";
import type { Verdict } from "./dead-letter/newer-events.ts";
import {
  type LetterFilter,
  type LetterNow,
  type LetterState,
  lookAt,
  type NotedLetter,
  noteFailure,
  selectUnapplied,
  settle,
} from "./dead-letter/postgres-letter-book.ts";
import { EventDecoder } from "./decoder/event-decoder.ts";
import { type DestinationPlan, planDestination } from "./destination-plan.ts";
import { CallFailed, type SinkEvent } from "./ports.ts";
import type { DestinationLetters } from "./postgres-destination-letters.ts";

/** What became of a letter. */
export type ReplayOutcome =
  /** Applied; with `dryRun`, would be. */
  | { readonly kind: "applied" }
  /** A newer event of its key has replaced it; `by` is that one's offset, null when the letter's own is compacted away. */
  | { readonly kind: "superseded"; readonly by: number | null }
  /** It cannot be applied (yet); it goes on waiting. */
  | { readonly kind: "failed"; readonly error: RejotError }
  /** An earlier letter of its key waits, or no letter of its consumer schema can be applied; it goes on waiting. */
  | { readonly kind: "held-back"; readonly behind: number | null }
  /** Somebody else has settled it meanwhile, or had before. */
  | { readonly kind: "settled"; readonly state: LetterState }
  /** The destination's progress was set back before its event: the sink is going to apply it. */
  | { readonly kind: "unpassed" };

/** How letters are replayed. */
export interface ReplayOptions {
  readonly filter: Omit<LetterFilter, "states">;
  /** Applies also what newer events have replaced, for statements that want every event once. */
  readonly evenIfSuperseded: boolean;
  /** Changes nothing: what would be applied is, each letter for itself, and taken back. */
  readonly dryRun: boolean;
  readonly onOutcome: (letter: NotedLetter, outcome: ReplayOutcome) => void;
}

/** With what its name says added. */
interface ReplaySettings extends ReplayOptions {
  /** Letters in other states are left alone. */
  readonly states: readonly LetterState[];
}

/** Letters of one partition that one reading of the topic is made for. */
const LETTERS_AT_ONCE = 10_000;

/** Deadlocks, locks held for too long and serialization failures pass; whoever asked waits for an answer. */
const ATTEMPTS = 5;
const PASSING = new Set(["40001", "40P01", "55P03"]);

/** statement_timeout: of a lone event that is no batch too large. */
const TOO_SLOW = "57014";

/**
 * Applies dead letters of a destination again, in the order of their events, each in a transaction with the mark that
 * it is done. Throws what no letter is to blame for: POSTGRES_*, KAFKA_*, REGISTRY_*, SCHEMA_NOT_FOUND, SINK_SQL_REJECTED,
 * SINK_DESTINATION_BUSY, SINK_PROGRESS_DENIED; everything done until then is marked.
 */
export async function replayLetters(letters: DestinationLetters, options: ReplayOptions): Promise<void> {
  const states: LetterState[] = options.evenIfSuperseded ? ["waiting", "superseded"] : ["waiting"];
  const filter = { ...options.filter, states };
  let portion = await letters.select(filter, { limit: LETTERS_AT_ONCE });
  if (portion.length === 0) return;
  const replay = await Replay.open(letters, { ...options, states });
  try {
    while (portion.length > 0) {
      const [{ topic, partition }] = portion as [NotedLetter, ...NotedLetter[]];
      const ofPartition = portion.filter((l) => l.topic === topic && l.partition === partition);
      await replay.partition(ofPartition);
      portion = await letters.select(filter, { after: ofPartition.at(-1), limit: LETTERS_AT_ONCE });
    }
  } finally {
    await replay.close();
  }
}

class Replay {
  readonly #letters: DestinationLetters;
  readonly #options: ReplaySettings;
  readonly #plan: DestinationPlan;
  readonly #session: PostgresSession;
  readonly #decoder: EventDecoder;
  /** Consumer schemas whose statement fails for every event alike. */
  readonly #broken = new Set<string>();
  /** What a dry run would have settled. */
  readonly #settled = new Set<string>();

  private constructor(
    letters: DestinationLetters,
    options: ReplaySettings,
    plan: DestinationPlan,
    session: PostgresSession,
  ) {
    this.#letters = letters;
    this.#options = options;
    this.#plan = plan;
    this.#session = session;
    // Whoever asks for a replay does not wait: the letter does.
    this.#decoder = new EventDecoder(letters.registry, plan.routes(session.parameters), {
      unknownSchemaMs: 0,
    });
  }

  static async open(letters: DestinationLetters, options: ReplaySettings): Promise<Replay> {
    const { destination, group } = letters;
    const { consumerNames } = options.filter;
    const plan = await planDestination({
      ...destination,
      consumers: destination.consumers.filter(
        ({ consumerSchema: { name } }) =>
          consumerNames?.includes(`${destination.manifestSlug}/${name}`) ?? true,
      ),
    });
    const session = await letters.query(() =>
      PostgresSession.open({
        connection: destination.connection,
        group,
        statements: plan.statements,
        consumers: plan.consumers,
        keepsLetters: true,
        lockTimeoutMs: sinkSettings.lockTimeoutMs.default,
        applyTimeoutMs: sinkSettings.applyTimeoutMs.default,
        logger: createLogger("dead-letters"),
      }),
    );
    return new Replay(letters, options, plan, session);
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  /** Replays letters of one partition. */
  async partition(noted: readonly NotedLetter[]): Promise<void> {
    const [first] = noted;
    if (first === undefined) return;
    const { client, group, reader } = this.#letters;
    const scan = new PartitionScan(reader, first, noted, (offsets) =>
      this.#letters.query(() => selectUnapplied(client, group, first, offsets)),
    );
    if (!this.#options.evenIfSuperseded) await scan.read();
    for (const letter of noted) this.#options.onOutcome(letter, await this.#replay(letter, scan));
  }

  async #replay(letter: NotedLetter, scan: PartitionScan): Promise<ReplayOutcome> {
    if (this.#broken.has(letter.consumerName)) return { kind: "held-back", behind: null };
    try {
      const content = await this.#letters.contents.read(letter);
      if (content === undefined) throw new LetterFailed(new RejotError("DEAD_LETTER_GONE"));
      const event = await this.#event(letter, content);
      if (this.#options.dryRun) return await this.#foresee(letter, event, content, scan);
      return await this.#patiently(() => this.#apply(letter, event, content, scan));
    } catch (thrown) {
      const error = this.#blame(thrown);
      if (isStatementsFault(error.cause)) this.#broken.add(letter.consumerName);
      await this.#note(letter, error);
      return { kind: "failed", error };
    }
  }

  /** The event with the calls of the letter's consumer schema only. */
  async #event(letter: NotedLetter, { record }: LetterContent): Promise<SinkEvent> {
    const consumer = this.#plan.consumers.findIndex(({ name }) => name === letter.consumerName);
    if (consumer < 0 || !this.#plan.topics.includes(letter.topic)) {
      const detail = `${letter.consumerName} for ${letter.topic}`;
      throw new LetterFailed(new RejotError("DEAD_LETTER_WITHOUT_SCHEMA", { detail }));
    }
    const [decoded] = await this.#decoder.decode(letter, [record]);
    if (decoded === undefined) throw new RejotError("INTERNAL_ERROR", { detail: "an event was lost" });
    const failure = decoded.failures.find((f) => f.consumer === consumer);
    if (failure !== undefined) throw new LetterFailed(failure.error);
    const calls = decoded.calls.filter((c) => this.#plan.consumerOfStatement[c.statement] === consumer);
    return { ...decoded, calls };
  }

  /**
   * The heart of it. While the partition's progress is locked no sink applies any event of it, so what is read of the
   * topic up to that progress is all that this destination has applied of the key. Applying and marking are one
   * transaction: whoever comes second finds the mark.
   */
  #apply(
    letter: NotedLetter,
    event: SinkEvent,
    content: LetterContent,
    scan: PartitionScan,
  ): Promise<ReplayOutcome> {
    const { group } = this.#letters;
    return this.#session.transaction(async (client) => {
      const now = await lookNow(client, group, letter, true);
      const hindrance = this.#hindrance(letter, now);
      if (hindrance !== undefined) return { result: hindrance, commit: false };
      const verdict = await this.#judge(letter, content, scan, now?.nextOffset ?? 0);
      if (verdict.kind === "newest") await this.#session.applyInside(event);
      const result: ReplayOutcome = verdict.kind === "newest" ? { kind: "applied" } : verdict;
      await settle(client, group, letter, verdict.kind === "newest" ? "replayed" : "superseded");
      return { result, commit: true };
    });
  }

  async #foresee(
    letter: NotedLetter,
    event: SinkEvent,
    content: LetterContent,
    scan: PartitionScan,
  ): Promise<ReplayOutcome> {
    const { client, group } = this.#letters;
    const now = await this.#letters.query(() => lookNow(client, group, letter, false));
    const hindrance = this.#hindrance(letter, now);
    if (hindrance !== undefined) return hindrance;
    const verdict = await this.#judge(letter, content, scan, now?.nextOffset ?? 0);
    if (verdict.kind === "newest") await this.#patiently(() => this.#session.rehearse(event));
    this.#settled.add(nameOf(letter, event.record.offset));
    return verdict.kind === "newest" ? { kind: "applied" } : verdict;
  }

  /** Why a letter may not be applied now, whatever its event is. */
  #hindrance(letter: NotedLetter, now: Now | undefined): ReplayOutcome | undefined {
    if (now === undefined || now.nextOffset <= letter.offset) return { kind: "unpassed" };
    const { state, earlierWaiting } = now;
    if (!this.#options.states.includes(state)) return { kind: "settled", state };
    if (earlierWaiting === undefined || this.#settled.has(nameOf(letter, earlierWaiting))) return undefined;
    return { kind: "held-back", behind: earlierWaiting };
  }

  async #judge(
    letter: NotedLetter,
    { record }: LetterContent,
    scan: PartitionScan,
    nextOffset: number,
  ): Promise<Verdict> {
    if (this.#options.evenIfSuperseded) return { kind: "newest" };
    await scan.reach(nextOffset);
    const { destination } = this.#letters;
    const consumer = destination.consumers.find(
      ({ consumerSchema: { name } }) => `${destination.manifestSlug}/${name}` === letter.consumerName,
    );
    return scan.judge({
      ...letter,
      change: record.change?.toString("latin1"),
      ignoresDeletes: consumer?.consumerSchema.config.deletes === "ignore",
    });
  }

  #patiently<T>(work: () => Promise<T>): Promise<T> {
    return retry(work, { maxAttempts: ATTEMPTS, retryable: (error) => PASSING.has(sqlState(error) ?? "") });
  }

  /** The error that the letter's event, or its statement, is to blame for. Throws all others. */
  #blame(thrown: unknown): RejotError {
    if (thrown instanceof LetterFailed) return thrown.error;
    const cause = thrown instanceof CallFailed ? thrown.cause : thrown;
    if (cause instanceof RejotError) throw cause;
    const state = sqlState(cause);
    const detail = cause instanceof Error ? cause.message : String(cause);
    const context = state === undefined ? {} : { context: { sqlState: state } };
    if (state !== undefined && PASSING.has(state))
      throw new RejotError("SINK_DESTINATION_BUSY", { detail, cause, ...context });
    if (isTransientPostgresError(cause) && state !== TOO_SLOW) throw this.#letters.lostConnection(cause);
    return new RejotError("DEAD_LETTER_FAILED", { detail, cause, ...context });
  }

  async #note(letter: NotedLetter, { code, message }: RejotError): Promise<void> {
    if (this.#options.dryRun) return;
    const { client, group } = this.#letters;
    const noted = { code, message: message.slice(0, MAX_MESSAGE_CHARACTERS) };
    await this.#letters.query(() => noteFailure(client, group, letter, noted));
  }
}

/** A letter, and where its consumer schema goes on: the events before are applied or set aside. */
interface Now extends LetterNow {
  readonly nextOffset: number;
}

/** Undefined when the letter, or all progress, was forgotten meanwhile. */
async function lookNow(
  client: Parameters<typeof lookAt>[0],
  group: string,
  letter: NotedLetter,
  lock: boolean,
): Promise<Now | undefined> {
  const nextOffset = await readPlace(client, group, letter, lock);
  // Only now: what it sees was committed while the lock was waited for.
  const found = await lookAt(client, group, letter, lock);
  return nextOffset === undefined || found === undefined ? undefined : { ...found, nextOffset };
}

/** The letter itself is to blame. */
class LetterFailed extends Error {
  readonly error: RejotError;

  constructor(error: RejotError) {
    super(error.message);
    this.error = error;
  }
}

const MAX_MESSAGE_CHARACTERS = 4_000;

function nameOf({ topic, partition, consumerName }: NotedLetter, offset: number): string {
  return JSON.stringify([topic, partition, offset, consumerName]);
}
