import avro from "avsc";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AvroReader, UnionValue, valueReader } from "./avro-reader.ts";
import type { AvroRecord, AvroType } from "./avro-types.ts";
import { AvroWriter } from "./avro-writer.ts";
import { decimalBytes } from "./decimal-text.ts";
import { compileRowDecoder } from "./row-decoder.ts";

/** avsc, an implementation of its own, is the judge; longs as bigint, so that it rounds none. */
const bigintLong = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(BigInt(value));
    return buffer;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === "bigint",
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
});

function written(write: (out: AvroWriter) => void): Buffer {
  const out = new AvroWriter();
  out.begin();
  write(out);
  return out.finish();
}

function read(type: AvroType, bytes: Buffer): unknown {
  const input = new AvroReader();
  input.begin(bytes);
  const value = valueReader(type)(input);
  input.end();
  return value;
}

const int64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.integer({ min: 0, max: 63 }).chain((bits) => {
    const near = fc.bigInt({ min: -2n, max: 2n });
    return near.map((off) => BigInt.asIntN(64, (2n ** BigInt(bits) + off) * (off % 2n === 0n ? 1n : -1n)));
  }),
);

describe("Avro's bytes", () => {
  test("longs are those of avsc and come back exactly", () => {
    fc.assert(
      fc.property(int64, (value) => {
        const safe = value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER;
        const expected = bigintLong.toBuffer(value);
        expect(written((out) => out.bigLong(value)).equals(expected)).toBe(true);
        if (safe) expect(written((out) => out.long(Number(value))).equals(expected)).toBe(true);
        expect(read("long", expected)).toBe(safe ? Number(value) : value);
      }),
      { numRuns: 2000 },
    );
  });

  test("doubles and strings of every length are those of avsc", () => {
    const string = fc.oneof(
      fc.string({ unit: "binary", maxLength: 100 }),
      fc
        .tuple(fc.constantFrom("x", "é", "€", "😀"), fc.integer({ min: 0, max: 5000 }))
        .map(([c, n]) => c.repeat(n)),
    );
    const [double, text] = [avro.Type.forSchema("double"), avro.Type.forSchema("string")];
    fc.assert(
      fc.property(fc.double(), string, (number, value) => {
        expect(written((out) => out.double(number)).equals(double.toBuffer(number))).toBe(true);
        expect(read("double", double.toBuffer(number))).toBe(number);
        expect(written((out) => out.string(value)).equals(text.toBuffer(value))).toBe(true);
        expect(read("string", text.toBuffer(value))).toBe(value);
      }),
    );
  });

  test("short decimals are the bytes that long ones would be", () => {
    const near = fc
      .integer({ min: 0, max: 46 })
      .chain((bits) => fc.integer({ min: -2, max: 2 }).map((off) => 2 ** bits + off));
    fc.assert(
      fc.property(
        fc.oneof(near, fc.integer({ min: -(10 ** 14), max: 10 ** 14 })),
        fc.boolean(),
        (size, negative) => {
          const value = negative ? -size : size;
          const expected = written((out) => out.bytes(decimalBytes(BigInt(value))));
          expect(written((out) => out.smallDecimal(value)).equals(expected)).toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("records handed out stay as they are when later ones fill and replace the slab", () => {
    const out = new AvroWriter();
    const records: Buffer[] = [];
    const copies: Buffer[] = [];
    for (let i = 0; i < 300; i++) {
      out.begin();
      out.string(`${i}`.repeat((i * 37) % 500));
      if (i % 3 === 0) {
        const mark = out.mark();
        out.string("dropped".repeat(200));
        out.rewind(mark);
      }
      out.bytes(Buffer.from([i & 0xff]));
      const record = out.finish();
      records.push(record);
      copies.push(Buffer.from(record));
    }
    expect(records.every((record, i) => record.equals(copies[i] as Buffer))).toBe(true);
  });

  const everything: AvroRecord = {
    type: "record",
    name: "Everything",
    fields: [
      { name: "flag", type: "boolean" },
      { name: "small", type: "int" },
      { name: "big", type: "long" },
      { name: "ratio", type: "double" },
      { name: "single", type: "float" },
      { name: "raw", type: "bytes" },
      { name: "text", type: "string" },
      { name: "nothing", type: "null" },
      { name: "maybe", type: ["null", "string"] },
      { name: "state", type: { type: "enum", name: "State", symbols: ["A", "B", "C"] } },
      { name: "hash", type: { type: "fixed", name: "Hash", size: 5 } },
      { name: "list", type: { type: "array", items: ["null", { type: "array", items: "long" }] } },
      { name: "map", type: { type: "map", values: { type: "map", values: "double" } } },
      {
        name: "either",
        type: ["string", "long", { type: "record", name: "Inner", fields: [{ name: "x", type: "int" }] }],
      },
    ],
  };

  test("what avsc writes is read to the same values", () => {
    const type = avro.Type.forSchema(everything as avro.Schema, { wrapUnions: true });
    const decode = compileRowDecoder(everything);
    for (let i = 0; i < 300; i++) {
      const bytes = type.toBuffer(type.random());
      expect(plain(decode(bytes))).toEqual(plainOfAvsc(type.fromBuffer(bytes)));
    }
  });

  test("blocks with a size in bytes, as other writers make them", () => {
    const bytes = Buffer.from([3, 4, 2, 4, 2, 6, 0]);
    expect(read({ type: "array", items: "long" }, bytes)).toEqual([1, 2, 3]);
  });

  test("damaged bytes are RECORD_UNREADABLE, whatever they are", () => {
    const decode = compileRowDecoder(everything);
    const type = avro.Type.forSchema(everything as avro.Schema, { wrapUnions: true });
    const whole = type.toBuffer(type.random());
    expect(() => decode(whole.subarray(0, -1))).toThrowError(
      expect.objectContaining({ code: "RECORD_UNREADABLE" }),
    );
    expect(() => decode(Buffer.concat([whole, Buffer.from([0])]))).toThrowError(
      expect.objectContaining({ code: "RECORD_UNREADABLE" }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          decode(Buffer.from(bytes));
        } catch (error) {
          expect(error).toMatchObject({ code: "RECORD_UNREADABLE" });
        }
      }),
    );
  });
});

/** Our values without what tells types apart. */
function plain(value: unknown): unknown {
  if (value instanceof UnionValue) return plain(value.value);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, each]) => [key, plain(each)]));
  if (Buffer.isBuffer(value)) return value.toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

/** avsc's values the same way; with wrapUnions a value of a union is `{ string: "x" }`. */
function plainOfAvsc(value: unknown, field?: string): unknown {
  if (Buffer.isBuffer(value)) return value.toString("hex");
  if (Array.isArray(value)) return value.map((each) => plainOfAvsc(each, "list"));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const first = entries[0];
  if (
    (field === "maybe" || field === "either" || field === "list") &&
    entries.length === 1 &&
    first !== undefined
  ) {
    return plainOfAvsc(first[1]);
  }
  return Object.fromEntries(entries.map(([key, each]) => [key, plainOfAvsc(each, key)]));
}
