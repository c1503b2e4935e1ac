import { describe, expect, test } from "vitest";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import type { Batch, Relation } from "../ports.ts";
import { TransactionAssembler } from "./assembler.ts";
import { BatchBuffer } from "./batch-buffer.ts";

const RELATION: Relation = { oid: 1, schema: "public", name: "t", replicaIdentity: "d", columns: [] };
const LIMITS = { maxRows: 10, maxBytes: 100_000, maxBufferedBytes: 100_000 };

function bufferOf(limits = LIMITS): BatchBuffer {
  return new BatchBuffer(new TransactionAssembler(limits, "tombstone", () => {}), limits);
}

/** Puts a transaction of `rows` rows of `bytes` each into the buffer. */
function put(buffer: BatchBuffer, lsn: bigint, rows: number, bytes = 10): void {
  buffer.accept({ kind: "begin", commitLsn: lsn as Lsn, commitTimeMs: Number(lsn), xid: Number(lsn) });
  for (let i = 0; i < rows; i++) {
    const change = { op: "c" as const, relation: RELATION, after: [String(i)], before: null };
    buffer.accept({ kind: "change", change, bytes });
  }
  buffer.accept({ kind: "commit", endLsn: (lsn + 1n) as Lsn });
}

/** Commit LSN, rows and whether it ends, of every piece. */
const shape = (batch: Batch | undefined) =>
  batch
    ?.map((piece) => `${piece.commitLsn}:${piece.changes.length}${piece.endLsn === null ? "…" : ""}`)
    .join(" ");

async function next(batches: AsyncGenerator<Batch>): Promise<string | undefined> {
  const result = await batches.next();
  return result.done === true ? "end" : shape(result.value);
}

describe("BatchBuffer", () => {
  test("a batch is what has arrived since, as whole transactions, within the limit of rows", async () => {
    const buffer = bufferOf();
    const batches = buffer.batches();
    put(buffer, 10n, 4);
    put(buffer, 20n, 4);
    put(buffer, 30n, 4);
    expect(await next(batches)).toBe("10:4 20:4");
    put(buffer, 40n, 1);
    expect(await next(batches)).toBe("30:4 40:1");
  });

  test("it waits for the first transaction", async () => {
    const buffer = bufferOf();
    const batches = buffer.batches();
    const first = next(batches);
    put(buffer, 10n, 1);
    expect(await first).toBe("10:1");
    const second = next(batches);
    put(buffer, 20n, 1);
    expect(await second).toBe("20:1");
  });

  test("a batch closes above its bytes", async () => {
    const buffer = bufferOf({ ...LIMITS, maxBytes: 600 });
    put(buffer, 10n, 2, 80);
    put(buffer, 20n, 2, 80);
    expect(await next(buffer.batches())).toBe("10:2");
  });

  test("a large transaction comes in pieces, one a batch, the next one after its end", async () => {
    const buffer = bufferOf();
    put(buffer, 10n, 25);
    put(buffer, 20n, 3);
    const batches = buffer.batches();
    expect([await next(batches), await next(batches), await next(batches)]).toEqual([
      "10:10…",
      "10:10…",
      "10:5 20:3",
    ]);
  });

  test("what is published already is dropped, all pieces of it, LSNs compared as integers", async () => {
    const buffer = bufferOf();
    // As text, "0/9" would be above "0/10000000" and "1/0" below "0/FFFFFFFF".
    for (const lsn of [0x9n, 0x1000_0000n, 0xffff_fff0n, 0x1_0000_0000n]) put(buffer, lsn, 25);
    buffer.skipUpTo(0xffff_fff0n as Lsn);
    const batches = buffer.batches();
    expect(await next(batches)).toBe("4294967296:10…");
    expect(await next(batches)).toBe("4294967296:10…");
    expect(await next(batches)).toBe("4294967296:5");
  });

  test("the last published transaction comes again, or the WAL is another history's", async () => {
    const again = bufferOf();
    again.skipUpTo(20n as Lsn, 20);
    for (const lsn of [10n, 20n, 30n]) put(again, lsn, 25);
    expect(await next(again.batches())).toBe("30:10…");

    const missing = bufferOf();
    missing.skipUpTo(20n as Lsn, 20);
    for (const lsn of [10n, 21n]) put(missing, lsn, 1);
    await expect(next(missing.batches())).rejects.toMatchObject({ code: "SOURCE_REPLACED" });

    const another = bufferOf();
    another.skipUpTo(20n as Lsn, 7);
    put(another, 20n, 1);
    await expect(next(another.batches())).rejects.toMatchObject({ code: "SOURCE_REPLACED" });
  });

  test("a TRUNCATE is a batch of its own", async () => {
    const buffer = bufferOf();
    put(buffer, 10n, 1);
    buffer.accept({ kind: "begin", commitLsn: 20n as Lsn, commitTimeMs: 20, xid: 20 });
    buffer.accept({ kind: "truncate", relations: [RELATION] });
    buffer.accept({ kind: "commit", endLsn: 21n as Lsn });
    put(buffer, 30n, 1);
    const batches = buffer.batches();
    expect(await next(batches)).toBe("10:1");
    const truncate = await batches.next();
    expect(truncate.value).toMatchObject([{ commitLsn: 20n, truncated: [{ name: "t" }], endLsn: null }]);
    expect(await next(batches)).toBe("20:0 30:1");
  });

  test("it is full above its limit, and tells when there is room again", async () => {
    const buffer = bufferOf({ ...LIMITS, maxBufferedBytes: 3_600 });
    let rooms = 0;
    buffer.onRoom(() => rooms++);
    for (const lsn of [10n, 20n, 30n]) put(buffer, lsn, 8, 10);
    expect(buffer.full).toBe(true);
    expect(buffer.oldestWaitingMs).toBe(10);
    const batches = buffer.batches();
    await batches.next();
    expect([buffer.full, rooms]).toEqual([false, 1]);
    await batches.next();
    await batches.next();
    expect(rooms).toBe(1);
  });

  test("the oldest transaction counts as waiting until it is published", async () => {
    const buffer = bufferOf();
    for (const lsn of [10n, 20n, 30n]) put(buffer, lsn, 25);
    const batches = buffer.batches();
    for (let i = 0; i < 6; i++) await batches.next();
    expect(buffer.oldestWaitingMs).toBe(10);
    buffer.published(10n as Lsn);
    expect(buffer.oldestWaitingMs).toBe(20);
    buffer.published(20n as Lsn);
    expect(buffer.oldestWaitingMs).toBe(30);
    for (let i = 0; i < 3; i++) await batches.next();
    buffer.published(30n as Lsn);
    expect(buffer.oldestWaitingMs).toBeUndefined();
  });

  test("small rows count with what their objects take", () => {
    const buffer = bufferOf({ maxRows: 1_000, maxBytes: 1_000_000, maxBufferedBytes: 100_000 });
    put(buffer, 10n, 999, 10);
    expect(buffer.full).toBe(true);
  });

  test("one piece above the limit makes room when it is taken", async () => {
    const buffer = bufferOf({ ...LIMITS, maxBufferedBytes: 300 });
    let rooms = 0;
    buffer.onRoom(() => rooms++);
    put(buffer, 10n, 1, 50_000);
    await buffer.batches().next();
    expect([buffer.full, rooms]).toEqual([false, 1]);
  });

  test("a failure ends it at once and for ever, the first one counts, what waits is dropped", async () => {
    const buffer = bufferOf();
    const batches = buffer.batches();
    put(buffer, 10n, 1);
    buffer.fail(new Error("first"));
    buffer.fail(new Error("second"));
    buffer.end();
    await expect(batches.next()).rejects.toThrow("first");
    await expect(buffer.batches().next()).rejects.toThrow("first");
  });

  test("a failure reaches whoever waits", async () => {
    const buffer = bufferOf();
    const waiting = buffer.batches().next();
    buffer.fail(new Error("broken"));
    await expect(waiting).rejects.toThrow("broken");
  });

  test("an end hands out nothing more, not even in the middle of a transaction", async () => {
    const buffer = bufferOf();
    const batches = buffer.batches();
    put(buffer, 10n, 25);
    expect(await next(batches)).toBe("10:10…");
    buffer.end();
    expect(await next(batches)).toBe("end");
    const waiting = bufferOf();
    const last = next(waiting.batches());
    waiting.end();
    expect(await last).toBe("end");
  });

  test("many transactions without rows do not make a batch without bounds", async () => {
    const buffer = bufferOf({ ...LIMITS, maxBytes: 640 });
    for (let lsn = 1n; lsn <= 30n; lsn++) put(buffer, lsn, 0);
    const batch = await buffer.batches().next();
    expect(batch.value?.length).toBe(10);
  });
});
