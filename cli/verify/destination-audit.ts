import { RejotError } from "../../shared/errors/error.ts";
import type { KafkaReader, PartitionBounds } from "../../shared/kafka/kafka-reader.ts";
import { delay } from "../../shared/lifecycle/backoff.ts";
import { plural } from "../report.ts";
import type { AppliedOffsets, BatchComparison, DestinationCheck, Opened, TopicEvent } from "./destination.ts";
import { EventBatch } from "./event-batch.ts";
import { Findings } from "./findings.ts";
import {
  encodeKeyRecord,
  type KeyRecord,
  KIND,
  keyRecord,
  NOWHERE,
  type Place,
  recordsOf,
} from "./key-records.ts";
import { keyStates, maybeOvertaken } from "./key-states.ts";
import { LivePlaces } from "./live-places.ts";
import { newReport, type PairReport } from "./pair-report.ts";
import type { SinkWatch } from "./sink-watch.ts";
import type { AuditSettings } from "./source-audit.ts";
import { SpillFile } from "./spill-file.ts";
import { MOVING, Suspects } from "./suspects.ts";
import { commitLsnOf, countWithin, topicRecords } from "./topic-records.ts";

const POLL_MS = 250;

export interface DestinationAuditOptions extends AuditSettings {
  readonly about: Pick<
    PairReport,
    "kind" | "manifest" | "dataStore" | "publicSchema" | "consumerSchema" | "topic"
  >;
  /** A check for each round. */
  readonly createCheck: () => DestinationCheck;
  readonly reader: KafkaReader;
  /** Of all comparisons with the destination: one that stands still is waited for once. */
  readonly watch: SinkWatch;
}

/** A check in its snapshot, and what there was to read of the topic just after it was taken. */
interface Begun {
  readonly check: DestinationCheck;
  readonly opened: Opened;
  readonly bounds: readonly PartitionBounds[];
}

/** What one round has found, at offsets of its own. */
interface Round {
  readonly report: PairReport;
  readonly suspects: Suspects;
  /** Rows that are too much, by their keys as JSON. */
  readonly extras: Suspects;
}

/**
 * Compares the latest live event of each key, of those that a destination has applied, with what is there. The
 * destination's own progress says exactly which events those are; a difference counts when it stands in two rounds
 * with the very same event all the same: compaction may take an event away while its topic is read.
 */
export class DestinationAudit {
  report: PairReport;
  readonly #options: DestinationAuditOptions;

  constructor(options: DestinationAuditOptions) {
    this.#options = options;
    this.report = newReport(options.about);
  }

  /**
   * Fills the report. Throws POSTGRES_*, SINK_*, VERIFY_*, KAFKA_*, REGISTRY_*; VERIFY_SINK_BEHIND also when the report
   * is complete.
   */
  async run(): Promise<void> {
    const startedMs = performance.now();
    let before: Round | undefined;
    try {
      for (let round = 1; round <= this.#options.rounds; round++) {
        const next = await this.#round(before, startedMs);
        if (before !== undefined) dispose(before);
        before = next;
        this.report = next.report;
        this.report.rounds = round;
        if (this.report.incomparable !== null) return;
        const extras = this.report.extra?.count ?? 0;
        if (next.suspects.open === 0 && (extras === 0 || round > 1)) break;
      }
      const findings = this.#findings(this.report);
      for (const key of before?.suspects.openKeys() ?? []) await findings.unsettled(key);
      this.report.compared = true;
    } finally {
      if (before !== undefined) dispose(before);
    }
    await this.#requireApplying(startedMs);
  }

  async #round(before: Round | undefined, startedMs: number): Promise<Round> {
    const { about, workDir } = this.#options;
    const { check, opened, bounds } = await this.#begin(startedMs);
    const report = newReport(about);
    const records = countWithin(bounds);
    const round = {
      report,
      suspects: new Suspects(workDir, records),
      extras: new Suspects(workDir, records),
    };
    try {
      if (opened.kind === "incomparable") report.incomparable = opened.reason;
      else {
        report.notes.push(...opened.notes);
        const applied = opened.progress.applied ?? new Map<number, bigint>();
        await this.#compare(check, applied, bounds, round, before);
      }
      return round;
    } catch (error) {
      dispose(round);
      throw error;
    } finally {
      await check.close();
    }
  }

  /** Opens a check in which something is applied, unless there is nothing to apply. */
  async #begin(startedMs: number): Promise<Begun> {
    const { createCheck, reader, signal, about, watch } = this.#options;
    for (;;) {
      const check = createCheck();
      try {
        const opened = await check.open();
        const bounds = await reader.bounds([about.topic], signal);
        const begun = { check, opened, bounds };
        if (opened.kind === "incomparable") return begun;
        watch.see(opened.progress, performance.now());
        if (opened.progress.applied !== undefined || countWithin(bounds) === 0) return begun;
        await this.#awaitMoving(check, startedMs, "it has applied nothing of it yet");
        await delay(Math.min(POLL_MS, this.#options.timeoutMs), signal);
      } catch (error) {
        await check.close();
        throw error;
      }
      await check.close();
    }
  }

  /** Throws VERIFY_SINK_BEHIND when events wait and the sink stands still. */
  async #requireApplying(startedMs: number): Promise<void> {
    const { createCheck, about, watch } = this.#options;
    const { behind } = this.report;
    if (behind === null || behind === 0 || watch.movedSince(about.topic, this.#name, startedMs)) return;
    const check = createCheck();
    try {
      if ((await check.open()).kind === "open")
        await this.#awaitMoving(check, startedMs, `${behind.toLocaleString("en-US")} of its records wait`);
    } finally {
      await check.close();
    }
  }

  /** As the sink calls the consumer schema. */
  get #name(): string {
    const { manifest, consumerSchema } = this.#options.about;
    return `${manifest}/${consumerSchema}`;
  }

  async #awaitMoving(check: DestinationCheck, startedMs: number, what: string): Promise<void> {
    const { about, watch, timeoutMs, signal } = this.#options;
    for (;;) {
      watch.see(await check.progress(), performance.now());
      if (watch.movedSince(about.topic, this.#name, startedMs)) return;
      const stillMs = watch.stillMs(about.topic, this.#name, performance.now());
      if (stillMs >= timeoutMs)
        throw new RejotError("VERIFY_SINK_BEHIND", {
          detail: `${about.topic}: ${what}, and the offsets have not moved for ${Math.floor(stillMs / 1_000)} s`,
          context: { topic: about.topic },
        });
      await delay(Math.min(POLL_MS, timeoutMs), signal);
    }
  }

  async #compare(
    check: DestinationCheck,
    applied: AppliedOffsets,
    bounds: readonly PartitionBounds[],
    round: Round,
    before: Round | undefined,
  ): Promise<void> {
    const { workDir, about } = this.#options;
    const { report } = round;
    report.position = Object.fromEntries([...applied].map(([at, offset]) => [String(at), String(offset)]));
    requireRead(bounds, applied, about.topic);
    using places = new LivePlaces(workDir, bounds);
    using file = new SpillFile(workDir, countWithin(bounds));
    report.behind = await this.#spillTopic(file, bounds, applied);
    if (report.behind > 0)
      report.notes.push(
        `the destination is ${plural(report.behind, "record")} behind the topic, and compared where it is`,
      );
    for (let bucket = 0; bucket < file.buckets; bucket++) choose(recordsOf(file, bucket), places);
    await this.#handOver(check, bounds, places, round, before);
    await this.#takeExtras(check, round, before);
  }

  /** Gives the number of records that are not applied. */
  async #spillTopic(
    file: SpillFile,
    bounds: readonly PartitionBounds[],
    applied: AppliedOffsets,
  ): Promise<number> {
    const highest = new Map<number, bigint>();
    let done = 0;
    let behind = 0;
    for await (const { partition, records } of topicRecords(
      this.#options.reader,
      bounds,
      this.#options.signal,
    )) {
      for (const record of records) {
        const { key, value, offset } = record;
        const sequence = larger(highest.get(partition) ?? 0n, commitLsnOf(record));
        highest.set(partition, sequence);
        const isApplied = offset < (applied.get(partition) ?? 0n);
        if (!isApplied) behind++;
        if (key === null) continue;
        const kind = !isApplied ? KIND.later : value === null ? KIND.tombstone : KIND.live;
        const known = keyRecord(kind, key, { sequence, place: { partition, offset } });
        file.append(file.bucketOf(key), encodeKeyRecord(known));
      }
      done += records.length;
      this.#tell(done, "records of the topic");
    }
    return behind;
  }

  /** Reads the topic again, and hands over the events that were chosen. */
  async #handOver(
    check: DestinationCheck,
    bounds: readonly PartitionBounds[],
    places: LivePlaces,
    round: Round,
    before: Round | undefined,
  ): Promise<void> {
    const { reader, signal } = this.#options;
    const batch = new EventBatch(check, (compared, isMoving) =>
      this.#judge(compared, isMoving, round, before),
    );
    let done = 0;
    for await (const { partition, records } of topicRecords(reader, bounds, signal)) {
      for (const { key, value, offset } of records) {
        const kind = key === null ? undefined : places.get({ partition, offset });
        if (key === null || kind === undefined) continue;
        await batch.add({ partition, offset, key, value }, kind);
        done++;
      }
      this.#tell(done, "objects of the destination");
    }
    await batch.flush();
  }

  async #judge(
    compared: BatchComparison,
    isMoving: (place: Place) => boolean,
    { report, suspects }: Round,
    before: Round | undefined,
  ): Promise<void> {
    const findings = this.#findings(report);
    findings.equal(compared.equal);
    const stands = (event: TopicEvent): boolean => {
      const place = isMoving(event) ? MOVING : event;
      const same = place !== MOVING && (before?.suspects.mayHaveBeen(event.key, place) ?? false);
      if (same) suspects.addSettled(event.key, place);
      else suspects.add(event.key, place);
      return same;
    };
    for (const event of compared.missing) if (stands(event)) await findings.missing(event.key);
    for (const { event, fields } of compared.different)
      if (stands(event)) await findings.different(event.key, fields);
    for (const { event, reason } of compared.undecodable)
      if (stands(event)) await findings.undecodable(event.key, event, reason);
  }

  /** A row counts as too much when it was so in the round before as well: compaction may take its event away meanwhile. */
  async #takeExtras(
    check: DestinationCheck,
    { report, extras }: Round,
    before: Round | undefined,
  ): Promise<void> {
    const found = await check.extras();
    if (found.kind === "unknown") {
      report.extra = null;
      report.notes.push(`extra rows are not looked for: ${found.reason}`);
      return;
    }
    const counted = { count: 0, first: [] as string[] };
    for (const key of found.keys) {
      const name = Buffer.from(key);
      extras.add(name, NOWHERE);
      if (before?.extras.mayHave(name) === false) continue;
      counted.count++;
      if (counted.first.length < this.#options.show) counted.first.push(key);
    }
    report.extra = counted;
    report.keys += counted.count;
  }

  #findings(report: PairReport): Findings {
    return new Findings(report, this.#options.registry, this.#options.show);
  }

  #tell(done: number, what: string): void {
    const { consumerSchema } = this.#options.about;
    this.#options.onProgress(`${consumerSchema}: ${done.toLocaleString("en-US")} ${what}`);
  }
}

function dispose({ suspects, extras }: Round): void {
  suspects[Symbol.dispose]();
  extras[Symbol.dispose]();
}

/**
 * Chooses the events that stand for the keys of a bucket. One that a later event may have overtaken is marked: its row
 * is only ever equal, or not to be judged. Where nothing but a later event is left, its row is accounted for.
 */
function choose(records: Iterable<KeyRecord>, places: LivePlaces): void {
  for (const state of keyStates(records).values()) {
    const { event, later } = state;
    const isOvertaken = maybeOvertaken(state);
    if (event?.kind === KIND.live) places.add(event.place, isOvertaken ? KIND.suspect : KIND.live);
    else if (isOvertaken && later !== undefined) places.add(later, KIND.later);
  }
}

/** The destination must have applied events of this very topic, and none that it does not have. */
function requireRead(bounds: readonly PartitionBounds[], applied: AppliedOffsets, topic: string): void {
  for (const [partition, offset] of applied) {
    const end = bounds.find((at) => at.partition === partition)?.end ?? 0n;
    if (offset > end)
      throw new RejotError("SINK_TOPIC_RECREATED", {
        detail: `${topic}/${partition} ends at ${end}, and ${offset} is applied`,
      });
  }
}

function larger(a: bigint, b: bigint | undefined): bigint {
  return b === undefined || b < a ? a : b;
}
