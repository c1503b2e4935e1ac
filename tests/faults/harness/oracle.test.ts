import { describe, expect, test } from "vitest";
import type { ReadRecord } from "../../support/kafka.ts";
import { checkPartitions, checkPositions, compareDatabases, compareOrder } from "./oracle.ts";
import type { Pipeline } from "./pipeline.ts";

/** A record of partition 0, or of another one, at the next offset of its topic. */
function record(change: string | undefined, offset: number, partition = 0, topic = "t.item.v1"): ReadRecord {
  return {
    topic,
    partition,
    offset,
    change,
    timestampMs: 0,
    headers: {},
    key: undefined,
    value: undefined,
    rawKey: null,
    rawValue: null,
  };
}

/** Two transactions over two topics and two partitions, as they should be. */
const WELL: readonly ReadRecord[] = [
  record("c:0/A0:0", 0),
  record("u:0/A0:2", 1),
  record("d:0/B0:0", 3),
  record("u:0/A0:3", 0, 1),
  record("u:0/A0:1", 0, 0, "t.owner.v1"),
  record("u:0/B0:1", 2, 0, "t.owner.v1"),
];

function replaced(index: number, ...by: ReadRecord[]): ReadRecord[] {
  return WELL.toSpliced(index, 1, ...by);
}

describe("positions", () => {
  test("of whole transactions are not complained about, in whatever order topics are read", () => {
    expect(checkPositions(WELL)).toEqual([]);
    expect(checkPositions(WELL.toReversed())).toEqual([]);
    expect(checkPositions([])).toEqual([]);
  });

  test("name the transaction of which a record is lost, in its middle or at its beginning", () => {
    expect(checkPositions(replaced(1))).toEqual(["positions of transaction 0/A0 are 0, 1, 3"]);
    expect(checkPositions(replaced(2))).toEqual(["positions of transaction 0/B0 are 1"]);
  });

  test("name the transaction of which a record is doubled, beside it or in another partition", () => {
    const [first = record(undefined, 0)] = WELL;
    const complaint = ["positions of transaction 0/A0 are 0, 0, 1, 2, 3"];
    expect(checkPositions([...WELL, { ...first, offset: 9 }])).toEqual(complaint);
    expect(checkPositions([...WELL, { ...first, offset: 9, partition: 2 }])).toEqual(complaint);
  });

  test("name a transaction that was published twice as a whole", () => {
    const again = WELL.filter(({ change }) => change?.includes("0/B0")).map((each) => ({
      ...each,
      offset: each.offset + 10,
    }));
    expect(checkPositions([...WELL, ...again])).toEqual(["positions of transaction 0/B0 are 0, 0, 1, 1"]);
  });

  test("are compared as numbers", () => {
    const many = Array.from({ length: 12 }, (_, index) => record(`c:0/C0:${index}`, index));
    expect(checkPositions(many)).toEqual([]);
  });

  test("name the place of a record that has none", () => {
    expect(checkPositions([...WELL, record(undefined, 17, 2)])).toEqual(["t.item.v1/2@17 has no position"]);
  });

  test("of three transactions at most are named", () => {
    const broken = ["1", "2", "3", "4"].map((lsn, offset) => record(`c:0/${lsn}:1`, offset));
    expect(checkPositions(broken)).toHaveLength(3);
  });
});

describe("partitions", () => {
  test("whose positions grow are not complained about, each for itself", () => {
    expect(checkPartitions(WELL)).toEqual([]);
    expect(checkPartitions([])).toEqual([]);
  });

  test("name two records of a transaction in the wrong order", () => {
    expect(checkPartitions([record("u:0/A0:2", 4), record("c:0/A0:0", 5)])).toEqual([
      "t.item.v1/0: c:0/A0:0 at offset 5 follows u:0/A0:2",
    ]);
  });

  test("name two transactions in the wrong order", () => {
    expect(checkPartitions([record("d:0/B0:0", 4), record("c:0/A0:1", 6)])).toEqual([
      "t.item.v1/0: c:0/A0:1 at offset 6 follows d:0/B0:0",
    ]);
  });

  test("name a record that comes twice", () => {
    expect(checkPartitions([record("c:0/A0:0", 4), record("c:0/A0:0", 5)])).toEqual([
      "t.item.v1/0: c:0/A0:0 at offset 5 follows c:0/A0:0",
    ]);
  });

  test("compare indexes and LSNs as numbers, not as text", () => {
    const growing = ["c:0/A0:9", "c:0/A0:10", "c:0/FFFFFFF:0", "c:0/10000000:0", "c:0/FFFFFFFF:0", "c:1/0:0"];
    expect(checkPartitions(growing.map((change, offset) => record(change, offset)))).toEqual([]);
    expect(checkPartitions([record("c:0/10000000:0", 1), record("c:0/FFFFFFF:0", 2)])).toHaveLength(1);
    expect(checkPartitions([record("c:0/A0:10", 1), record("c:0/A0:9", 2)])).toHaveLength(1);
  });
});

type Row = Record<string, string | null>;
type Tables = Record<"items" | "owners" | "events", readonly Row[]>;

const SOUND: Tables = {
  items: [{ id: "1", owner: "2", n: "5", v: "8", body: null }],
  owners: [{ id: "2", items: "1", total: "5" }],
  events: [
    { id: "1", upserts: "2", deletes: "0", versions: "11" },
    { id: "3", upserts: "1", deletes: "1", versions: "4" },
  ],
};

/** Answers the oracle's statements from tables: those of the source, and those of the destination. */
function pipelineWith(source: Tables, destination: Tables, disorder: readonly Row[] = []): Pipeline {
  const database = (tables: Tables) => ({
    query: async (sql: string) => {
      const rows = sql.includes("disorder") ? disorder : tables[tableOf(sql)];
      return sql.startsWith("SELECT count(*) AS n") ? [{ n: String(rows.length) }] : rows;
    },
  });
  return { database: database(source), destination: database(destination) } as unknown as Pipeline;
}

function tableOf(sql: string): keyof Tables {
  if (/FROM (audit|tally)/.test(sql)) return "events";
  return /FROM owners/.test(sql) ? "owners" : "items";
}

function applied(events: readonly Row[]): Promise<string[]> {
  return compareDatabases(pipelineWith(SOUND, { ...SOUND, events }));
}

describe("what was applied", () => {
  const [one = {}, three = {}] = SOUND.events;

  test("is not complained about when it is what the source has counted", async () => {
    expect(await compareDatabases(pipelineWith(SOUND, SOUND))).toEqual([]);
  });

  test("names the key of which an event is lost", async () => {
    const complaints = await applied([{ ...one, upserts: "1", versions: "3" }, three]);
    expect(complaints).toEqual([expect.stringMatching(/^events applied per key: .*"id":"1","upserts":"1"/)]);
  });

  test("says that all events of a key are lost", async () => {
    expect(await applied([one])).toEqual(["events applied per key: 1 rows, 2 wanted"]);
  });

  test("names the key of which an event is doubled", async () => {
    const complaints = await applied([one, { ...three, upserts: "2", versions: "8" }]);
    expect(complaints).toEqual([expect.stringMatching(/found \{"id":"3","upserts":"2"/)]);
  });

  test("names the key of which an event is of the wrong kind", async () => {
    const complaints = await applied([one, { ...three, upserts: "2", deletes: "0" }]);
    expect(complaints).toEqual([
      expect.stringMatching(/found \{"id":"3","upserts":"2","deletes":"0","versions":"4"\}/),
    ]);
  });

  test("names the key of which one event came instead of another", async () => {
    const complaints = await applied([{ ...one, versions: "12" }, three]);
    expect(complaints).toEqual([expect.stringMatching(/found .*"id":"1".*"versions":"12"/)]);
  });

  test("names a row and a sum that are not the source's, though all events are counted", async () => {
    const [item = {}] = SOUND.items;
    const [owner = {}] = SOUND.owners;
    const items = [{ ...item, body: "" }];
    const owners = [{ ...owner, total: "6" }];
    expect(await compareDatabases(pipelineWith(SOUND, { ...SOUND, items, owners }))).toEqual([
      expect.stringMatching(/^items: wanted .*"body":null\}, found .*"body":""\}/),
      expect.stringMatching(/^owners: wanted .*"total":"5"\}, found .*"total":"6"\}/),
    ]);
  });

  test("names a key whose versions came out of order", async () => {
    expect(await compareOrder(pipelineWith(SOUND, SOUND))).toEqual([]);
    expect(await compareOrder(pipelineWith(SOUND, SOUND, [{ id: "3", disorder: "2" }]))).toEqual([
      "key 3 was applied out of order 2 times",
    ]);
  });
});
