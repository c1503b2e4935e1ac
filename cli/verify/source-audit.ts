import { avroSchemasOf } from "../../shared/contracts/avro-schema.ts";
import { backfillName } from "../../shared/kafka/backfill-record.ts";
import type { KafkaReader, PartitionBounds } from "../../shared/kafka/kafka-reader.ts";
import type { ResolvedPublicSchema } from "../../shared/manifest/workspace.ts";
import { formatLsn, type Lsn } from "../../shared/postgres/lsn.ts";
import type { SchemaRegistry } from "../../shared/registry/schema-registry.ts";
import { FieldPrints, wholePrint } from "./field-prints.ts";
import { Findings } from "./findings.ts";
import { encodeKeyRecord, KIND, type Kind, keyRecord, type Place, recordsOf } from "./key-records.ts";
import { type KeyState, keyStates, placeOf, verdictOf } from "./key-states.ts";
import { newReport, type PairReport } from "./pair-report.ts";
import { awaitPublished, type Patience, type ProgressView } from "./published.ts";
import type { SchemaRows } from "./schema-rows.ts";
import type { SourceRows } from "./source-rows.ts";
import { SpillFile } from "./spill-file.ts";
import { isSamePlace, MOVING, Suspects } from "./suspects.ts";
import { commitLsnOf, countWithin, topicRecords } from "./topic-records.ts";

const KEYS_AT_ONCE = 1_000;

/** What a comparison needs beside the two sides. */
export interface AuditSettings {
  readonly registry: SchemaRegistry;
  /** For what does not fit into memory. */
  readonly workDir: string;
  /** How many keys of each kind are named. */
  readonly show: number;
  /** At least two. */
  readonly rounds: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Told how far it is, often. */
  readonly onProgress: (what: string) => void;
}

export interface SourceAuditOptions extends AuditSettings {
  readonly publicSchema: ResolvedPublicSchema;
  readonly schemaRows: SchemaRows;
  readonly rows: SourceRows;
  readonly progress: ProgressView;
  readonly reader: KafkaReader;
  readonly patience: Patience;
}

/**
 * Compares what a public schema's SQL gives with the latest event of each key, both at one position. A difference
 * counts when it stands in two rounds, each at a position of its own, with the very same event: an event may show
 * joined rows as they were a little later, and is then followed by another.
 */
export class SourceAudit {
  readonly report: PairReport;
  readonly #options: SourceAuditOptions;
  readonly #prints: FieldPrints;
  readonly #findings: Findings;
  #records = 0;

  constructor(options: SourceAuditOptions) {
    const { publicSchema, registry, show } = options;
    this.#options = options;
    this.#prints = new FieldPrints(registry, fieldsOf(publicSchema));
    this.report = newReport({
      kind: "source",
      manifest: publicSchema.manifestSlug,
      dataStore: publicSchema.dataStoreSlug,
      publicSchema: backfillName(publicSchema.schema),
      consumerSchema: null,
      topic: publicSchema.topic,
    });
    this.#findings = new Findings(this.report, registry, show);
  }

  /** Fills the report. Throws what a backfill meets, VERIFY_*, KAFKA_*, REGISTRY_*. */
  async run(): Promise<void> {
    const { rounds, publicSchema, schemaRows } = this.#options;
    if (schemaRows.extras === "unknown") {
      this.report.extra = null;
      this.report.notes.push(
        "extra objects are not looked for: an object may outlive its rows, and no transformation can be run for a key alone",
      );
    }
    this.report.extraAllowed = !publicSchema.schema.config.transformations.some(
      ({ operation, emit }) => operation === "delete" && emit !== "upsert",
    );
    let suspects: Suspects | undefined;
    try {
      do {
        const next = await this.#round(suspects);
        suspects?.[Symbol.dispose]();
        suspects = next;
        this.report.rounds++;
      } while (suspects.open > 0 && this.report.rounds < rounds);
      for (const key of suspects.openKeys()) await this.#findings.unsettled(key);
    } finally {
      suspects?.[Symbol.dispose]();
    }
    this.report.compared = true;
    this.#addNotes();
  }

  async #round(before: Suspects | undefined): Promise<Suspects> {
    const { rows, progress, reader, publicSchema, workDir } = this.#options;
    try {
      const lsn = await rows.begin();
      this.report.position = formatLsn(lsn);
      const bounds = await awaitPublished(progress, reader, publicSchema.topic, lsn, this.#options);
      // The buckets of all rounds are to be the same.
      if (before === undefined) this.#records = countWithin(bounds) * 2;
      using file = new SpillFile(workDir, this.#records);
      await this.#spillTopic(file, bounds, lsn, before);
      await this.#spillRows(file, before);
      return await this.#judge(file, before);
    } finally {
      await rows.end();
    }
  }

  async #spillTopic(
    file: SpillFile,
    bounds: readonly PartitionBounds[],
    lsn: Lsn,
    before: Suspects | undefined,
  ): Promise<void> {
    const { reader, signal } = this.#options;
    const highest = new Map<number, bigint>();
    let done = 0;
    for await (const { partition, records } of topicRecords(reader, bounds, signal)) {
      for (const record of records) {
        const { key, value, offset } = record;
        const place = { partition, offset };
        const sequence = larger(highest.get(partition) ?? 0n, commitLsnOf(record));
        highest.set(partition, sequence);
        if (key === null) {
          if (before === undefined) this.#findings.keyless(place);
          continue;
        }
        if (before?.mayHave(key) === false) continue;
        // A commit record that begins at the position is the first that the snapshot does not show.
        const [kind, print] = sequence >= lsn ? [KIND.later] : await this.#print(value, before);
        const known = { sequence, place, ...(print === undefined ? {} : { print }) };
        file.append(file.bucketOf(key), encodeKeyRecord(keyRecord(kind, key, known)));
      }
      done += records.length;
      this.#tell(done, "records of the topic");
    }
  }

  async #spillRows(file: SpillFile, before: Suspects | undefined): Promise<void> {
    const { rows, schemaRows } = this.#options;
    let done = 0;
    for await (const events of rows.read(schemaRows)) {
      for (const { key, value } of events) {
        if (value === null || before?.mayHave(key) === false) continue;
        const [, print = Buffer.alloc(0)] = await this.#print(value, before);
        file.append(file.bucketOf(key), encodeKeyRecord(keyRecord(KIND.row, key, { print })));
      }
      done += events.length;
      this.#tell(done, "rows of the source");
    }
  }

  /** The first round compares bytes; what differs there is compared field by field from the second on. */
  async #print(value: Buffer | null, before: Suspects | undefined): Promise<[kind: Kind, print?: Buffer]> {
    if (value === null) return [KIND.tombstone];
    if (before === undefined) return [KIND.live, wholePrint(value)];
    const result = await this.#prints.of(value);
    return result.print === null ? [KIND.undecodable, Buffer.from(result.reason)] : [KIND.live, result.print];
  }

  async #judge(file: SpillFile, before: Suspects | undefined): Promise<Suspects> {
    const next = new Suspects(this.#options.workDir, this.#records);
    try {
      for (let bucket = 0; bucket < file.buckets; bucket++) {
        const earlier = before?.inBucket(bucket);
        const states = keyStates(recordsOf(file, bucket));
        if (earlier !== undefined)
          for (const name of states.keys()) if (!earlier.has(name)) states.delete(name);
        if (this.#options.schemaRows.extras === "by key") await this.#addByKey(states, before);
        for (const [name, state] of states) await this.#judgeKey(state, earlier?.get(name), next);
      }
      return next;
    } catch (error) {
      next[Symbol.dispose]();
      throw error;
    }
  }

  /** An object may outlive the rows that are read for it: its SQL is run for its key. */
  async #addByKey(states: ReadonlyMap<string, KeyState>, before: Suspects | undefined): Promise<void> {
    const { rows, schemaRows } = this.#options;
    const alone = [...states.values()].filter(({ event, rows: given }) => {
      return given.length === 0 && event !== undefined && event.kind !== KIND.tombstone;
    });
    for (let from = 0; from < alone.length; from += KEYS_AT_ONCE) {
      const keys = alone.slice(from, from + KEYS_AT_ONCE).map(({ key }) => key);
      for (const { key, value } of await rows.ofKeys(schemaRows, keys)) {
        const state = states.get(key.toString("latin1"));
        if (value === null || state === undefined) continue;
        const [, print = Buffer.alloc(0)] = await this.#print(value, before);
        state.rows.push(print);
      }
    }
  }

  async #judgeKey(state: KeyState, judged: Place | undefined, next: Suspects): Promise<void> {
    const verdict = verdictOf(state);
    if (verdict === "absent") return;
    if (verdict === "equal") {
      this.#findings.equal();
      return;
    }
    const place = verdict === "moving" ? MOVING : placeOf(state);
    const stands = verdict !== "moving" && judged !== undefined && isSamePlace(judged, place);
    if (!stands) next.add(state.key, place);
    else if (verdict === "different") await this.#findings.different(state.key, this.#differing(state));
    else if (verdict === "undecodable")
      await this.#findings.undecodable(state.key, place, state.event?.print.toString() ?? "");
    else await this.#findings[verdict](state.key, place);
  }

  #differing({ event, rows }: KeyState): readonly string[] {
    return event === undefined ? [] : this.#prints.differing(event.print, rows);
  }

  #tell(done: number, what: string): void {
    this.#options.onProgress(`${this.report.publicSchema}: ${done.toLocaleString("en-US")} ${what}`);
  }

  #addNotes(): void {
    const { notes, extraAllowed, extra } = this.report;
    const backfill = this.#options.progress.backfills.get(this.report.publicSchema);
    if (backfill !== undefined && backfill.state !== "done") {
      const { state, rows } = backfill;
      notes.push(
        `its backfill is ${state} after ${rows.toLocaleString("en-US")} rows: objects may be missing`,
      );
    }
    if (extraAllowed && (extra?.count ?? 0) > 0)
      notes.push(
        "no transformation publishes deletes: what the source no longer has stays, and is not counted",
      );
  }
}

function larger(a: bigint, b: bigint | undefined): bigint {
  return b === undefined || b < a ? a : b;
}

function fieldsOf({ manifestSlug, schema, keyFields }: ResolvedPublicSchema): string[] {
  const { value } = avroSchemasOf({ manifestSlug, publicSchema: schema, keyFields });
  return value.fields.map(({ name }) => name);
}
