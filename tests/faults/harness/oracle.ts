import type { PairReport } from "../../../cli/verify/pair-report.ts";
import { parseChange } from "../../../shared/kafka/position.ts";
import { type ReadRecord, readTopic } from "../../support/kafka.ts";
import { verifyJson } from "../../support/verify.ts";
import type { Pipeline } from "./pipeline.ts";

const ITEMS = "SELECT id, owner, n, v, body FROM items ORDER BY id";
const SOURCE_OWNERS = `SELECT o.id, count(i.id) AS items, coalesce(sum(i.n), 0) AS total
  FROM owners o LEFT JOIN items i ON i.owner = o.id GROUP BY o.id ORDER BY o.id`;
const DESTINATION_OWNERS = "SELECT id, items, total FROM owners ORDER BY id";

/** What is not as it should be, in words; empty when all is well. */
export type Complaints = string[];

/** Compares the databases, by plain SQL, while nothing is written to the source. */
export function compareDatabases(pipeline: Pipeline): Promise<Complaints> {
  return compare(pipeline, [
    ...COPIES,
    [
      "events applied per key",
      "SELECT id, upserts, deletes, versions FROM audit ORDER BY id",
      "SELECT id, upserts, deletes, versions FROM tally ORDER BY id",
    ],
  ]);
}

/** Compares what was copied, whichever events it came by: where changes were missing, they are not those of the source. */
export function compareCopies(pipeline: Pipeline): Promise<Complaints> {
  return compare(pipeline, COPIES);
}

type Pair = readonly [what: string, sourceSql: string, destinationSql: string];

const COPIES: readonly Pair[] = [
  ["items", ITEMS, ITEMS],
  ["owners", SOURCE_OWNERS, DESTINATION_OWNERS],
];

async function compare({ database, destination }: Pipeline, pairs: readonly Pair[]): Promise<Complaints> {
  const complaints: Complaints = [];
  for (const [what, sourceSql, destinationSql] of pairs) {
    // Millions of rows are fetched only once there are as many.
    const [rows, copied] = await Promise.all([
      countOf(database, sourceSql),
      countOf(destination, destinationSql),
    ]);
    if (rows !== copied) {
      complaints.push(`${what}: ${copied} rows, ${rows} wanted`);
      continue;
    }
    const [wanted, found] = await Promise.all([database.query(sourceSql), destination.query(destinationSql)]);
    const difference = firstDifference(wanted, found);
    if (difference !== undefined) complaints.push(`${what}: ${difference}`);
  }
  return complaints;
}

async function countOf(database: Pipeline["database"], sql: string): Promise<string> {
  const [row] = await database.query(`SELECT count(*) AS n FROM (${sql}) rows`);
  return row?.n ?? "";
}

/** Versions of a key only grow: counted by the consumer SQL itself. */
export async function compareOrder({ destination }: Pipeline): Promise<Complaints> {
  const rows = await destination.query(
    "SELECT id, disorder FROM tally WHERE disorder > 0 ORDER BY id LIMIT 3",
  );
  return rows.map((row) => `key ${row.id} was applied out of order ${row.disorder} times`);
}

/** What `verify` has to compare. Of the statement that adds it compares the last version. */
const COMPARED = [
  "source item.v1",
  "source owner.v1",
  "destination copy-items",
  "destination tally-items",
  "destination copy-owners",
];

interface Expected {
  /** Keys that a foreign producer has given values in the items' topic. */
  readonly foreignKeys?: number | undefined;
  /** Comparisons that need not be equal. */
  readonly besides?: readonly string[];
}

/**
 * What the product's own audit finds while everything runs: it must call equal what was found equal above, and name the
 * keys that a foreign producer has written, and none but those.
 */
export async function checkVerify(
  pipeline: Pipeline,
  { foreignKeys = 0, besides = [] }: Expected = {},
): Promise<Complaints> {
  const { exitCode, comparisons } = await verifyJson(pipeline.sinkManifest);
  const found = new Map(comparisons.map((pair) => [nameOf(pair), pair]));
  const complaints = COMPARED.filter((name) => !besides.includes(name)).flatMap((name) => {
    const pair = found.get(name);
    const foreign = pair?.topic === pipeline.topic("item") ? foreignKeys : 0;
    return isEqual(pair, foreign) ? [] : [`verify: ${name}: ${JSON.stringify(pair)}`];
  });
  const wanted = foreignKeys > 0 || besides.some((name) => !isEqual(found.get(name), 0)) ? 1 : 0;
  if (exitCode !== wanted)
    complaints.push(`verify: exit code ${exitCode} instead of ${wanted}: ${JSON.stringify(comparisons)}`);
  return complaints;
}

function isEqual(pair: PairReport | undefined, foreignKeys: number): boolean {
  return (
    pair !== undefined &&
    pair.error === null &&
    pair.keys > 0 &&
    pair.undecodable.count === foreignKeys &&
    pair.equal === pair.keys - foreignKeys
  );
}

function nameOf({ kind, publicSchema, consumerSchema }: PairReport): string {
  return `${kind} ${consumerSchema ?? publicSchema}`;
}

/** Reads the topics as a stranger that sees committed records only. */
export async function checkTopics(pipeline: Pipeline): Promise<Complaints> {
  const { items, all } = await readTopics(pipeline);
  return [...checkPositions(all), ...checkPartitions(all), ...(await checkCounts(pipeline, items))];
}

/** Reads the topics for their positions only: every one once, and growing. */
export async function checkPlaces(pipeline: Pipeline): Promise<Complaints> {
  const { all } = await readTopics(pipeline);
  return [...checkPositions(all), ...checkPartitions(all)];
}

async function readTopics(pipeline: Pipeline): Promise<{ items: ReadRecord[]; all: ReadRecord[] }> {
  const { brokers } = pipeline.servers;
  // Records of foreign producers have no position; the connectors' own must all have one.
  const read = async (topic: string) =>
    (await readTopic(topic, { brokers, registryUrl: null })).filter(
      ({ headers }) => headers.foreign === undefined,
    );
  const items = await read(pipeline.topic("item"));
  return { items, all: [...items, ...(await read(pipeline.topic("owner")))] };
}

/** The events of a transaction are numbered from 0 over all topics, none missing and none twice. */
export function checkPositions(records: readonly ReadRecord[]): Complaints {
  const indexes = new Map<string, number[]>();
  for (const record of records) {
    const { change, topic, partition, offset } = record;
    if (change === undefined) return [`${topic}/${partition}@${offset} has no position`];
    const [, lsn = "", index = ""] = change.split(":");
    const list = indexes.get(lsn) ?? [];
    list.push(Number(index));
    indexes.set(lsn, list);
  }
  return [...indexes]
    .filter(([, list]) => list.sort((a, b) => a - b).some((index, i) => index !== i))
    .slice(0, 3)
    .map(([lsn, list]) => `positions of transaction ${lsn} are ${list.slice(0, 20).join(", ")}`);
}

/** Positions grow with the offsets of a partition, so they do for every key. */
export function checkPartitions(records: readonly ReadRecord[]): Complaints {
  const last = new Map<string, ReadRecord>();
  for (const record of records) {
    const place = `${record.topic}/${record.partition}`;
    const before = last.get(place);
    if (before !== undefined && !isAbove(record, before))
      return [`${place}: ${record.change} at offset ${record.offset} follows ${before.change}`];
    last.set(place, record);
  }
  return [];
}

async function checkCounts({ database }: Pipeline, items: readonly ReadRecord[]): Promise<Complaints> {
  const counts = new Map<string, { upserts: number; deletes: number }>();
  for (const { rawKey, rawValue } of items) {
    const id = idOf(rawKey);
    const count = counts.get(id) ?? { upserts: 0, deletes: 0 };
    count[rawValue === null ? "deletes" : "upserts"]++;
    counts.set(id, count);
  }
  const wanted = await database.query("SELECT id, upserts, deletes FROM audit ORDER BY id");
  const found = [...counts]
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([id, { upserts, deletes }]) => ({ id, upserts: String(upserts), deletes: String(deletes) }));
  const difference = firstDifference(wanted, found);
  return difference === undefined ? [] : [`events in the topic per key: ${difference}`];
}

/** The only field of the key, a long: Avro's zigzag varint behind Confluent's five bytes. */
function idOf(key: Buffer | null): string {
  let zigzag = 0n;
  for (let i = 5, shift = 0n; key !== null && i < key.length; i++, shift += 7n) {
    zigzag |= BigInt((key[i] ?? 0) & 0x7f) << shift;
  }
  return String((zigzag >> 1n) ^ -(zigzag & 1n));
}

function isAbove(record: ReadRecord, before: ReadRecord): boolean {
  const [a, b] = [parseChange(record.change).position, parseChange(before.change).position];
  return a.commitLsn === b.commitLsn ? a.index > b.index : a.commitLsn > b.commitLsn;
}

function firstDifference(wanted: readonly object[], found: readonly object[]): string | undefined {
  const length = Math.max(wanted.length, found.length);
  for (let i = 0; i < length; i++) {
    const [a, b] = [JSON.stringify(wanted[i]), JSON.stringify(found[i])];
    if (a !== b) return `wanted ${a}, found ${b} (${wanted.length} against ${found.length} rows)`;
  }
  return undefined;
}
