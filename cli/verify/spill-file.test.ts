import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RejotError } from "../../shared/errors/error.ts";
import { encodeKeyRecord, KIND, keyRecord, recordsOf } from "./key-records.ts";
import { keyStates } from "./key-states.ts";
import { SpillFile } from "./spill-file.ts";

async function folder() {
  const path = await mkdtemp(join(tmpdir(), "spill-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

test("gives back every record of a bucket in order, whatever was written to disk in between", async () => {
  await using dir = await folder();
  using file = new SpillFile(dir.path, 200_000);
  expect(file.buckets).toBe(25);
  const wanted = new Map<number, string[]>();
  for (let i = 0; i < 30_000; i++) {
    const key = Buffer.from(`key ${i}`);
    const print = Buffer.alloc(i % 100, i);
    const bucket = file.bucketOf(key);
    const record = keyRecord(KIND.live, key, {
      sequence: BigInt(i),
      place: { partition: i % 7, offset: BigInt(i) << 30n },
      print,
    });
    file.append(bucket, encodeKeyRecord(record));
    const list = wanted.get(bucket) ?? [];
    list.push(`${key} ${i} ${i % 7} ${BigInt(i) << 30n} ${print.toString("hex")}`);
    wanted.set(bucket, list);
  }
  // Larger than what is buffered.
  const huge = Buffer.alloc(300_000, 7);
  file.append(3, encodeKeyRecord(keyRecord(KIND.row, huge)));
  expect(file.bytes).toBeGreaterThan(1_000_000);
  for (let bucket = 0; bucket < file.buckets; bucket++) {
    const records = [...recordsOf(file, bucket)].filter(({ kind }) => kind === KIND.live);
    const found = records.map(
      ({ key, sequence, place, print }) =>
        `${key} ${sequence} ${place.partition} ${place.offset} ${print.toString("hex")}`,
    );
    expect(found).toEqual(wanted.get(bucket));
    // A good hash: no bucket is much larger than another.
    expect(found.length).toBeGreaterThan(1_000);
    expect(found.length).toBeLessThan(1_400);
  }
  expect([...recordsOf(file, 3)].filter(({ key }) => key.equals(huge))).toHaveLength(1);
});

test("a key that changed all the time does not have to fit into memory", async () => {
  await using dir = await folder();
  using file = new SpillFile(dir.path, 100_000);
  const key = Buffer.from("hot");
  const bucket = file.bucketOf(key);
  for (let i = 0; i < 100_000; i++) {
    const place = { partition: 0, offset: BigInt(i) };
    const print = Buffer.alloc(16, i);
    const record = keyRecord(KIND.live, key, { sequence: BigInt(i), place, print });
    file.append(bucket, encodeKeyRecord(record));
  }
  const parts = [...file.parts(bucket)].map(({ length }) => length);
  expect(parts.reduce((sum, length) => sum + length, 0)).toBeGreaterThan(4_000_000);
  expect(Math.max(...parts)).toBeLessThanOrEqual(64 * 1024);
  const [state] = keyStates(recordsOf(file, bucket)).values();
  expect(state?.event).toMatchObject({
    place: { partition: 0, offset: 99_999n },
    print: Buffer.alloc(16, 99_999),
  });
  // Not a view of what was read.
  expect(state?.event?.print.buffer.byteLength).toBeLessThan(1_000);
});

test("leaves no name in the folder, and says what is wrong with a folder", async () => {
  await using dir = await folder();
  using _file = new SpillFile(dir.path, 1);
  expect(readdirSync(dir.path)).toEqual([]);
  const missing = () => new SpillFile(join(dir.path, "missing"), 1);
  expect(missing).toThrow(RejotError);
  expect(missing).toThrow(/missing: ENOENT/);
});
