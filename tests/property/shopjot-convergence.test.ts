import { expect, test } from "vitest";
import { FLOWS, TEAMS, type Team } from "../../examples/shopjot/oracle.ts";
import { comparePositions, type Position, parseChange } from "../../shared/kafka/position.ts";
import { latestByKey, type ReadRecord, readTopic, toJson } from "../support/kafka.ts";
import { type Random, seededRandom } from "../support/random.ts";
import { ShopJot } from "../support/shopjot.ts";
import { randomTransaction, runTransaction, type WorkloadResult } from "../support/shopjot-workload.ts";

const ROUNDS = 4;
const CONNECTIONS_PER_TEAM = 3;
const CATCH_UP_TIMEOUT_MS = 120_000;
const TRANSACTIONS_PER_CONNECTION = 40;

/** Several connections at once on each of the three databases. */
async function work(shopJot: ShopJot, random: Random): Promise<Record<Team, WorkloadResult>> {
  const results = {} as Record<Team, WorkloadResult>;
  const workers: Promise<void>[] = [];
  for (const team of TEAMS) {
    const result = { committed: 0, rolledBack: 0, conflicts: 0 };
    results[team] = result;
    for (let i = 0; i < CONNECTIONS_PER_TEAM; i++) {
      workers.push(connection(shopJot, team, random.fork(), result));
    }
  }
  await Promise.all(workers);
  return results;
}

async function connection(
  shopJot: ShopJot,
  team: Team,
  random: Random,
  result: WorkloadResult,
): Promise<void> {
  const client = await shopJot.databases[team].connect();
  try {
    for (let i = 0; i < TRANSACTIONS_PER_CONNECTION; i++) {
      await runTransaction(client, randomTransaction(random, team), result);
    }
  } finally {
    await client.end();
  }
}

/** Records whose position is not above that of the record before it in the same partition. */
function outOfOrder(records: readonly ReadRecord[]): string[] {
  const last = new Map<number, Position>();
  return records.flatMap((record) => {
    const { position } = parseChange(record.change);
    const before = last.get(record.partition);
    last.set(record.partition, position);
    return before === undefined || comparePositions(before, position) < 0
      ? []
      : [`${record.topic}[${record.partition}]@${record.offset} ${record.change}`];
  });
}

/** Keys that are found in more than one partition: their order would be lost. */
function scattered(records: readonly ReadRecord[]): string[] {
  const partitions = new Map<string, number>();
  return records.flatMap(({ key, partition }) => {
    const id = toJson(key);
    const before = partitions.get(id) ?? partition;
    partitions.set(id, partition);
    return before === partition ? [] : [id];
  });
}

test("after random transactions over all tables, every destination equals the public schema's SQL at the source, and topics are in commit order", async () => {
  const random = seededRandom("ShopJot converges");
  await using shopJot = await ShopJot.create();
  await shopJot.start("source");
  await shopJot.start("sink");
  for (let round = 0; round < ROUNDS; round++) {
    const results = await work(shopJot, random);
    await shopJot.caughtUp(CATCH_UP_TIMEOUT_MS);
    for (const team of TEAMS) expect(results[team].committed, team).toBeGreaterThan(0);
    for (const flow of FLOWS) {
      expect(await shopJot.differences(flow), `${flow.publicSchema}, round ${round}`).toEqual([]);
    }
  }
  for (const flow of FLOWS) {
    const records = await readTopic(shopJot.topic(flow));
    expect(records.length, flow.publicSchema).toBeGreaterThan(0);
    expect(outOfOrder(records)).toEqual([]);
    expect(scattered(records)).toEqual([]);
    const [rows] = await shopJot.databases[flow.to].query(`SELECT count(*) FROM ${flow.table}`);
    expect(latestByKey(records).size, flow.publicSchema).toBe(Number(rows?.count));
  }
}, 600_000);
