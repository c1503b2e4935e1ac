import { describe, expect, test } from "vitest";
import type { Lsn } from "../../shared/postgres/lsn.ts";
import type { Change, Relation, TransactionPiece, WalMessage } from "../ports.ts";
import { type OnTruncate, TransactionAssembler } from "./assembler.ts";

const RELATION: Relation = { oid: 1, schema: "public", name: "t", replicaIdentity: "d", columns: [] };

const begin = (lsn: bigint): WalMessage => ({
  kind: "begin",
  commitLsn: lsn as Lsn,
  commitTimeMs: 1_000,
  xid: Number(lsn),
});
const commit = (lsn: bigint): WalMessage => ({ kind: "commit", endLsn: lsn as Lsn });
const change = (id: number, bytes = 10): WalMessage => {
  const row: Change = { op: "c", relation: RELATION, after: [String(id)], before: null };
  return { kind: "change", change: row, bytes };
};
const truncate: WalMessage = { kind: "truncate", relations: [RELATION] };

function piecesOf(
  messages: readonly WalMessage[],
  limits = { maxRows: 3, maxBytes: 1_000 },
  onTruncate: OnTruncate = "stop",
  onIgnored: (tables: string) => void = () => {},
): TransactionPiece[] {
  const assembler = new TransactionAssembler(limits, onTruncate, onIgnored);
  return messages.flatMap((message) => assembler.accept(message));
}

const ids = (piece: TransactionPiece) => piece.changes.map((c) => Number(c.after?.[0]));

describe("TransactionAssembler", () => {
  test("a transaction is one piece with its changes in order", () => {
    const pieces = piecesOf([begin(5n), change(1), change(2), commit(6n)]);
    expect(pieces).toHaveLength(1);
    expect(pieces[0]).toMatchObject({ xid: 5, commitLsn: 5n, endLsn: 6n, commitTimeMs: 1_000, bytes: 20 });
    expect(pieces.map(ids)).toEqual([[1, 2]]);
  });

  test("a large one leaves in pieces, of which only the last has the end", () => {
    const rows = Array.from({ length: 7 }, (_, i) => change(i));
    const pieces = piecesOf([begin(5n), ...rows, commit(6n)]);
    expect(pieces.map((piece) => [ids(piece), piece.commitLsn, piece.endLsn])).toEqual([
      [[0, 1, 2], 5n, null],
      [[3, 4, 5], 5n, null],
      [[6], 5n, 6n],
    ]);
  });

  test("one that fills its pieces exactly still ends", () => {
    const pieces = piecesOf([begin(5n), change(1), change(2), change(3), commit(6n)]);
    expect(pieces.map((piece) => [piece.changes.length, piece.endLsn])).toEqual([
      [3, null],
      [0, 6n],
    ]);
  });

  test("bytes cut as rows do, and one row may exceed them", () => {
    const pieces = piecesOf([begin(5n), change(1, 5), change(2, 50), change(3, 500), commit(6n)], {
      maxRows: 100,
      maxBytes: 50,
    });
    expect(pieces.map((piece) => [ids(piece), piece.bytes, piece.endLsn])).toEqual([
      [[1, 2], 55, null],
      [[3], 500, null],
      [[], 0, 6n],
    ]);
  });

  test("a transaction without rows is a piece, as a heartbeat needs it", () => {
    expect(piecesOf([begin(5n), commit(6n)])).toMatchObject([{ changes: [], endLsn: 6n, bytes: 0 }]);
  });

  test("nothing of one transaction gets into the next", () => {
    const pieces = piecesOf([begin(5n), change(1), commit(6n), begin(7n), change(2), commit(8n)]);
    expect(pieces.map((piece) => [ids(piece), piece.xid, piece.bytes])).toEqual([
      [[1], 5, 10],
      [[2], 7, 10],
    ]);
  });

  test("TRUNCATE stops, naming the table, or is passed over and told of", () => {
    const messages = [begin(5n), change(1), truncate, change(2), commit(6n)];
    expect(() => piecesOf(messages)).toThrow(
      expect.objectContaining({ code: "TRUNCATE_STOPS", message: expect.stringContaining("public.t") }),
    );
    const told: string[] = [];
    const pieces = piecesOf(messages, undefined, "ignore", (tables) => told.push(tables));
    expect(pieces.map(ids)).toEqual([[1, 2]]);
    expect(told).toEqual(["public.t"]);
  });

  test("TRUNCATE that becomes tombstones is a piece of its own, behind what came before it", () => {
    const pieces = piecesOf(
      [begin(5n), change(1), truncate, change(2), commit(6n), begin(7n), truncate, commit(8n)],
      undefined,
      "tombstone",
    );
    expect(
      pieces.map((piece) => [ids(piece), piece.truncated?.map(({ name }) => name), piece.endLsn]),
    ).toEqual([
      [[1], undefined, null],
      [[], ["t"], null],
      [[2], undefined, 6n],
      [[], ["t"], null],
      [[], undefined, 8n],
    ]);
  });

  test("a commit without a begin is refused", () => {
    expect(() => piecesOf([commit(6n)])).toThrow(expect.objectContaining({ code: "REPLICATION_PROTOCOL" }));
    expect(() => piecesOf([begin(5n), commit(6n), change(1), commit(7n)])).toThrow(
      expect.objectContaining({ code: "REPLICATION_PROTOCOL" }),
    );
  });

  test("marks stay with their transaction, and are bounded", () => {
    const mark = (content: string): WalMessage => ({ kind: "mark", content });
    const many = Array.from({ length: 50 }, (_, i) => mark(String(i)));
    const pieces = piecesOf([begin(5n), mark("a"), commit(6n), begin(7n), change(1), commit(8n)]);
    expect(pieces.map(({ marks }) => marks)).toEqual([["a"], undefined]);
    expect(piecesOf([begin(5n), ...many, commit(6n)])[0]?.marks).toHaveLength(16);
  });
});
