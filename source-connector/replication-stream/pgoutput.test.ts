import { describe, expect, test } from "vitest";
import { formatLsn } from "../../shared/postgres/lsn.ts";
import { UNCHANGED, type WalMessage } from "../ports.ts";
import { PgoutputDecoder } from "./pgoutput.ts";

const u8 = (value: number) => Buffer.from([value]);
const u16 = (value: number) => Buffer.from([value >> 8, value & 0xff]);
const u32 = (value: number) => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
};
const u64 = (value: bigint) => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(value);
  return buffer;
};
const text = (value: string) => Buffer.from(`${value}\0`);
const join = (...parts: (Buffer | string)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));

/** null is NULL, undefined an unchanged TOAST value. */
function tuple(...values: (string | null | undefined)[]): Buffer {
  const columns = values.map((value) => {
    if (value === null) return Buffer.from("n");
    if (value === undefined) return Buffer.from("u");
    return join("t", u32(Buffer.byteLength(value)), value);
  });
  return join(u16(values.length), ...columns);
}

function relation(oid: number, identity: string, columns: readonly [name: string, key: boolean][]): Buffer {
  return join(
    "R",
    u32(oid),
    text("public"),
    text("t"),
    identity,
    u16(columns.length),
    ...columns.map(([name, key]) => join(u8(key ? 1 : 0), text(name), u32(25), u32(0xffffffff))),
  );
}

const T: readonly [string, boolean][] = [
  ["id", true],
  ["a", false],
  ["b", false],
];

function decoderOf(identity = "d"): PgoutputDecoder {
  const decoder = new PgoutputDecoder();
  expect(decoder.decode(relation(7, identity, T))).toBeUndefined();
  return decoder;
}

function changeOf(message: WalMessage | undefined) {
  if (message?.kind !== "change") throw new Error(`no change: ${message?.kind}`);
  return message.change;
}

describe("PgoutputDecoder", () => {
  test("begin and commit carry LSNs of 64 bits, the commit time and the transaction's id", () => {
    const decoder = new PgoutputDecoder();
    // 2001-01-01T00:00:00.123456Z in microseconds since 2000.
    const time = 366n * 86_400_000_000n + 123_456n;
    const begin = decoder.decode(join("B", u64(0x1_fffffff0n), u64(time), u32(4_294_967_295)));
    expect(begin).toEqual({
      kind: "begin",
      commitLsn: 0x1_fffffff0n,
      commitTimeMs: Date.parse("2001-01-01T00:00:00.123Z"),
      xid: 4_294_967_295,
    });
    const commit = decoder.decode(join("C", u8(0), u64(0x1_fffffff0n), u64(0x2_00000010n), u64(time)));
    expect(commit).toEqual({ kind: "commit", endLsn: 0x2_00000010n });
    expect(formatLsn(0x2_00000010n as never)).toBe("2/10");
  });

  test("an insert has the row, with null and the empty string told apart", () => {
    const change = changeOf(decoderOf().decode(join("I", u32(7), "N", tuple("1", null, ""))));
    expect([change.op, change.after, change.before]).toEqual(["c", ["1", null, ""], null]);
    expect(change.relation).toMatchObject({ oid: 7, schema: "public", name: "t", replicaIdentity: "d" });
    expect(change.relation.columns.map((column) => [column.name, column.identity])).toEqual(T);
  });

  test("values are UTF-8 and do not point into the buffer, which is used again", () => {
    const buffer = join("I", u32(7), "N", tuple("1", "äöü €", "𝄞"));
    const change = changeOf(decoderOf().decode(buffer));
    buffer.fill(0);
    expect(change.after).toEqual(["1", "äöü €", "𝄞"]);
  });

  test("an update without a changed key has no row before", () => {
    const change = changeOf(decoderOf().decode(join("U", u32(7), "N", tuple("1", "x", undefined))));
    expect([change.op, change.before, change.after]).toEqual(["u", null, ["1", "x", UNCHANGED]]);
  });

  test("an update of the key has the old key", () => {
    const change = changeOf(
      decoderOf().decode(join("U", u32(7), "K", tuple("1", null, null), "N", tuple("2", "x", undefined))),
    );
    expect([change.before, change.after]).toEqual([
      ["1", null, null],
      ["2", "x", UNCHANGED],
    ]);
  });

  test("under REPLICA IDENTITY FULL the old row holds what the new one leaves out", () => {
    const change = changeOf(
      decoderOf("f").decode(join("U", u32(7), "O", tuple("1", "big", null), "N", tuple("1", undefined, "y"))),
    );
    expect(change.after).toEqual(["1", "big", "y"]);
    expect(change.before).toEqual(["1", "big", null]);
  });

  test("a large part of the key that did not change is taken from the old key, other columns are not", () => {
    const change = changeOf(
      decoderOf().decode(
        join("U", u32(7), "K", tuple("k", null, null), "N", tuple(undefined, undefined, "y")),
      ),
    );
    expect(change.after).toEqual(["k", UNCHANGED, "y"]);
  });

  test("a delete has the old key, or the old row", () => {
    expect(changeOf(decoderOf().decode(join("D", u32(7), "K", tuple("1", null, null))))).toMatchObject({
      op: "d",
      before: ["1", null, null],
      after: null,
    });
    expect(changeOf(decoderOf("f").decode(join("D", u32(7), "O", tuple("1", "x", "y")))).before).toEqual([
      "1",
      "x",
      "y",
    ]);
  });

  test("a relation described anew is another object, and earlier changes keep theirs", () => {
    const decoder = decoderOf();
    const before = changeOf(decoder.decode(join("I", u32(7), "N", tuple("1", "x", "y")))).relation;
    decoder.decode(relation(7, "d", [...T, ["c", false]]));
    const after = changeOf(decoder.decode(join("I", u32(7), "N", tuple("1", "x", "y", "z")))).relation;
    expect([before.columns.length, after.columns.length]).toEqual([3, 4]);
  });

  test("tables that are not wanted are passed over", () => {
    const decoder = new PgoutputDecoder(({ oid }) => oid !== 8);
    decoder.decode(relation(7, "d", T));
    decoder.decode(relation(8, "d", T));
    expect(decoder.decode(join("I", u32(8), "N", tuple("1", "x", "y")))).toBeUndefined();
    expect(decoder.decode(join("U", u32(8), "N", tuple("1", "x", "y")))).toBeUndefined();
    expect(decoder.decode(join("D", u32(8), "K", tuple("1", null, null)))).toBeUndefined();
    expect(decoder.decode(join("T", u32(1), u8(0), u32(8)))).toBeUndefined();
    const both = decoder.decode(join("T", u32(2), u8(0), u32(8), u32(7)));
    expect(both?.kind === "truncate" && both.relations.map(({ oid }) => oid)).toEqual([7]);
  });

  test("of messages, those that a backfill has put into a transaction are marks", () => {
    const message = (transactional: number, prefix: string, content: string) =>
      new PgoutputDecoder().decode(
        join("M", u8(transactional), u64(1n), text(prefix), u32(Buffer.byteLength(content)), content),
      );
    expect(message(1, "rejot.backfill", "ä")).toEqual({ kind: "mark", content: "ä" });
    expect(message(0, "rejot.backfill", "a")).toBeUndefined();
    expect(message(1, "rejot", "")).toBeUndefined();
    expect(message(1, "rejot.backfill.other", "a")).toBeUndefined();
  });

  test("messages, origins and types need no action", () => {
    const decoder = new PgoutputDecoder();
    for (const kind of ["M", "O", "Y"])
      expect(decoder.decode(join(kind, u64(1n), text("x")))).toBeUndefined();
  });

  test("what the protocol does not promise is refused", () => {
    expect(() => new PgoutputDecoder().decode(join("I", u32(7), "N", tuple("1")))).toThrow(
      expect.objectContaining({ code: "REPLICATION_PROTOCOL" }),
    );
    const binary = join("I", u32(7), "N", u16(1), "b", u32(1), "1");
    expect(() => decoderOf().decode(binary)).toThrow(
      expect.objectContaining({ code: "REPLICATION_PROTOCOL" }),
    );
  });
});
