import { RejotError } from "../../shared/errors/error.ts";
import type { KafkaReader, PartitionBounds } from "../../shared/kafka/kafka-reader.ts";
import type { AppliedOffsets, BatchComparison, DestinationCheck, TopicEvent } from "./destination.ts";
import { Findings } from "./findings.ts";
import {
  encodeKeyRecord,
  KIND,
  type Kind,
  keyRecord,
  type Place,
  placeName,
  readKeyRecords,
} from "./key-records.ts";
import { keyStates } from "./key-states.ts";
import { LivePlaces } from "./live-places.ts";
import { newReport, type PairReport } from "./pair-report.ts";
import type { AuditSettings } from "./source-audit.ts";
import { SpillFile } from "./spill-file.ts";
import { MOVING, Suspects } from "./suspects.ts";
import { commitLsnOf, countWithin, topicRecords } from "./topic-records.ts";

const BATCH_EVENTS = 1_000;
const BATCH_BYTES = 4 * 1024 * 1024;

export interface DestinationAuditOptions extends AuditSettings {
  readonly about: Pick<
    PairReport,
    "kind" | "manifest" | "dataStore" | "publicSchema" | "consumerSchema" | "topic"
  >;
  /** A check for each round. */
  readonly createCheck: () => DestinationCheck;
  readonly reader: KafkaReader;
}

/** What one round has found, at offsets of its own. */
interface Round {
  readonly report: PairReport;
  readonly suspects: Suspects;
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

  /** Fills the report. Throws POSTGRES_*, SINK_*, VERIFY_*, KAFKA_*, REGISTRY_*. */
  async run(): Promise<void> {
    let before: Round | undefined;
    try {
      for (let round = 1; round <= this.#options.rounds; round++) {
        const next = await this.#round(before);
        before?.suspects[Symbol.dispose]();
        before = next;
        this.report = next.report;
        this.report.rounds = round;
        const extras = this.report.extra?.count ?? 0;
        if (this.report.incomparable !== null || (next.suspects.open === 0 && (extras === 0 || round > 1)))
          break;
      }
      const findings = this.#findings(this.report);
      for (const key of before?.suspects.openKeys() ?? []) await findings.unsettled(key);
    } finally {
      before?.suspects[Symbol.dispose]();
    }
  }

  async #round(before: Round | undefined): Promise<Round> {
    const { createCheck, about, workDir } = this.#options;
    const report = newReport(about);
    const suspects = new Suspects(workDir, 0);
    const check = createCheck();
    try {
      const opened = await check.open();
      if (opened.kind === "incomparable") report.incomparable = opened.reason;
      else {
        report.notes.push(...opened.notes);
        await this.#compare(check, opened.applied, { report, suspects }, before);
      }
      return { report, suspects };
    } catch (error) {
      suspects[Symbol.dispose]();
      throw error;
    } finally {
      await check.close();
    }
  }

  async #compare(
    check: DestinationCheck,
    applied: AppliedOffsets,
    round: Round,
    before: Round | undefined,
  ): Promise<void> {
    const { reader, signal, workDir, about } = this.#options;
    const { report } = round;
    report.position = Object.fromEntries([...applied].map(([at, offset]) => [String(at), String(offset)]));
    const bounds = await reader.bounds([about.topic], signal);
    requireRead(bounds, applied, about.topic);
    using places = new LivePlaces(workDir, bounds);
    using file = new SpillFile(workDir, countWithin(bounds));
    await this.#spillTopic(file, bounds, applied);
    for (let bucket = 0; bucket < file.buckets; bucket++) choose(file.read(bucket), places);
    await this.#handOver(check, bounds, places, round, before);
    await this.#takeExtras(check, report, before);
  }

  async #spillTopic(
    file: SpillFile,
    bounds: readonly PartitionBounds[],
    applied: AppliedOffsets,
  ): Promise<void> {
    const highest = new Map<number, bigint>();
    let done = 0;
    for await (const { partition, records } of topicRecords(
      this.#options.reader,
      bounds,
      this.#options.signal,
    )) {
      for (const record of records) {
        const { key, value, offset } = record;
        const sequence = larger(highest.get(partition) ?? 0n, commitLsnOf(record));
        highest.set(partition, sequence);
        if (key === null) continue;
        const isApplied = offset < (applied.get(partition) ?? 0n);
        const kind = !isApplied ? KIND.later : value === null ? KIND.tombstone : KIND.live;
        const known = keyRecord(kind, key, { sequence, place: { partition, offset } });
        file.append(file.bucketOf(key), encodeKeyRecord(known));
      }
      done += records.length;
      this.#tell(done, "records of the topic");
    }
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

  async #takeExtras(check: DestinationCheck, report: PairReport, before: Round | undefined): Promise<void> {
    const extras = await check.extras();
    if (extras.kind === "unknown") {
      report.extra = null;
      report.notes.push(`extra rows are not looked for: ${extras.reason}`);
      return;
    }
    // A row that stands for an event which compaction took away while the topic was read is not extra the next time.
    const count =
      before === undefined ? extras.count : Math.min(extras.count, before.report.extra?.count ?? 0);
    report.extra = { count, first: count === 0 ? [] : [...extras.first] };
    report.keys += count;
  }

  #findings(report: PairReport): Findings {
    return new Findings(report, this.#options.registry, this.#options.show);
  }

  #tell(done: number, what: string): void {
    const { consumerSchema } = this.#options.about;
    this.#options.onProgress(`${consumerSchema}: ${done.toLocaleString("en-US")} ${what}`);
  }
}

/** Told what comparing a batch has found, and which of its events a later one may have taken the place of. */
type OnCompared = (compared: BatchComparison, isMoving: (place: Place) => boolean) => Promise<void>;

/** Events on their way to the check, about a thousand at once. */
class EventBatch {
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

/** Chooses the events that stand for the keys of a bucket. */
function choose(records: Buffer, places: LivePlaces): void {
  for (const { event, later } of keyStates(readKeyRecords(records)).values()) {
    if (event?.kind === KIND.live) places.add(event.place, later === undefined ? KIND.live : KIND.suspect);
    else if (later !== undefined) places.add(later, KIND.later);
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
