import { randomUUID } from "node:crypto";
import { isRetryable, RejotError } from "../../shared/errors/error.ts";
import {
  type BackfillCommand,
  type BackfillRecord,
  encodeBackfill,
  MIN_ROWS_PER_SECOND,
} from "../../shared/kafka/backfill-record.ts";
import { untilAborted } from "../../shared/lifecycle/abort.ts";
import { backoffDelayMs, delay } from "../../shared/lifecycle/backoff.ts";
import type { Logger } from "../../shared/observability/logger.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import type { ChunkReader, Encoder, TopicKeys } from "../ports.ts";
import type { ChunkWindows, Window } from "./chunk-windows.ts";
import { afterChunk, beginning, isRefused, type Order, obeyed, restarted, withTables } from "./course.ts";
import {
  type BackfilledTopic,
  type Counts,
  countsOf,
  type Job,
  newJob,
  refresh,
  tombstoneOf,
} from "./job.ts";
import { Removal } from "./removal.ts";

/** What a runner works with. */
export interface RunnerOptions {
  readonly topics: readonly BackfilledTopic[];
  /** What the progress topic says, by name. */
  readonly records: ReadonlyMap<string, BackfillRecord>;
  readonly reader: ChunkReader;
  readonly keys: TopicKeys;
  readonly encoder: Encoder;
  readonly windows: ChunkWindows;
  /** Transactions that were merged and may be missing in a snapshot taken now. */
  readonly unproven: () => ReadonlySet<number>;
  /** Sends a mark through the WAL, in a transaction of its own. */
  readonly sendMark: (mark: string) => Promise<void>;
  readonly chunkRows: number;
  readonly chunkBytes: number;
  /** Of backfills that were not given a rate of their own; 0 is no limit. */
  readonly rowsPerSecond: number;
  readonly onChange: (name: string, record: BackfillRecord, rowsPerSecond: number | undefined) => void;
  /** The session has to end: what is wrong concerns the stream as well, or goes away with a new session. */
  readonly onFailure: (error: unknown) => void;
  readonly log: Logger;
}

interface OnItsWay {
  readonly job: Job;
  readonly window: Window;
  readonly record: BackfillRecord;
  readonly counts: Counts;
  /** Resolved when it is in the topics. */
  readonly durable: PromiseWithResolvers<void>;
}

/** The next chunk is read while one is on its way through the WAL, no more: each holds its rows in memory. */
const MAX_ON_THEIR_WAY = 2;
/** A chunk that fails is read again with half of its rows; that often, before what fails is believed to last. */
const HALVES = 10;
const TELL_OF_WAITING_MS = 1_000;
/** Timers that are set for longer go off at once. */
const MAX_SLEEP_MS = 2 ** 31 - 1;

/** Reads what is already there, chunk after chunk, one public schema after the other, beside the stream. */
export class BackfillRunner {
  readonly #options: RunnerOptions;
  readonly #jobs: readonly Job[];
  readonly #commands: { job: Job; command: BackfillCommand }[] = [];
  readonly #stop = new AbortController();
  #onTheirWay: OnItsWay[] = [];
  #wake: PromiseWithResolvers<void> | undefined;
  #quiet = false;
  /** Goes on while commands are followed. */
  #quiescing: Promise<void> | undefined;
  /** Aborted when a command comes: looking for keys in a large topic takes long. */
  #interrupt = new AbortController();
  #progressed = false;
  /** Whether the reader was told that there is nothing to read. */
  #rests = true;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#jobs = options.topics.map((topic) => newJob(topic, options.records.get(topic.name)));
  }

  /** Begins what is new and goes on with what is under way. */
  start(): void {
    for (const job of this.#jobs) this.#begin(job);
    this.#run().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.#options.onFailure(error);
    });
  }

  /** Follows a command soon. One that was followed already is passed over. */
  command(name: string, command: BackfillCommand): void {
    const job = this.#jobs.find((candidate) => candidate.name === name);
    if (job === undefined) return;
    this.#commands.push({ job, command });
    this.#interrupt.abort();
    this.#wake?.resolve();
  }

  /** Everything up to this commit is in the topics. */
  durable(commitLsn: Lsn): void {
    while (this.#onTheirWay[0] !== undefined) {
      const { job, window, record, counts, durable } = this.#onTheirWay[0];
      if (window.landedAt === undefined || window.landedAt > commitLsn) return;
      this.#onTheirWay.shift();
      this.#progressed = true;
      job.rate.measure(record.rows, performance.now());
      this.#tell(job, { ...record, ...counts });
      durable.resolve();
      this.#wake?.resolve();
    }
  }

  /** Reads nothing any more. What is on its way comes to nothing unless its mark comes by. */
  stop(): void {
    this.#stop.abort();
    this.#wake?.resolve();
  }

  #begin(job: Job): void {
    const uses = this.#options.reader.uses(job.schema);
    const what = beginning(job.mode, uses, job.record);
    if (what === "start") {
      const order = this.#order(job, null, null, job.record?.command ?? null);
      this.#renew(job, restarted(job.record, order));
    }
    if (what === "go on" && job.record !== undefined) {
      const isFailed = job.record.state === "failed";
      job.record = { ...job.record, waits: false, ...(isFailed ? { state: "running", error: null } : {}) };
    }
    const { state, error } = job.record ?? {};
    if (state === "paused" && error != null) this.#options.log.warn({ schema: job.name }, error);
    if (job.record !== undefined) this.#tell(job, job.record);
    if (what !== "rest")
      this.#options.log.info({ schema: job.name, backfill: job.record }, `backfill: ${what}`);
  }

  #order(job: Job, where: string | null, rowsPerSecond: number | null, command: string | null): Order {
    const uses = this.#options.reader.uses(job.schema);
    return { id: randomUUID(), uses, where, rowsPerSecond, command, nowMs: Date.now() };
  }

  #renew(job: Job, record: BackfillRecord): void {
    job.record = record;
    job.counts = countsOf(record);
    job.removal = undefined;
    refresh(job);
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const given = this.#commands.shift();
      if (given !== undefined) {
        await this.#obey(given.job, given.command);
        continue;
      }
      const job = this.#jobs.find(({ record }) => record?.state === "running");
      const waitMs = job === undefined ? Number.POSITIVE_INFINITY : job.notBeforeMs - performance.now();
      if (job === undefined && this.#onTheirWay.length === 0 && !this.#rests) {
        this.#rests = true;
        this.#quiescing = undefined;
        await this.#options.reader.rest();
        continue;
      }
      if (job === undefined || waitMs > 0 || this.#onTheirWay.length >= MAX_ON_THEIR_WAY) {
        await this.#sleep(waitMs);
        continue;
      }
      await this.#step(job);
    }
  }

  /** Until there is something to do, at the latest for as long as said, when that is a time at all. */
  async #sleep(ms: number): Promise<void> {
    const wake = Promise.withResolvers<void>();
    this.#wake = wake;
    const isTime = ms > 0 && Number.isFinite(ms);
    const timer = isTime ? setTimeout(wake.resolve, Math.min(ms, MAX_SLEEP_MS)) : undefined;
    await wake.promise;
    clearTimeout(timer);
    this.#wake = undefined;
  }

  async #obey(job: Job, command: BackfillCommand): Promise<void> {
    const { where, rowsPerSecond, id } = command;
    const begin = () => restarted(job.record, this.#order(job, where, rowsPerSecond, id));
    const record = obeyed(job.record, command, Date.now(), begin);
    if (record === undefined) return;
    if (isRefused(job.record, command)) this.#tellRefused(job, where);
    else this.#options.log.info({ schema: job.name, command }, "backfill: following a command");
    if (record.id === job.record?.id) refresh(job);
    else this.#renew(job, record);
    await this.#write(job, record);
  }

  #tellRefused(job: Job, where: string | null): void {
    const { code, message, hint } = new RejotError("BACKFILL_UNFINISHED", { detail: `WHERE ${where}` });
    this.#options.log.warn({ code, schema: job.name, hint }, message);
  }

  async #step(job: Job): Promise<void> {
    this.#rests = false;
    try {
      if (!this.#quiet && !(await this.#quiesce(job))) return;
      if (!job.watched && !(await this.#watch(job))) return;
      if (!job.ready) await this.#prepare(job);
      await this.#chunk(job);
    } catch (error) {
      if (!this.#stop.signal.aborted) await this.#failed(job, error);
    }
  }

  /** Whether it is quiet: a command comes first, and the waiting goes on behind it. */
  async #quiesce(job: Job): Promise<boolean> {
    const quiescing = this.#quiescing ?? this.#options.reader.quiesce();
    this.#quiescing = quiescing;
    quiescing.catch(() => {
      // Nobody may be waiting for it now. The next step tries again.
      if (this.#quiescing === quiescing) this.#quiescing = undefined;
    });
    const timer = setTimeout(() => void this.#tellOfWaiting(job), TELL_OF_WAITING_MS);
    try {
      this.#quiet = await this.#unlessInterrupted((signal) => untilAborted(quiescing, signal));
    } finally {
      clearTimeout(timer);
    }
    return this.#quiet;
  }

  async #tellOfWaiting(job: Job): Promise<void> {
    const record = job.record as BackfillRecord;
    if (record.waits) return;
    this.#options.log.info(
      { schema: job.name },
      "backfill: waits for transactions to end that were writing when it began",
    );
    await this.#write(job, { ...record, waits: true, updatedAt: Date.now() });
  }

  /**
   * Lets a mark pass through the stream: what comes behind it was made later than everything that the backfill waited for. An
   * event from before may lack what a transaction wrote whose table was not published yet, or show a row as it was
   * before it was rewritten. It must hide nothing of what chunks read. Whether it is done; a command comes first.
   */
  async #watch(job: Job): Promise<boolean> {
    const { durable } = await this.#write(job, { ...(job.record as BackfillRecord), waits: false });
    if (!(await this.#unlessInterrupted((signal) => untilAborted(durable.promise, signal)))) return false;
    // The mark was behind the beginning of all that are under way.
    for (const each of this.#jobs) {
      if (each.record?.state !== "running" || each.watched) continue;
      each.watched = true;
      this.#options.windows.watch(each.topic);
    }
    return true;
  }

  async #prepare(job: Job): Promise<void> {
    const { reader } = this.#options;
    const record = job.record as BackfillRecord;
    const tables = await reader.tables(job.schema);
    let estimate = 0;
    for (const table of tables) estimate += await reader.estimate(table, record.where);
    job.record = withTables(record, tables, estimate);
    job.ready = true;
  }

  async #chunk(job: Job): Promise<void> {
    const { windows, reader, encoder, unproven, chunkBytes } = this.#options;
    const record = job.record as BackfillRecord;
    const table = record.tables[record.at];
    if (table === undefined && record.removal !== null) return this.#remove(job, record, record.removal.ends);
    if (table === undefined) return void (await this.#write(job, { ...record, state: "done" }));
    const { limit, atMost } = this.#limits(record);
    const maxRows = Math.max(1, Math.ceil(atMost / 2 ** job.attempts));
    const begunMs = performance.now();
    const window = windows.open(job.topic);
    try {
      const { schema } = job;
      const { after, where } = record;
      // Taken in the same moment as the window opens: what is merged from now on, the window sees.
      const contains = new Set(unproven());
      const chunk = await reader.read({
        schema,
        table,
        after,
        where,
        maxRows,
        maxBytes: chunkBytes,
        contains,
      });
      const events = await encoder.encode(chunk.events);
      if (window.overflown)
        throw new RejotError("BACKFILL_OVERTAKEN", { detail: `${table.table}, ${maxRows} rows` });
      job.record = afterChunk(record, chunk, Date.now());
      job.attempts = Math.max(0, job.attempts - 1);
      if (limit > 0) job.notBeforeMs = begunMs + (chunk.rows * 1_000) / limit;
      await this.#send(job, window, { op: "r", events }, job.record);
    } catch (error) {
      window.close();
      throw error;
    }
  }

  #limits(record: BackfillRecord): { limit: number; atMost: number } {
    const { chunkRows, rowsPerSecond } = this.#options;
    const wanted = record.rowsPerSecond ?? rowsPerSecond;
    // Commands of another version may ask for less.
    const limit = wanted > 0 ? Math.max(wanted, MIN_ROWS_PER_SECOND) : 0;
    return { limit, atMost: limit > 0 ? Math.max(1, Math.min(chunkRows, Math.floor(limit))) : chunkRows };
  }

  /**
   * A portion of what a rebuild removes: tombstones for keys that nobody has published since it began, put into the stream
   * as the rows of a chunk are. The long look through the topic comes first. Then a window opens, everything merged
   * before it is waited for, and what that has brought to the topic is read too: what changes from there on takes its
   * key out of the portion.
   */
  async #remove(job: Job, record: BackfillRecord, ends: Readonly<Record<string, string>>): Promise<void> {
    const { windows, encoder, keys } = this.#options;
    const { topic, schema } = job;
    const partition = record.removal?.partition ?? 0;
    job.removal ??= new Removal({ keys, topic, ends, partition, prefix: encoder.keyPrefix(schema) });
    const { removal } = job;
    if (!removal.isOver && !(await this.#unlessInterrupted((signal) => removal.catchUp(signal)))) return;
    if (removal.isEmpty && !removal.isOver) removal.next();
    if (removal.isOver) return this.#removed(job, record, removal.incomparable);
    if (removal.isEmpty) return;
    const { limit, atMost } = this.#limits(record);
    const begunMs = performance.now();
    const window = windows.open(topic);
    try {
      const { durable } = await this.#write(job, record);
      await untilAborted(durable.promise, this.#stop.signal);
      await removal.catchUp(this.#stop.signal);
      if (window.overflown) throw new RejotError("BACKFILL_OVERTAKEN", { detail: `removing from ${topic}` });
      const taken = removal.take(atMost);
      const events = taken.map((key) => tombstoneOf(topic, key));
      job.record = { ...record, removal: { ends, partition: removal.partition }, updatedAt: Date.now() };
      job.attempts = 0;
      if (limit > 0) job.notBeforeMs = begunMs + (taken.length * 1_000) / limit;
      await this.#send(job, window, { op: "d", events }, job.record);
    } catch (error) {
      window.close();
      throw error;
    }
  }

  async #removed(job: Job, record: BackfillRecord, incomparable: number): Promise<void> {
    if (incomparable > 0) {
      this.#options.log.warn(
        { schema: job.name, topic: job.topic, keys: incomparable },
        "rebuild: keys of another key schema, or of other programs, were left in the topic: whether they are gone is not known",
      );
    }
    await this.#write(job, { ...record, state: "done", removal: null, updatedAt: Date.now() });
  }

  /** Whether it was done; a command comes first. */
  async #unlessInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<boolean> {
    this.#interrupt = new AbortController();
    const { signal } = this.#interrupt;
    if (this.#commands.length > 0) return false;
    try {
      await work(AbortSignal.any([this.#stop.signal, signal]));
      return true;
    } catch (error) {
      if (signal.aborted && !this.#stop.signal.aborted) return false;
      throw error;
    }
  }

  /** Makes a change of state durable, as a chunk without rows. */
  async #write(job: Job, record: BackfillRecord): Promise<OnItsWay> {
    job.record = record;
    return this.#send(job, this.#options.windows.open(job.topic), { op: "r", events: [] }, record);
  }

  async #send(
    job: Job,
    window: Window,
    { op, events }: Pick<Parameters<Window["hold"]>[0], "op" | "events">,
    record: BackfillRecord,
  ): Promise<OnItsWay> {
    const mark = randomUUID();
    const { counts } = job;
    window.hold({
      mark,
      op,
      events,
      note: (landed) => {
        counts.events += landed.events;
        if (op === "d") counts.removed += landed.events;
        else counts.overtaken += landed.overtaken;
        return encodeBackfill(job.name, { ...record, ...counts });
      },
    });
    const onItsWay = { job, window, record, counts, durable: Promise.withResolvers<void>() };
    this.#onTheirWay.push(onItsWay);
    try {
      await this.#options.sendMark(mark);
    } catch (error) {
      // Whether it was sent is not known: a new session reads the chunk again, or finds that it went through.
      this.stop();
      this.#options.onFailure(error);
    }
    return onItsWay;
  }

  async #failed(job: Job, error: unknown): Promise<void> {
    const { log, onFailure } = this.#options;
    // A new session plans the statements anew. One that came no further shows that it is not that.
    const code = error instanceof RejotError ? error.code : undefined;
    if (code === "TRANSFORMATION_OUTDATED" && this.#progressed) return onFailure(error);
    // A new session finds the tables, and begins this one anew.
    if (code === "BACKFILL_KEY_CHANGED") return onFailure(error);
    if (isRetryable(error) && job.attempts < HALVES) {
      job.attempts++;
      log.warn({ err: error, schema: job.name, attempt: job.attempts }, "backfill: a chunk is read again");
      await delay(backoffDelayMs(job.attempts), this.#stop.signal).catch(() => {});
      return;
    }
    log.error({ err: error, schema: job.name }, "backfill: failed; the stream goes on");
    const text = error instanceof RejotError ? `${error.code}: ${error.message}` : String(error);
    await this.#write(job, { ...(job.record as BackfillRecord), state: "failed", error: text });
  }

  #tell(job: Job, record: BackfillRecord): void {
    const isRunning = record.state === "running";
    if (!isRunning) this.#options.windows.unwatch(job.topic);
    this.#options.onChange(job.name, record, isRunning ? job.rate.perSecond : undefined);
    if (record.state === "done")
      this.#options.log.info({ schema: job.name, backfill: record }, "backfill: done");
  }
}
