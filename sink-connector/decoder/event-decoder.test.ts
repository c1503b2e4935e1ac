import { beforeEach, describe, expect, test } from "vitest";
import type { AvroRecord } from "../../shared/contracts/avro-types.ts";
import { compileRowEncoder } from "../../shared/contracts/row-encoder.ts";
import { RejotError } from "../../shared/errors/error.ts";
import type { PgType, TypeCatalog } from "../../shared/postgres/type-catalog.ts";
import { frame } from "../../shared/registry/wire-format.ts";
import type { KafkaRecord } from "../ports.ts";
import { EventDecoder, type TopicConsumer } from "./event-decoder.ts";

const INT8: PgType = { oid: 20, name: "bigint", kind: "base", category: "N" };
const TEXT: PgType = { oid: 25, name: "text", kind: "base", category: "S" };
const CATALOG = { get: (oid) => (oid === 20 ? INT8 : TEXT), require: async () => {} } satisfies TypeCatalog;

const VALUE: AvroRecord = {
  type: "record",
  name: "item",
  fields: [
    { name: "id", type: "long" },
    { name: "label", type: "string" },
  ],
};
const KEY: AvroRecord = { type: "record", name: "itemKey", fields: [{ name: "id", type: "long" }] };
const SCHEMAS = new Map([
  [1, VALUE],
  [2, KEY],
]);

const encode = (id: number, schema: AvroRecord, row: (string | null)[]): Buffer => {
  const columns = schema.fields.map(({ name }) => ({ name, typeOid: name === "id" ? 20 : 25 }));
  return frame(id, compileRowEncoder(schema, columns, CATALOG)(row));
};

const record = (value: Buffer | null, key: Buffer | null = encode(2, KEY, ["7"])): KafkaRecord => ({
  offset: 5,
  key,
  value,
  timestampMs: 0,
  change: undefined,
  transactional: true,
});

const consumer = (index: number, extra: Partial<TopicConsumer> = {}): TopicConsumer => ({
  consumer: index,
  sql: { statement: index * 2, placeholders: ["label", "id", "missing"], types: [TEXT, INT8, TEXT] },
  deleteSql: { statement: index * 2 + 1, placeholders: ["id"], types: [INT8] },
  ignoresDeletes: false,
  ...extra,
});

let schemaById: (id: number) => Promise<AvroRecord>;
let asked: number[];
/** Subjects that the registry has. */
let known: Set<string>;
let nowMs: number;

beforeEach(() => {
  asked = [];
  known = new Set(["t-key", "t-value"]);
  nowMs = 0;
  schemaById = async (id) => {
    asked.push(id);
    const schema = SCHEMAS.get(id);
    if (schema === undefined) throw new RejotError("SCHEMA_NOT_FOUND", { detail: `id ${id}` });
    return schema;
  };
});

function decoderOf(...consumers: TopicConsumer[]): EventDecoder {
  const registry = {
    schemaById: (id: number) => schemaById(id),
    latest: async (subject: string) => (known.has(subject) ? VALUE : undefined),
  };
  return new EventDecoder(registry, new Map([["t", consumers]]), { now: () => nowMs });
}

async function decodeOne(decoder: EventDecoder, of: KafkaRecord) {
  const [event] = await decoder.decode({ topic: "t", partition: 3 }, [of]);
  if (event === undefined) throw new Error("no event");
  return event;
}

const item = encode(1, VALUE, ["7", "a label"]);

describe("values", () => {
  test("are bound by name to every consumer's statement, in order; a field that is missing is null", async () => {
    const event = await decodeOne(decoderOf(consumer(0), consumer(1)), record(item));
    expect(event.calls).toEqual([
      { statement: 0, values: ["a label", "7", null] },
      { statement: 2, values: ["a label", "7", null] },
    ]);
    expect(event.failures).toEqual([]);
  });

  test("are bound by their place for positional placeholders", async () => {
    const sql = { statement: 9, placeholders: ["2", "1"], types: [TEXT, INT8] };
    const event = await decodeOne(decoderOf(consumer(0, { sql })), record(item));
    expect(event.calls).toEqual([{ statement: 9, values: ["a label", "7"] }]);
  });

  test("ask the registry once for each schema", async () => {
    const decoder = decoderOf(consumer(0));
    await decoder.decode({ topic: "t", partition: 0 }, [record(item), record(item)]);
    await decodeOne(decoder, record(item));
    expect(asked).toEqual([1]);
  });
});

describe("tombstones", () => {
  test("run deleteSql with the key's fields", async () => {
    const event = await decodeOne(decoderOf(consumer(0)), record(null));
    expect(event.calls).toEqual([{ statement: 1, values: ["7"] }]);
  });

  test("are left out where the consumer says so, and a failure where it says nothing", async () => {
    const ignoring = consumer(0, { deleteSql: undefined, ignoresDeletes: true });
    const silent = consumer(1, { deleteSql: undefined });
    expect(await decodeOne(decoderOf(ignoring), record(null))).toMatchObject({ calls: [], failures: [] });
    const event = await decodeOne(decoderOf(ignoring, silent), record(null));
    expect(event.failures.map((f) => [f.consumer, f.error.code])).toEqual([[1, "SINK_DELETE_SQL_MISSING"]]);
  });
});

describe("what cannot be read", () => {
  const unreadable: [string, KafkaRecord, string][] = [
    ["bytes that are no wire format", record(Buffer.from("hello")), "RECORD_UNREADABLE"],
    ["an empty value", record(Buffer.alloc(0)), "RECORD_UNREADABLE"],
    ["bytes that end too early", record(item.subarray(0, 8)), "RECORD_UNREADABLE"],
    ["a tombstone without a key", record(null, null), "RECORD_UNREADABLE"],
  ];
  for (const [what, bad, code] of unreadable) {
    test(`is a failure of the event for every consumer: ${what}`, async () => {
      const decoder = decoderOf(consumer(0), consumer(1));
      const events = await decoder.decode({ topic: "t", partition: 0 }, [record(item), bad, record(item)]);
      expect(events.map((event) => event.calls.length)).toEqual([2, 0, 2]);
      expect(events[1]?.failures.map((f) => [f.consumer, f.error.code])).toEqual([
        [0, code],
        [1, code],
      ]);
    });
  }

  test("is no failure while the registry cannot be reached or refuses", async () => {
    for (const code of ["REGISTRY_UNREACHABLE", "REGISTRY_REFUSED"] as const) {
      schemaById = () => Promise.reject(new RejotError(code));
      await expect(decodeOne(decoderOf(consumer(0)), record(item))).rejects.toMatchObject({ code });
    }
  });
});

describe("a schema that the registry does not have", () => {
  const foreign = record(frame(99, Buffer.alloc(3)));

  test("is asked for again, for ten seconds, before the event is to blame", async () => {
    const decoder = decoderOf(consumer(0), consumer(1));
    for (nowMs of [0, 4_000, 9_999])
      await expect(decodeOne(decoder, foreign)).rejects.toMatchObject({ code: "SCHEMA_NOT_FOUND" });
    nowMs = 10_000;
    const failed = async () =>
      (await decodeOne(decoder, foreign)).failures.map((f) => [f.consumer, f.error.code]);
    const everyConsumer = [
      [0, "SCHEMA_NOT_FOUND"],
      [1, "SCHEMA_NOT_FOUND"],
    ];
    expect(await failed()).toEqual(everyConsumer);
    expect(await failed()).toEqual(everyConsumer);
  });

  test("is decoded as soon as the registry knows it", async () => {
    const late = record(frame(3, item.subarray(5)));
    const decoder = decoderOf(consumer(0));
    await expect(decodeOne(decoder, late)).rejects.toMatchObject({ code: "SCHEMA_NOT_FOUND" });
    const before = schemaById;
    schemaById = async (id) => (id === 3 ? VALUE : before(id));
    expect((await decodeOne(decoder, late)).calls).toHaveLength(1);
  });

  test("is never the event's fault while the registry has nothing of the topic either", async () => {
    known.clear();
    const decoder = decoderOf(consumer(0));
    for (nowMs of [0, 10_000, 1_000_000])
      await expect(decodeOne(decoder, foreign)).rejects.toMatchObject({ code: "SCHEMA_NOT_FOUND" });
    known.add("t-value");
    await expect(decodeOne(decoder, foreign)).rejects.toMatchObject({ code: "SCHEMA_NOT_FOUND" });
    nowMs += 10_000;
    expect((await decodeOne(decoder, foreign)).failures).toHaveLength(1);
  });

  test("waits side by side with others of the same records", async () => {
    const decoder = decoderOf(consumer(0));
    const records = [98, 99].map((id) => record(frame(id, Buffer.alloc(3))));
    const decode = () => decoder.decode({ topic: "t", partition: 0 }, records);
    await expect(decode()).rejects.toMatchObject({ code: "SCHEMA_NOT_FOUND" });
    nowMs = 10_000;
    expect((await decode()).map(({ failures }) => failures.length)).toEqual([1, 1]);
  });
});

test("keys are described for people, decoded where possible", async () => {
  const decoder = decoderOf(consumer(0));
  expect(await decoder.describeKey(await decodeOne(decoder, record(item)))).toBe('{"id":7}');
  expect(await decoder.describeKey(await decodeOne(decoder, record(item, Buffer.from([1, 255]))))).toBe(
    "0x01ff",
  );
  expect(await decoder.describeKey(await decodeOne(decoder, record(item, null)))).toBe("null");
});
