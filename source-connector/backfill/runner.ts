import { randomUUID } from "node:crypto";
import { isRetryable, RejotError } from "../../shared/errors/error.ts";
import {
  type BackfillCommand,
  type BackfillRecord,
  encodeBackfill,
} from "../../shared/kafka/backfill-record.ts";
import { backoffDelayMs, delay } from "../../shared/lifecycle/backoff.ts";
import type { Logger } from "../../shared/observability/logger.ts";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import type { ChunkReader, Encoder } from "../ports.ts";
import type { ChunkWindows, Window } from "./chunk-windows.ts";
import { afterChunk, beginning, newRecord, obeyed, withTables } from "./course.ts";
import { Rate } from "./rate.ts";

/** A public schema as its backfill knows it. */
export interface BackfilledTopic {
  /** Index into the source's public schemas. */
  readonly schema: number;
  /** Its name in records and commands. */
  readonly name: string;
  readonly topic: string;
  readonly mode: "auto" | "manual";
}

/** What a runner works with. */
export interface RunnerOptions {
  readonly topics: readonly BackfilledTopic[];
  /** What the progress topic says, by name. */
  readonly records: ReadonlyMap<string, BackfillRecord>;
  readonly reader: ChunkReader;
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

interface Counts {
  events: number;
  overtaken: number;
}

interface Job extends BackfilledTopic {
  /** With everything that is on its way. */
  record: BackfillRecord | undefined;
  /** Of what has landed; another object for another record. */
  counts: Counts;
  /** Whether the tables were looked up in this session. */
  ready: boolean;
  /** Failed attempts at the same chunk, one after the other. */
  attempts: number;
  /** When the rate allows the next chunk. */
  notBeforeMs: number;
  readonly rate: Rate;
}

interface OnItsWay {
  readonly job: Job;
  readonly window: Window;
  readonly record: BackfillRecord;
  readonly counts: Counts;
}

/** The next chunk is read while one is on its way through the WAL, no more: each holds its rows in memory. */
const MAX_ON_THEIR_WAY = 2;
/** A chunk that fails is read again with half of its rows; that often, before what fails is believed to last. */
const HALVES = 10;
const TELL_OF_WAITING_MS = 5_000;

/** Reads what is already there, chunk after chunk, one public schema after the other, beside the stream. */
export class BackfillRunner {
  readonly #options: RunnerOptions;
  readonly #jobs: readonly Job[];
  readonly #commands: { job: Job; command: BackfillCommand }[] = [];
  readonly #stop = new AbortController();
  #onTheirWay: OnItsWay[] = [];
  #wake: PromiseWithResolvers<void> | undefined;
  #quiet = false;
  #progressed = false;
  /** Whether the reader was told that there is nothing to read. */
  #rests = true;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#jobs = options.topics.map((topic) => {
      const record = options.records.get(topic.name);
      const counts = { events: record?.events ?? 0, overtaken: record?.overtaken ?? 0 };
      return { ...topic, record, counts, ready: false, attempts: 0, notBeforeMs: 0, rate: new Rate() };
    });
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
    this.#wake?.resolve();
  }

  /** Everything up to this commit is in the topics. */
  durable(commitLsn: Lsn): void {
    while (this.#onTheirWay[0] !== undefined) {
      const { job, window, record, counts } = this.#onTheirWay[0];
      if (window.landedAt === undefined || window.landedAt > commitLsn) return;
      this.#onTheirWay.shift();
      this.#progressed = true;
      job.rate.measure(record.rows, performance.now());
      this.#tell(job, { ...record, ...counts });
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
    if (what === "start") this.#renew(job, this.#newRecord(job, null, null, job.record?.command ?? null));
    if (what === "go on" && job.record?.state === "failed")
      job.record = { ...job.record, state: "running", error: null };
    if (job.record !== undefined) this.#tell(job, job.record);
    if (what !== "rest")
      this.#options.log.info({ schema: job.name, backfill: job.record }, `backfill: ${what}`);
  }

  #newRecord(
    job: Job,
    where: string | null,
    rowsPerSecond: number | null,
    command: string | null,
  ): BackfillRecord {
    const uses = this.#options.reader.uses(job.schema);
    return newRecord({ id: randomUUID(), uses, where, rowsPerSecond, command, nowMs: Date.now() });
  }

  #renew(job: Job, record: BackfillRecord): void {
    job.record = record;
    job.counts = { events: record.events, overtaken: record.overtaken };
    job.ready = false;
    job.attempts = 0;
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
    const timer = ms > 0 && Number.isFinite(ms) ? setTimeout(wake.resolve, ms) : undefined;
    await wake.promise;
    clearTimeout(timer);
    this.#wake = undefined;
  }

  async #obey(job: Job, command: BackfillCommand): Promise<void> {
    const { where, rowsPerSecond, id } = command;
    const begin = () => this.#newRecord(job, where, rowsPerSecond, id);
    const record = obeyed(job.record, command, Date.now(), begin);
    if (record === undefined) return;
    this.#options.log.info({ schema: job.name, command }, "backfill: following a command");
    if (record.id === job.record?.id) job.record = record;
    else this.#renew(job, record);
    job.ready = false;
    job.attempts = 0;
    await this.#write(job, record);
  }

  async #step(job: Job): Promise<void> {
    this.#rests = false;
    try {
      if (!this.#quiet) await this.#quiesce();
      if (!job.ready) await this.#prepare(job);
      await this.#chunk(job);
    } catch (error) {
      if (!this.#stop.signal.aborted) await this.#failed(job, error);
    }
  }

  async #quiesce(): Promise<void> {
    const { reader, log } = this.#options;
    const tell = () => log.info("backfill: waits for transactions to end that were writing when it began");
    const timer = setTimeout(tell, TELL_OF_WAITING_MS);
    await reader.quiesce().finally(() => clearTimeout(timer));
    this.#quiet = true;
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
    const { windows, reader, encoder, unproven, chunkRows, chunkBytes } = this.#options;
    const record = job.record as BackfillRecord;
    const table = record.tables[record.at];
    if (table === undefined) return this.#write(job, { ...record, state: "done" });
    const limit = record.rowsPerSecond ?? this.#options.rowsPerSecond;
    const atMost = limit > 0 ? Math.min(chunkRows, limit) : chunkRows;
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
      await this.#send(job, window, events, job.record);
    } catch (error) {
      window.close();
      throw error;
    }
  }

  /** Makes a change of state durable, as a chunk without rows. */
  async #write(job: Job, record: BackfillRecord): Promise<void> {
    job.record = record;
    await this.#send(job, this.#options.windows.open(job.topic), [], record);
  }

  async #send(
    job: Job,
    window: Window,
    events: Parameters<Window["hold"]>[0]["events"],
    record: BackfillRecord,
  ): Promise<void> {
    const mark = randomUUID();
    const { counts } = job;
    window.hold({
      mark,
      events,
      note: (landed) => {
        counts.events += landed.events;
        counts.overtaken += landed.overtaken;
        return encodeBackfill(job.name, { ...record, ...counts });
      },
    });
    this.#onTheirWay.push({ job, window, record, counts });
    try {
      await this.#options.sendMark(mark);
    } catch (error) {
      // Whether it was sent is not known: a new session reads the chunk again, or finds that it went through.
      this.stop();
      this.#options.onFailure(error);
    }
  }

  async #failed(job: Job, error: unknown): Promise<void> {
    const { log, onFailure } = this.#options;
    // A new session plans the statements anew. One that came no further shows that it is not that.
    const isOutdated = error instanceof RejotError && error.code === "TRANSFORMATION_OUTDATED";
    if (isOutdated && this.#progressed) return onFailure(error);
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
    if (isRunning) this.#options.windows.watch(job.topic);
    else this.#options.windows.unwatch(job.topic);
    this.#options.onChange(job.name, record, isRunning ? job.rate.perSecond : undefined);
    if (record.state === "done")
      this.#options.log.info({ schema: job.name, backfill: record }, "backfill: done");
  }
}
